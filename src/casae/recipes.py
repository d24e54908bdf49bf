"""How a model is trained: settings with their defaults, the presets, and what a person changes in them."""

import difflib
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from casae.config import (
    LARGEST_SIDE,
    Fit,
    Frozen,
    first_problem,
)
from casae.errors import UsageError

Strength = Literal["strong", "medium"]
Part = Annotated[float, Field(gt=0)]


ENOUGH_DEFECTIVE = 8  # held-out images with a defect; with fewer, the best weights and the best F1 are luck


SCRATCH, IMAGENET = "scratch", "imagenet"  # weights to start from, besides those of a file


STRIDE = 32  # sides of a network input are multiples of this at least, see `SegmenterSettings.stride`


class SegmenterSettings(Frozen):
    """The cascade and how it learns; see `AutoEncoder` for the networks' own options.

    Attributes:
        encoder: of network 1, by its name in `casae.networks.registry`; the second one always has the paper's. "fcn8"
            is the FCN that the paper compares with.
        width: features of level 1 of an autoencoder with the paper's encoder.
        atrous: convolutions with holes in levels 2 to 5 of the paper's encoder.
        norm: batch normalisation after every convolution; not in the paper.
        patch: side of the square of pixels that the networks see as one; an EfficientNet halves its input for 4.
        max_width: upper limit for the doubling of features from level to level.
        last_convs: convolutions of the last decoder level.
        standardise: bring every image to mean 0 and standard deviation 1, which takes the lamp out of it.
        residual: network 2 adds to the logits of network 1 instead of drawing a mask of its own.
        second_sees_image: network 2 gets the image beside the mask; the paper gives it the mask alone.
        coarse: look at the picture as a whole too where it is cut into tiles, for defects larger than those; None
            chooses by the labelled ones, see `labelled.scale.outgrows`.
        channels: that are seen of a picture: 1 is gray, 3 colour; None chooses by the labelled defects, see
            `labelled.colour.channels_of`.
        size: longer side of the input, px; of tiles, the side of what is learned from.
        fit: "choose" decides between letterbox and tile by the labelled defects, see `labelled.scale.choose_fit`.
        loss: weighted cross-entropy as in the paper, or cross-entropy and Dice of each image.
        optimiser: Adam, or AdamW with weight decay.
        scale: of images before they are cut into tiles; None chooses it by the labelled defects.
        learning_rate: of network 1.
        learning_rate_2: of network 2, and of network 1 where it learns on.
        joint: let network 1 learn on with network 2, on the sum of both losses; the paper leaves it as it is.
        augmentation: of the views, see `casae.training.augmentation.AUGMENTATIONS`.
        paste: probability that a view gets the labelled defects of another image as well; not in the paper.
        one_cycle: the learning rate rises and falls to zero instead of staying.
        batch: images a step.
        epochs_1: of network 1, where no minutes are given.
        epochs_2: of network 2, likewise.
        views: augmented images an epoch, at least.
    """

    encoder: str = "atrous"
    width: int = Field(default=64, ge=2)
    atrous: bool = True
    norm: bool = False
    patch: Literal[1, 2, 4] = 1
    max_width: int | None = None
    last_convs: int = 1
    standardise: bool = False
    residual: bool = False
    second_sees_image: bool = False
    coarse: bool | None = None
    channels: Literal[1, 3] | None = None
    size: int = Field(default=512, ge=STRIDE, le=LARGEST_SIDE)
    fit: Fit | Literal["choose"] = "squeeze"
    loss: Literal["weighted", "dice"] = "weighted"
    optimiser: Literal["adam", "adamw"] = "adam"
    scale: float | None = Field(default=None, gt=0, le=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    learning_rate_2: float = Field(default=1e-4, gt=0)
    joint: bool = False
    augmentation: Strength = "strong"
    paste: float = Field(default=0, ge=0, le=1)
    one_cycle: bool = False
    batch: int = Field(default=2, ge=1)
    epochs_1: int = Field(default=30, ge=1)
    epochs_2: int = Field(default=20, ge=1)
    views: int = Field(default=3000, ge=1)

    @property
    def stride(self) -> int:
        """Sides of the network's input are multiples of this."""
        return max(STRIDE, 16 * self.patch)


class ClassifierSettings(Frozen):
    """The compact CNN and how it learns.

    Attributes:
        width: kernels of the first convolution; every other layer scales with it.
        initial: weights from N(0, 0.001) as in the paper, or after He et al. 2015.
        optimiser: SGD with momentum as in the paper, or AdamW.
        learning_rate: at its highest.
        one_cycle: the learning rate rises and falls to zero instead of staying.
        smoothing: of the labels, shared evenly by all classes.
        batch: crops a step.
        iterations: steps, where no minutes are given.
    """

    width: int = Field(default=96, ge=3)
    initial: Literal["normal-0.001", "kaiming"] = "normal-0.001"
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=1e-3, gt=0)
    one_cycle: bool = False
    smoothing: float = 0.0
    batch: int = Field(default=8, ge=1)
    iterations: int = Field(default=30_000, ge=1)


class TrainingSettings(Frozen):
    """Everything that decides what `casae train` makes, except the data.

    Attributes:
        preset: where the values came from.
        start: weights to start the segmenter from: "scratch", "imagenet" for the encoder that ships with casae, or the
            file `weights.pt` of an earlier training.
        minutes: time for all three networks; epochs and iterations then follow the clock.
        minutes_share: parts of `minutes` for network 1, network 2 and the classifier; one class needs no classifier.
        min_area_px: smaller labelled regions give no crop, smaller found ones are not reported; None chooses it by the
            labelled regions, 12 at most.
        join_px: found pieces of one class at most so far apart are one defect; 0 joins none.
        hold_out_share: part of the split that is held out where the dataset has no list `val`, of good images ten, or
            half of them, at least; 0 learns from all.
    """

    preset: Literal["fast", "scratch", "paper"]
    segmenter: SegmenterSettings
    classifier: ClassifierSettings
    start: str = SCRATCH
    minutes: float | None = Field(default=None, gt=0)
    minutes_share: tuple[Part, Part, Part] = (0.70, 0.18, 0.12)
    seed: int = Field(default=0, ge=0, lt=2**32)
    min_area_px: int | None = Field(default=None, ge=1)
    join_px: float = Field(default=0, ge=0, le=10**6)
    hold_out_share: float = Field(default=0.1, ge=0, lt=1)


_SCRATCH = TrainingSettings(
    preset="scratch",
    segmenter=SegmenterSettings(
        width=16,
        norm=True,
        patch=2,
        standardise=True,
        residual=True,
        size=256,
        fit="choose",
        loss="dice",
        optimiser="adamw",
        learning_rate=3e-3,
        learning_rate_2=1.5e-3,
        joint=True,
        augmentation="medium",
        one_cycle=True,
        batch=8,
        epochs_1=40,
        epochs_2=12,
        views=480,
    ),
    classifier=ClassifierSettings(
        width=32,
        initial="kaiming",
        optimiser="adamw",
        learning_rate=1e-3,
        one_cycle=True,
        smoothing=0.05,
        batch=32,
        iterations=1200,
    ),
)


_FAST = {"encoder": "efficientnet-lite0", "width": 8, "batch": 4, "learning_rate": 1.5e-3, "learning_rate_2": 7.5e-4}


PRESETS = {
    "fast": _SCRATCH.model_copy(
        update={"preset": "fast", "start": IMAGENET, "segmenter": _SCRATCH.segmenter.model_copy(update=_FAST)}
    ),
    "scratch": _SCRATCH,
    "paper": TrainingSettings(preset="paper", segmenter=SegmenterSettings(channels=1), classifier=ClassifierSettings()),
}


def settings_for(preset: str = "fast", *, tile: bool | None = None, **given: Any) -> TrainingSettings:
    """A preset with some of its values replaced.

    Args:
        preset: one of `PRESETS`.
        tile: whether images are cut into tiles; None leaves it to the labelled defects.
        given: values by their names in this module, of the training, the segmenter, or as `classifier__NAME` of the
            classifier; None keeps the preset's.

    Raises:
        UsageError: no such preset or setting, a value out of range, or values that do not go together.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if preset not in PRESETS:
        raise UsageError(f"preset {preset}: no such preset; there are {', '.join(PRESETS)}")
    _check_together(wanted, tile)
    if "scale" in wanted or tile is not None:
        wanted["fit"] = "letterbox" if tile is False else "tile"
    if wanted.get("start") == SCRATCH and preset == "fast":
        preset = "scratch"  # an encoder as large as that of `fast` needs its start weights
    base = PRESETS[preset].model_dump()
    for name, value in wanted.items():
        _put(base, name, value)
    try:
        settings = TrainingSettings.model_validate(base)
    except ValidationError as error:
        raise UsageError(first_problem(error, whole_path=False)) from error
    side, stride = settings.segmenter.size, settings.segmenter.stride
    if side % stride:
        rounded = max(stride, round(side / stride) * stride)
        raise UsageError(f"size {side}: must be a multiple of {stride}; {rounded} works")
    return settings


def _check_together(wanted: Mapping[str, Any], tile: bool | None) -> None:
    """Whether values go together.

    Raises:
        UsageError: they do not.
    """
    if "fit" in wanted and ("scale" in wanted or tile is not None):
        raise UsageError("fit: how images are scaled or cut follows from scale and --tile; leave one out")
    if "minutes" in wanted and wanted.keys() & {"epochs_1", "epochs_2"}:
        raise UsageError("minutes and epochs: choose one way to say how long; leave the other out")
    if "scale" in wanted and tile is False:
        raise UsageError("scale and no tiles: the scale is that of tiles; leave one of them out")


def _put(base: dict[str, Any], name: str, value: Any) -> None:
    """A value into the settings that have it.

    Raises:
        UsageError: none have.
    """
    part, _, field = name.rpartition("__")
    if part == "classifier" and field in ClassifierSettings.model_fields:
        base["classifier"][field] = value
    elif name in SegmenterSettings.model_fields:
        base["segmenter"][name] = value
    elif name in TrainingSettings.model_fields.keys() - {"preset", "segmenter", "classifier"}:
        base[name] = value
    else:
        known = [*SegmenterSettings.model_fields, *TrainingSettings.model_fields]
        known += [f"classifier.{each}" for each in ClassifierSettings.model_fields]
        wrong = name.replace("__", ".")
        near = ", ".join(difflib.get_close_matches(wrong, known, 3)) or "paste, width, scale, patch, classifier.width"
        raise UsageError(f"{wrong}: no such setting; there are {near} and others")


def parsed(assignment: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`, for `settings_for`; a value is written as in TOML, or is text.

    Raises:
        UsageError: it is none.

    >>> parsed("paste=0.3"), parsed("loss=weighted"), parsed("classifier.width=48")
    (('paste', 0.3), ('loss', 'weighted'), ('classifier__width', 48))
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{assignment}: write NAME=VALUE, such as paste=0.3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        value = text
    return name.strip().replace(".", "__"), value
