"""NanoTWICE: SEM images of nanofibres."""

from pathlib import Path

from casae.datasets.masks import mask_of
from casae.datasets.names import by_name, read_splits
from casae.datasets.sample import Dataset, KnownGood, Sample


def read_nanotwice(root: Path) -> Dataset:
    """NanoTWICE: 40 anomalous and 5 normal SEM images of nanofibres, about 1024 x 700.

    D. Carrera et al.: Defect detection in SEM images of nanofibrous materials, IEEE Trans. Ind. Inform. 13 (2017).
    Published for research; no licence stated.
    """
    anomalous, masks = by_name(root / "Anomalous" / "images"), by_name(root / "Anomalous" / "gt")
    normal = by_name(root / "Normal")
    samples = [Sample(name, image, mask_of(masks.get(f"{name}_gt"), 1)) for name, image in anomalous.items()]
    samples += [Sample(name, image, KnownGood()) for name, image in normal.items()]
    return Dataset(
        name=f"nanotwice:{root}",
        classes=("anomaly",),
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        splits=read_splits(root),
        orphans=tuple(mask for name, mask in masks.items() if name.removesuffix("_gt") not in anomalous),
        licence="NanoTWICE (Carrera et al. 2017), published for research; no licence stated",
    )
