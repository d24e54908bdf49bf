"""Published sets of surfaces in the layout in which their authors give them away."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from casae.datasets.masks import MaskLabel
from casae.datasets.names import by_name, read_splits, text_of
from casae.datasets.sample import Dataset, KnownGood, Label, Sample
from casae.errors import DatasetError

TILES = {  # folders of Magnetic-Tile, and what they show
    "MT_Blowhole": "blowhole",
    "MT_Break": "break",
    "MT_Crack": "crack",
    "MT_Fray": "fray",
    "MT_Uneven": "uneven",
}
GOOD_TILES = "MT_Free"
RAILS = {"Type-I RSDDs dataset": "type-1", "Type-II RSDDs dataset": "type-2"}
NORMAL = "normal"


def painted(mask: Path, value: int = 1) -> MaskLabel:
    """A mask in which whatever is not 0 is a defect of this class."""
    return MaskLabel((mask,), value, "any")


def read_kolektor_sdd(root: Path) -> Dataset:
    """KolektorSDD: 399 pictures about 500 x 1260 of 50 electrical commutators, `kos01/Part0.jpg` ... of each.

    D. Tabernik, S. Sela, J. Skvarc, D. Skocaj: Segmentation-based deep-learning approach for surface-defect detection,
    J. Intell. Manuf. 31 (2020) 759. CC BY-NC-SA 4.0. Pictures of one commutator belong on one side of a split.
    """
    files = by_name(root)
    images = {name: file for name, file in files.items() if not name.endswith("_label")}
    masks = {name.removesuffix("_label"): file for name, file in files.items() if name.endswith("_label")}
    return _dataset(
        f"kolektor-sdd:{root}",
        ("crack",),
        images,
        {name: painted(mask) for name, mask in masks.items()},
        read_splits(root),
        "KolektorSDD (Tabernik et al. 2020), CC BY-NC-SA 4.0: not for commercial use",
        orphans=[mask for name, mask in masks.items() if name not in images],
    )


def read_kolektor_sdd2(root: Path) -> Dataset:
    """KolektorSDD2: 3335 colour pictures about 230 x 630 of one product, `train/10000.png` with `10000_GT.png` ...

    J. Bozic, D. Tabernik, D. Skocaj: Mixed supervision for surface-defect detection: from weakly to fully supervised
    learning, Comput. Ind. 129 (2021) 103459. CC BY-NC-SA 4.0.
    """
    files = {f"{part}/{name}": file for part in ("train", "test") for name, file in by_name(root / part).items()}
    images = {name: file for name, file in files.items() if not name.endswith("_GT")}
    masks = {name.removesuffix("_GT"): file for name, file in files.items() if name.endswith("_GT")}
    splits = {part: tuple(name for name in images if name.startswith(part)) for part in ("train", "test")}
    return _dataset(
        f"kolektor-sdd2:{root}",
        ("defect",),
        images,
        {name: painted(mask) for name, mask in masks.items()},
        splits | read_splits(root),
        "KolektorSDD2 (Bozic et al. 2021), CC BY-NC-SA 4.0: not for commercial use",
        orphans=[mask for name, mask in masks.items() if name not in images],
    )


def read_visa(root: Path) -> Dataset:
    """VisA: one of twelve products, `candle/Data/Images/Normal`, `Anomaly`, `Data/Masks/Anomaly`, `image_anno.csv`.

    Y. Zou, J. Jeong, L. Pemula, D. Zhang, O. Dabeer: SPot-the-difference self-supervised pre-training for anomaly
    detection and segmentation, ECCV 2022. CC BY 4.0. Lists are those of `split_csv/1cls.csv` beside the product, where
    it is there: `train` has good pictures alone.
    """
    images = by_name(root / "Data" / "Images")
    masks = by_name(root / "Data" / "Masks")
    labels: dict[str, Label] = {name: KnownGood() for name in images if name.startswith("Normal/")}
    labels |= {name: painted(mask) for name, mask in masks.items() if name in images}
    return _dataset(
        f"visa:{root}",
        ("anomaly",),
        images,
        labels,
        _visa_lists(root, images) | read_splits(root),
        "VisA (Zou et al. 2022), CC BY 4.0",
        orphans=[mask for name, mask in masks.items() if name not in images],
    )


def _visa_lists(root: Path, images: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    file = root.absolute().parent / "split_csv" / "1cls.csv"
    if not file.is_file():
        return {}
    lists: dict[str, list[str]] = {}
    prefix = f"{root.absolute().name}/Data/Images/"
    for row in csv.DictReader(text_of(file).splitlines()):
        if not {"object", "split", "image"} <= row.keys():
            raise DatasetError(f"{file}: has no columns object, split and image; take the file of the set")
        name = Path(str(row["image"])).with_suffix("").as_posix().removeprefix(prefix)
        if row["object"] == root.absolute().name and name in images:
            lists.setdefault(str(row["split"]), []).append(name)
    return {name: tuple(names) for name, names in lists.items()}


def read_magnetic_tile(root: Path) -> Dataset:
    """Magnetic-Tile: 1344 pictures of magnetic tiles, `MT_Blowhole/Imgs/NAME.jpg` with `NAME.png` as its mask.

    Y. Huang, C. Qiu, K. Yuan: Surface defect saliency of magnetic tile, Vis. Comput. 36 (2020) 85. Published for
    research; no licence stated.
    """
    images: dict[str, Path] = {}
    labels: dict[str, Label] = {}
    orphans = []
    for folder in (*TILES, GOOD_TILES):
        pictures = {file.stem: file for file in sorted((root / folder / "Imgs").glob("*.jpg"))}
        masks = {file.stem: file for file in sorted((root / folder / "Imgs").glob("*.png"))}
        images |= {f"{folder}/{name}": file for name, file in pictures.items()}
        if folder == GOOD_TILES:
            labels |= {f"{folder}/{name}": KnownGood() for name in pictures}
            continue
        value = 1 + list(TILES).index(folder)
        labels |= {f"{folder}/{name}": painted(mask, value) for name, mask in masks.items() if name in pictures}
        orphans += [mask for name, mask in masks.items() if name not in pictures]
    licence = "Magnetic-Tile (Huang et al. 2020), published for research; no licence stated"
    return _dataset(f"magnetic-tile:{root}", tuple(TILES.values()), images, labels, read_splits(root), licence, orphans)


def read_rsdds(root: Path) -> Dataset:
    """RSDDs: 67 pictures 160 x 1000 of express and 128 of 55 x 1250 of common rails.

    `Type-I RSDDs dataset/Rail surface images/NAME.jpg` with `GroundTruth/NAME.jpg`, and `Type-II ...`; PATH may be one
    of both too. J. Gan, Q. Li, J. Wang, H. Yu: A hierarchical extractor-based visual rail surface inspection system,
    IEEE Sens. J. 17 (2017) 7935. Published for research; no licence stated.
    """
    parts = {root / folder: f"{name}/" for folder, name in RAILS.items() if (root / folder).is_dir()} or {root: ""}
    images: dict[str, Path] = {}
    labels: dict[str, Label] = {}
    orphans = []
    for folder, prefix in parts.items():
        pictures, masks = by_name(folder / "Rail surface images"), by_name(folder / "GroundTruth")
        images |= {prefix + name: file for name, file in pictures.items()}
        labels |= {prefix + name: painted(mask) for name, mask in masks.items() if name in pictures}
        orphans += [mask for name, mask in masks.items() if name not in pictures]
    licence = "RSDDs (Gan et al. 2017), published for research; no licence stated"
    return _dataset(f"rsdds:{root}", ("defect",), images, labels, read_splits(root), licence, orphans)


def _dataset(
    name: str,
    classes: tuple[str, ...],
    images: Mapping[str, Path],
    labels: Mapping[str, Label],
    splits: Mapping[str, tuple[str, ...]],
    licence: str,
    orphans: Iterable[Path],
) -> Dataset:
    return Dataset(
        name=name,
        classes=classes,
        samples=tuple(Sample(each, images[each], labels.get(each)) for each in sorted(images)),
        splits=dict(splits),
        orphans=tuple(orphans),
        licence=licence,
    )
