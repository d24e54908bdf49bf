"""NEU-Seg: hot-rolled steel strip, the class of every pixel."""

from pathlib import Path

from casae.datasets.masks import mask_of
from casae.datasets.names import by_name, read_splits
from casae.datasets.sample import Dataset, Sample


def read_neu_seg(root: Path) -> Dataset:
    """NEU-Seg: 4470 images 200 x 200 of hot-rolled steel strip; mask value = class.

    Y. Dong et al.: PGA-Net: Pyramid feature fusion and global context attention network for automated surface defect
    detection, IEEE Trans. Ind. Inform. 16 (2020). Published for research; no licence stated.
    """
    samples: dict[str, Sample] = {}
    orphans: list[Path] = []
    splits: dict[str, tuple[str, ...]] = {}
    for folder, split in (("training", "train"), ("test", "test")):
        images, masks = by_name(root / "images" / folder), by_name(root / "annotations" / folder)
        names = {name: f"{folder}/{name}" for name in images}
        samples |= {names[n]: Sample(names[n], image, mask_of(masks.get(n))) for n, image in images.items()}
        orphans += [mask for name, mask in masks.items() if name not in images]
        splits[split] = tuple(names.values())
    return Dataset(
        name=f"neu-seg:{root}",
        classes=("inclusion", "patches", "scratches"),
        samples=tuple(samples[name] for name in sorted(samples)),
        splits={**splits, **read_splits(root)},
        orphans=tuple(orphans),
        licence="NEU-Seg (Dong et al. 2020), published for research; no licence stated",
    )
