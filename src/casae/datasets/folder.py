"""`folder:PATH`, `sd-saliency-900:PATH`, `neu-seg:PATH`, `nanotwice:PATH`, `dagm:PATH` -> Dataset.

A reader is a function from a folder to a `Dataset`, entered in `READERS`. Image and mask are paired by name, never by
order; what has no partner is kept and reported by `casae data check`.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from casae.datasets.names import by_name, paired_masks, read_splits, text_of
from casae.datasets.sample import Dataset, Sample
from casae.errors import DatasetError

MAX_CLASSES = 200


def read_folder(root: Path) -> Dataset:
    """Our own simple format: images/NAME.*, masks/NAME.png, dataset.toml; optional good/NAME.*, splits/NAME.txt.

    Masks may be called NAME_mask.png, NAME_gt.png or NAME_label.png as well.
    """
    settings = _read_toml(root / "dataset.toml")
    classes = _read_classes(settings, root)
    mm = settings.get("mm_per_pixel")
    if mm is not None and not (isinstance(mm, int | float) and mm > 0):
        raise DatasetError(f"{root / 'dataset.toml'}: mm_per_pixel = {mm!r} must be a number above 0")
    images = by_name(root / "images")
    masks = by_name(root / "masks")
    good = {f"good/{name}": image for name, image in by_name(root / "good").items()}
    twice = sorted(good.keys() & images.keys())
    if twice:
        raise DatasetError(f"{good[twice[0]]}: same name as {images[twice[0]]}; rename one")
    paired = paired_masks({*images, *good}, masks)
    samples = [Sample(name, image, paired.get(name)) for name, image in images.items()]
    samples += [Sample(name, image, paired.get(name), defect_free=name not in paired) for name, image in good.items()]
    used = set(paired.values())
    return Dataset(
        name=f"folder:{root}",
        classes=classes,
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        splits=read_splits(root),
        mm_per_pixel=None if mm is None else float(mm),
        orphans=tuple(mask for mask in masks.values() if mask not in used),
        licence=str(settings.get("licence", "not stated")),
    )


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text_of(path))
    except FileNotFoundError:
        raise DatasetError(f'{path}: missing; write one line into it, such as: classes = ["scratch", "dent"]') from None
    except tomllib.TOMLDecodeError as error:
        raise DatasetError(f"{path}: not valid TOML ({error}); see docs/datasets.md") from error


def _read_classes(settings: Mapping[str, object], root: Path) -> tuple[str, ...]:
    classes = settings.get("classes")
    names = tuple(name for name in classes if isinstance(name, str)) if isinstance(classes, list) else ()
    if not 0 < len(names) <= MAX_CLASSES or list(names) != classes or len(set(names)) != len(names):
        rule = f'1 to {MAX_CLASSES} different names, such as ["scratch", "dent"]'
        raise DatasetError(f"{root / 'dataset.toml'}: classes = {classes!r} must list {rule}")
    return names
