"""SD-saliency-900: hot-rolled steel strip."""

from pathlib import Path

from casae.datasets.masks import mask_of
from casae.datasets.names import by_name, read_splits
from casae.datasets.sample import Dataset, Sample
from casae.errors import DatasetError


def read_sd_saliency_900(root: Path) -> Dataset:
    """SD-saliency-900: 900 images 200 x 200 of hot-rolled steel strip, 300 a class; class by file-name prefix.

    G. Song, K. Song, Y. Yan: Saliency detection for strip steel surface defects using multiple constraints and
    improved texture features, Opt. Lasers Eng. 128 (2020) 106000. Published for research; no licence stated.
    """
    prefixes = {"In": 1, "Pa": 2, "Sc": 3}
    images, masks = by_name(root / "Source Images"), by_name(root / "Ground truth")
    foreign = [name for name in images if name.split("_")[0] not in prefixes]
    if foreign:
        raise DatasetError(f"{images[foreign[0]]}: name starts with none of {', '.join(prefixes)}; remove the file")
    return Dataset(
        name=f"sd-saliency-900:{root}",
        classes=("inclusion", "patches", "scratches"),
        samples=tuple(
            Sample(n, image, mask_of(masks.get(n), prefixes[n.split("_")[0]])) for n, image in images.items()
        ),
        splits=read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name not in images),
        licence="SD-saliency-900 (Song et al. 2020), published for research; no licence stated",
    )
