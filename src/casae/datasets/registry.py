"""`NAME:PATH` -> Dataset: the readers that ship with casae, and those that other packages register."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from casae.datasets.dagm import read_dagm
from casae.datasets.folder import read_folder
from casae.datasets.names import read_splits
from casae.datasets.nanotwice import read_nanotwice
from casae.datasets.neu_seg import read_neu_seg
from casae.datasets.sample import Dataset
from casae.datasets.sd_saliency_900 import read_sd_saliency_900
from casae.errors import DatasetError

READERS: Mapping[str, Callable[[Path], Dataset]] = {
    "folder": read_folder,
    "sd-saliency-900": read_sd_saliency_900,
    "neu-seg": read_neu_seg,
    "nanotwice": read_nanotwice,
    "dagm": read_dagm,
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


def packaged_splits(dataset: str) -> dict[str, tuple[str, ...]]:
    """The split lists that ship with casae for a reader's dataset, such as `dagm`; none for most."""
    return read_splits(Path(str(files("casae.datasets"))) / "splits" / dataset, "")
