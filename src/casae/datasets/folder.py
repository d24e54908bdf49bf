"""`folder:PATH`, our own format: images/NAME.*, masks/NAME.png, dataset.toml; optional good/NAME.*, splits/NAME.txt."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from casae.calibration.calibration import Calibration
from casae.config import LARGEST_SCALE, SMALLEST_SCALE, Frozen, first_problem
from casae.datasets.masks import MaskLabel, Meaning
from casae.datasets.names import by_name, paired_masks, read_splits
from casae.datasets.sample import Dataset, KnownGood, Label, Sample
from casae.errors import DatasetError
from casae.files import read_toml, without_controls

SETTINGS = "dataset.toml"
MAX_CLASSES = 200
LONGEST_CLASS = 100  # characters
REMARKS = frozenset(
    {"note", "notes", "name", "description", "source", "author", "citation", "url", "license", "version"}
)
LIKE_A_SETTING = 0.75  # of the letters: a slip of the keyboard, which must not go by in silence
BACKGROUND = frozenset(
    {"background", "bg", "_background_", "__background__", "ok", "good", "none", "no defect", "void"}
)

Value = Annotated[int, Field(ge=1, le=255, strict=True)]


class DatasetSettings(Frozen):
    """`dataset.toml`.

    Attributes:
        classes: names of label values 1, 2, ...
        mm_per_pixel: side of a pixel in millimetres.
        calibration: file of `casae calibrate` beside this one, instead of `mm_per_pixel`.
        licence: one sentence for the model card.
        masks: what their values mean: "classes", each its class, "binary", white on black, or "any", all but 0. Left
            out, the masks of several classes hold classes, and those of a single one may be either.
        ignore: mask values that count as background, such as those of a border around defects.
    """

    classes: tuple[str, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    mm_per_pixel: float | None = Field(default=None, ge=SMALLEST_SCALE, le=LARGEST_SCALE, strict=True)
    calibration: str | None = Field(default=None, min_length=1)
    licence: str = "not stated"
    masks: Meaning | None = None
    ignore: tuple[Value, ...] = ()

    @field_validator("classes")
    @classmethod
    def _different_names(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("must all be different")
        for name in classes:
            if not name.strip() or len(name) > LONGEST_CLASS or without_controls(name) != name:
                raise ValueError(f"{without_controls(name)[:LONGEST_CLASS]!r} is no name for a class")
        return classes


def read_folder(root: Path) -> Dataset:
    """Read a dataset of our own format.

    Masks may be called NAME_mask.png, NAME_gt.png or NAME_label.png as well, with a number behind it where each shows a
    part of the defects.

    Raises:
        DatasetError: settings that are no such, or files that do not fit together.
    """
    settings, foreign = _read_settings(root / SETTINGS)
    calibration = _calibration(settings, root)
    images, masks = by_name(root / "images"), by_name(root / "masks")
    good = {f"good/{name}": image for name, image in by_name(root / "good").items()}
    twice = sorted(good.keys() & images.keys())
    if twice:
        raise DatasetError(f"{good[twice[0]]}: same name as {images[twice[0]]}; rename one")
    paired = paired_masks({*images, *good}, masks)
    labels: dict[str, Label] = {name: KnownGood() for name in good}
    for name, files in paired.items():
        labels[name] = MaskLabel(files, None, settings.masks, settings.ignore)
    used = {file for files in paired.values() for file in files}
    everything = sorted({**images, **good}.items())
    return Dataset(
        name=f"folder:{root}",
        classes=settings.classes,
        samples=tuple(Sample(name, image, labels.get(name)) for name, image in everything),
        splits=read_splits(root),
        mm_per_pixel=calibration.mm_per_pixel if calibration else settings.mm_per_pixel,
        calibration=calibration,
        orphans=tuple(mask for mask in masks.values() if mask not in used),
        licence=settings.licence,
        notes=tuple(_notes(settings, paired.values())),
        warnings=tuple(_warnings(settings, root, foreign)),
    )


def settings_of_folder(root: Path) -> DatasetSettings:
    """The settings of a dataset of our own format.

    Raises:
        DatasetError: there are none, or they are no such.
    """
    return _read_settings(root / SETTINGS)[0]


def _calibration(settings: DatasetSettings, root: Path) -> Calibration | None:
    if settings.calibration is None:
        return None
    if settings.mm_per_pixel is not None:
        raise DatasetError(f"{root / SETTINGS}: has mm_per_pixel and calibration; keep one of them")
    return Calibration.read(root / settings.calibration)


def _notes(settings: DatasetSettings, masks: Iterable[tuple[Path, ...]]) -> Iterator[str]:
    several = sum(len(files) > 1 for files in masks)
    if several:
        yield f"{several} images have several masks each, which are laid over each other"
    if settings.ignore:
        yield f"mask values {', '.join(map(str, settings.ignore))} count as background, as dataset.toml says"


def _warnings(settings: DatasetSettings, root: Path, foreign: Sequence[str]) -> Iterator[str]:
    if foreign:
        yield f"{SETTINGS} holds {', '.join(map(without_controls, foreign))}, which is no setting and does nothing"
    first = settings.classes[0]
    if first.strip().lower() in BACKGROUND and len(settings.classes) > 1:
        yield f"class 1 is called '{first}': mask value 0 is background and 1 the first class; leave it out of classes"
    sheets = [file for file in (root / "masks").rglob("*.json") if not file.name.startswith(".")]
    if sheets:
        yield (
            f"masks/ holds {len(sheets)} JSON files such as {sheets[0].name}, which are not read: "
            "save them as masks in PNG, value k for class k"
        )


def _read_settings(path: Path) -> tuple[DatasetSettings, list[str]]:
    """The settings, and keys that are none."""
    try:
        content = read_toml(path)
        foreign = content.keys() - DatasetSettings.model_fields.keys()
        for key in sorted(foreign):
            meant = difflib.get_close_matches(key, DatasetSettings.model_fields, 1, LIKE_A_SETTING)
            if meant:
                raise DatasetError(f"{path}: {without_controls(key)}: no such setting; {meant[0]} is meant?")
        known = {key: value for key, value in content.items() if key not in foreign}
        return DatasetSettings.model_validate(known), sorted(foreign - REMARKS)
    except FileNotFoundError:
        raise DatasetError(f'{path}: missing; write one line into it, such as: classes = ["scratch", "dent"]') from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except ValidationError as error:
        way = f'list 1 to {MAX_CLASSES} different names, such as ["scratch", "dent"]'
        where = error.errors()[0]["loc"]
        way = way if where[:1] == ("classes",) else f"the settings are {', '.join(DatasetSettings.model_fields)}"
        raise DatasetError(f"{path}: {first_problem(error)}; {way}") from error
    except ValueError as error:
        raise DatasetError(f'{path}: not valid TOML ({error}); write such as classes = ["scratch"]') from error
