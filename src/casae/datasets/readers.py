"""`folder:PATH`, `sd-saliency-900:PATH`, `neu-seg:PATH`, `nanotwice:PATH`, `dagm:PATH` -> Dataset.

A reader is a function from a folder to a `Dataset`, entered in `READERS`. Image and mask are paired by name, never by
order; what has no partner is kept and reported by `casae data check`.
"""

import tomllib
import unicodedata
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from casae.datasets.sample import Dataset, Sample
from casae.errors import DatasetError
from casae.image import SUFFIXES, find_images
from casae.text import printable, read_text

MAX_CLASSES = 200
MASK_ENDINGS = ("_mask", "_gt", "_label")  # of masks, in upper or lower case, behind the name of their image
KNOWN_LISTS = {  # in upper or lower case
    **{name: name for name in ("train", "val", "test")},
    **{"training": "train", "valid": "val", "validation": "val", "testing": "test"},
}


def open_dataset(spec: str) -> Dataset:
    """Open `READER:PATH`; the reader's name is one of `READERS`.

    With a list `test` and none called `train`, the latter is what neither `test` nor `val` names.

    Raises:
        DatasetError: unknown reader, or the folder is not laid out as the reader expects.
    """
    reader, colon, path = spec.partition(":")
    if not colon or reader not in READERS:
        known = ", ".join(f"{name}:PATH" for name in READERS)
        raise DatasetError(f"{spec}: a dataset is named {known}")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; name the folder that holds the {reader} files")
    dataset = READERS[reader](root)
    dataset = replace(dataset, name=f"{reader}:{root}", splits={**packaged_splits(reader), **dataset.splits})
    if not dataset.samples:
        raise DatasetError(f"{root}: no images where a {reader} dataset keeps them; see docs/datasets.md")
    splits = dataset.splits
    if "test" not in splits or "train" in splits:
        return dataset
    kept = {*splits["test"], *splits.get("val", ())}
    rest = tuple(sample.name for sample in dataset.samples if sample.name not in kept)
    return replace(dataset, splits={**splits, "train": rest}, train_is_rest=True)


def read_folder(root: Path) -> Dataset:
    """Our own simple format: images/NAME.*, masks/NAME.png, dataset.toml; optional good/NAME.*, splits/NAME.txt.

    Masks may be called NAME_mask.png, NAME_gt.png or NAME_label.png as well.
    """
    settings = _read_toml(root / "dataset.toml")
    classes = _read_classes(settings, root)
    mm = settings.get("mm_per_pixel")
    if mm is not None and not (isinstance(mm, int | float) and mm > 0):
        raise DatasetError(f"{root / 'dataset.toml'}: mm_per_pixel = {mm!r} must be a number above 0")
    images = _by_name(root / "images")
    masks = _by_name(root / "masks")
    good = {f"good/{name}": image for name, image in _by_name(root / "good").items()}
    twice = sorted(good.keys() & images.keys())
    if twice:
        raise DatasetError(f"{good[twice[0]]}: same name as {images[twice[0]]}; rename one")
    paired = _paired({*images, *good}, masks)
    samples = [Sample(name, image, paired.get(name)) for name, image in images.items()]
    samples += [Sample(name, image, paired.get(name), defect_free=name not in paired) for name, image in good.items()]
    used = set(paired.values())
    return Dataset(
        name=f"folder:{root}",
        classes=classes,
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        splits=_read_splits(root),
        mm_per_pixel=None if mm is None else float(mm),
        orphans=tuple(mask for mask in masks.values() if mask not in used),
        licence=str(settings.get("licence", "not stated")),
    )


def read_sd_saliency_900(root: Path) -> Dataset:
    """SD-saliency-900: 900 images 200 x 200 of hot-rolled steel strip, 300 a class; class by file-name prefix.

    G. Song, K. Song, Y. Yan: Saliency detection for strip steel surface defects using multiple constraints and
    improved texture features, Opt. Lasers Eng. 128 (2020) 106000. Published for research; no licence stated.
    """
    prefixes = {"In": 1, "Pa": 2, "Sc": 3}
    images, masks = _by_name(root / "Source Images"), _by_name(root / "Ground truth")
    foreign = [name for name in images if name.split("_")[0] not in prefixes]
    if foreign:
        raise DatasetError(f"{images[foreign[0]]}: name starts with none of {', '.join(prefixes)}; remove the file")
    return Dataset(
        name=f"sd-saliency-900:{root}",
        classes=("inclusion", "patches", "scratches"),
        samples=tuple(Sample(n, image, masks.get(n), prefixes[n.split("_")[0]]) for n, image in images.items()),
        splits=_read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name not in images),
        licence="SD-saliency-900 (Song et al. 2020), published for research; no licence stated",
    )


def read_neu_seg(root: Path) -> Dataset:
    """NEU-Seg: 4470 images 200 x 200 of hot-rolled steel strip; mask value = class.

    Y. Dong et al.: PGA-Net: Pyramid feature fusion and global context attention network for automated surface defect
    detection, IEEE Trans. Ind. Inform. 16 (2020). Published for research; no licence stated.
    """
    samples: dict[str, Sample] = {}
    orphans: list[Path] = []
    splits: dict[str, tuple[str, ...]] = {}
    for folder, split in (("training", "train"), ("test", "test")):
        images, masks = _by_name(root / "images" / folder), _by_name(root / "annotations" / folder)
        names = {name: f"{folder}/{name}" for name in images}
        samples |= {names[n]: Sample(names[n], image, masks.get(n)) for n, image in images.items()}
        orphans += [mask for name, mask in masks.items() if name not in images]
        splits[split] = tuple(names.values())
    return Dataset(
        name=f"neu-seg:{root}",
        classes=("inclusion", "patches", "scratches"),
        samples=tuple(samples[name] for name in sorted(samples)),
        splits={**splits, **_read_splits(root)},
        orphans=tuple(orphans),
        licence="NEU-Seg (Dong et al. 2020), published for research; no licence stated",
    )


def read_nanotwice(root: Path) -> Dataset:
    """NanoTWICE: 40 anomalous and 5 normal SEM images of nanofibres, about 1024 x 700.

    D. Carrera et al.: Defect detection in SEM images of nanofibrous materials, IEEE Trans. Ind. Inform. 13 (2017).
    Published for research; no licence stated.
    """
    anomalous, masks = _by_name(root / "Anomalous" / "images"), _by_name(root / "Anomalous" / "gt")
    normal = _by_name(root / "Normal")
    samples = [Sample(name, image, masks.get(f"{name}_gt"), 1) for name, image in anomalous.items()]
    samples += [Sample(name, image, None, 1, defect_free=True) for name, image in normal.items()]
    return Dataset(
        name=f"nanotwice:{root}",
        classes=("anomaly",),
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        splits=_read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name.removesuffix("_gt") not in anomalous),
        licence="NanoTWICE (Carrera et al. 2017), published for research; no licence stated",
    )


def read_dagm(root: Path) -> Dataset:
    """DAGM 2007, the part of Class1/Test: textured surfaces 512 x 512; the mask is a rough ellipse around the defect.

    M. Wieler, T. Hahn, F. Hamprecht: Weakly supervised learning for industrial optical inspection, DAGM 2007.
    Published for research; no licence stated. An image without a label file is free of defects.
    """
    folder = root / "Class1" / "Test"
    masks = _by_name(folder / "Label")
    images = {name: image for name, image in _by_name(folder).items() if "/" not in name}
    by_image = {name: masks.get(f"{name}_label") for name in images}
    return Dataset(
        name=f"dagm:{root}",
        classes=("defect",),
        samples=tuple(Sample(n, image, by_image[n], 1, by_image[n] is None) for n, image in images.items()),
        splits=_read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name.removesuffix("_label") not in images),
        licence="DAGM 2007 (Wieler, Hahn, Hamprecht), published for research; no licence stated",
    )


READERS: Mapping[str, Callable[[Path], Dataset]] = {
    "folder": read_folder,
    "sd-saliency-900": read_sd_saliency_900,
    "neu-seg": read_neu_seg,
    "nanotwice": read_nanotwice,
    "dagm": read_dagm,
}


def packaged_splits(dataset: str) -> dict[str, tuple[str, ...]]:
    """The split lists that ship with casae for a reader's dataset, such as `dagm`; none for most."""
    return _read_splits(Path(str(files("casae.datasets"))) / "splits" / dataset, "")


def _paired(images: Container[str], masks: Mapping[str, Path]) -> dict[str, Path]:
    """The mask of each image that has one: that of its own name, or else with one of `MASK_ENDINGS` behind it."""
    paired = {name: mask for name, mask in masks.items() if name in images}
    for name, mask in masks.items():
        for ending in MASK_ENDINGS:
            image = name[: -len(ending)]
            if name not in images and name.lower().endswith(ending) and image in images:
                paired.setdefault(image, mask)
    return paired


def _read_splits(root: Path, folder: str = "splits") -> dict[str, tuple[str, ...]]:
    lists: dict[str, tuple[str, ...]] = {}
    for file in sorted((root / folder).glob("*")):
        if file.suffix.lower() != ".txt" or file.name.startswith("."):
            continue
        name = KNOWN_LISTS.get(file.stem.lower(), file.stem)
        if name in lists:
            raise DatasetError(f"{file}: is another list '{name}'; keep one")
        lists[name] = _names_in(file)
    return lists


def _names_in(file: Path) -> tuple[str, ...]:
    """Names of a list, a line each. What does not belong to a name is forgiven: `images/`, the suffix of the file."""
    lines = (line.strip().replace("\\", "/").removeprefix("images/") for line in _text(file).splitlines())
    names = filter(None, lines)
    return tuple(_same(name.rsplit(".", 1)[0] if Path(name).suffix.lower() in SUFFIXES else name) for name in names)


def _same(name: str) -> str:
    """A name in the form in which umlauts and accents are one character; files from a Mac have them as two."""
    return unicodedata.normalize("NFC", name)


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: is no text in UTF-8 ({error.reason}); save it as UTF-8") from error


def _by_name(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without suffix; sub-folders are part of the name."""
    found: dict[str, Path] = {}
    for file in find_images(folder):
        if printable(file) != str(file):
            raise DatasetError(f"{printable(file)}: the name is not UTF-8; rename the file")
        name = _same(file.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise DatasetError(f"{file}: same name as {found[name].name}; keep one, or move masks to masks/")
        found[name] = file
    return found


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_text(path))
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
