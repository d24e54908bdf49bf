"""DAGM 2007: textured surfaces."""

from pathlib import Path

from casae.datasets.masks import mask_of
from casae.datasets.names import by_name, read_splits
from casae.datasets.sample import Dataset, KnownGood, Sample


def read_dagm(root: Path) -> Dataset:
    """DAGM 2007, the part of Class1/Test: textured surfaces 512 x 512; the mask is a rough ellipse around the defect.

    M. Wieler, T. Hahn, F. Hamprecht: Weakly supervised learning for industrial optical inspection, DAGM 2007.
    Published for research; no licence stated. An image without a label file is free of defects.
    """
    folder = root / "Class1" / "Test"
    masks = by_name(folder / "Label")
    images = {name: image for name, image in by_name(folder).items() if "/" not in name}
    labels = {name: mask_of(masks.get(f"{name}_label"), 1) or KnownGood() for name in images}
    return Dataset(
        name=f"dagm:{root}",
        classes=("defect",),
        samples=tuple(Sample(name, image, labels[name]) for name, image in images.items()),
        splits=read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name.removesuffix("_label") not in images),
        licence="DAGM 2007 (Wieler, Hahn, Hamprecht), published for research; no licence stated",
    )
