"""What usual pictures and defects are like, by a finished model's own features: `novelty.json` of its bundle."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import InspectionSettings
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import BundleError, DatasetError, ImageError
from casae.image import Image
from casae.inspection.inspector import Inspector
from casae.inspection.novelty import FEWEST, learned
from casae.inspection.regions import find_regions
from casae.models.bundle import Novelty, read_bundle, write_bundle

MOST_INPUTS = 1000  # of the segmenter, and crops, that are looked at

Picture = tuple[Image, NDArray[np.uint8] | None]
"""Pixels in full scale, (H, W) or (H, W, 3), and label values (H, W) where it is labelled."""


@dataclass(frozen=True)
class Relearned:
    """What `relearn` looked at.

    Attributes:
        pictures: that it learned from.
        unlike: those that the model took for unlike what it had learned; None where it could not tell.
        failures: pictures that could not be read, and why.
    """

    pictures: int
    unlike: int | None
    failures: dict[str, str]


def learn_novelty(inspector: Inspector, pictures: Iterable[Picture]) -> Novelty | None:
    """What is usual; None where too few pictures tell, or the model makes no features.

    Of many pictures the first ones count, so they come in no order.
    """
    rows: list[NDArray[np.float32]] = []
    crops: list[NDArray[np.float32]] = []
    classes = range(1, len(inspector.manifest.classes) + 1)
    for image, label in pictures:
        rows.append(_some(inspector.features(image)))
        if inspector.classifier is not None and label is not None and sum(map(len, crops)) < MOST_INPUTS:
            found = (find_regions(label == value, inspector.conditions.min_area_px) for value in classes)
            regions = list(chain.from_iterable(found))
            crops += [inspector.crop_features(image, regions)] if regions else []
        if sum(map(len, rows)) >= MOST_INPUTS:
            break
    if not rows or not rows[0].shape[1]:
        return None
    picture = learned(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(each) for each in rows]))
    if picture is None:
        return None
    crop = learned(np.concatenate(crops), np.arange(sum(map(len, crops)))) if crops else None
    return Novelty(picture=picture.familiar, crop=crop.familiar if crop else None)


def _some(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of a picture, evenly chosen where it has so many that too few pictures would fill the limit."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_INPUTS // FEWEST)).round().astype(int)]


def relearn(
    model: str | Path, part: Dataset, out: Path, step: Callable[[], object] = lambda: None, threads: int = 0
) -> Relearned:
    """Write a model to `out` that takes the pictures of a dataset, and no others, for usual; its networks stay.

    What defects are like is learned anew where enough are labelled in the model's own classes, and else kept.

    Args:
        model: a .casae file, or the name of a shipped model.
        part: labelled or not.
        out: file to write; may be the model's own.
        step: called after each picture.
        threads: processor threads, 0 for all.

    Raises:
        BundleError: the model cannot be read, or makes no features.
        DatasetError: too few pictures can be read.
    """
    bundle, inspector = read_bundle(model), Inspector(model, InspectionSettings(threads=threads))
    failures: dict[str, str] = {}
    unlike: list[bool] = []

    def pictures() -> Iterator[Picture]:
        for index in np.random.default_rng(0).permutation(len(part.samples)):
            sample = part.samples[index]
            try:
                image, label = read_image(sample.image), None
                if sample.label and part.classes == inspector.manifest.classes:
                    label = sample.draw(image.shape, len(part.classes))
            except (ImageError, DatasetError) as error:
                failures[sample.name] = str(error)
            else:
                novelty = inspector.look(image)[1]
                unlike.append(novelty is not None and novelty > 1)
                yield inspector.in_full_scale(image), label
            step()

    novelty = learn_novelty(inspector, pictures())
    if novelty is None and len(unlike) < FEWEST:
        rule = f"{len(unlike)} pictures of '{part.split_name}' can be read"
        raise DatasetError(f"{part.name}: {rule}, {FEWEST} tell at least what is usual; add some")
    if novelty is None:
        raise BundleError(f"{model}: its network makes no features to tell pictures by; train it anew")
    before = bundle.novelty
    if novelty.crop is None and before:
        novelty = novelty.model_copy(update={"crop": before.crop})
    write_bundle(replace(bundle, novelty=novelty), out)
    return Relearned(len(unlike), sum(unlike) if before else None, failures)
