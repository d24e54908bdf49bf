"""`NAME:PATH` -> Dataset: the readers that ship with casae, and those that other packages register."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from casae import plugins
from casae.datasets.dagm import read_dagm
from casae.datasets.exported import reader
from casae.datasets.folder import read_folder
from casae.datasets.names import read_splits
from casae.datasets.nanotwice import read_nanotwice
from casae.datasets.neu_seg import read_neu_seg
from casae.datasets.published import (
    read_kolektor_sdd,
    read_kolektor_sdd2,
    read_magnetic_tile,
    read_rsdds,
    read_visa,
)
from casae.datasets.sample import Dataset
from casae.datasets.sd_saliency_900 import read_sd_saliency_900
from casae.errors import CasaeError, DatasetError
from casae.labels.formats import FORMATS

Reader = Callable[[Path], Dataset]
"""From the folder of a dataset to the dataset; raises DatasetError where the folder is laid out otherwise."""

READERS: Mapping[str, Reader] = {
    "folder": read_folder,
    "sd-saliency-900": read_sd_saliency_900,
    "neu-seg": read_neu_seg,
    "nanotwice": read_nanotwice,
    "dagm": read_dagm,
    "kolektor-sdd": read_kolektor_sdd,
    "kolektor-sdd2": read_kolektor_sdd2,
    "visa": read_visa,
    "magnetic-tile": read_magnetic_tile,
    "rsdds": read_rsdds,
    **{name: reader(name) for name in FORMATS},
}
PLACES = {  # where each keeps its images
    "folder": "images/",
    "sd-saliency-900": "Source Images/",
    "neu-seg": "images/training/ and images/test/",
    "nanotwice": "Anomalous/images/",
    "dagm": "Class1/Test/",
    "kolektor-sdd": "kos01/, kos02/ ...",
    "kolektor-sdd2": "train/ and test/",
    "visa": "Data/Images/",
    "magnetic-tile": "MT_Blowhole/Imgs/ ...",
    "rsdds": "Rail surface images/",
}
ENTRY_POINTS = "casae.datasets"  # group in which other packages register a `Reader` by its name


def open_dataset(spec: str) -> Dataset:
    """Open `READER:PATH`; the reader is one of `READERS`, or of another package.

    With a list `test` and none called `train`, the latter is what neither `test` nor `val` names.

    Raises:
        DatasetError: unknown reader, the folder is not laid out as the reader expects, or the reader of another package
            fails.
    """
    name, colon, path = spec.partition(":")
    read = plugins.find(ENTRY_POINTS, name, READERS, DatasetError) if colon else None
    if read is None:
        known = ", ".join(f"{each}:PATH" for each in plugins.names(ENTRY_POINTS, READERS))
        meant = f"; is folder:{spec} meant?" if _home_expanded(Path(spec)).is_dir() else ""
        raise DatasetError(f"{spec}: a dataset is named {known}{meant}")
    root = _home_expanded(Path(path))
    if not root.is_dir() and name not in FORMATS:
        files = PLACES.get(name, f"the files of {name}")
        raise DatasetError(f"{root}: no such folder; name the one that holds {files}")
    dataset = _read(name, read, root)
    lists = {**packaged_splits(name), **dataset.splits}
    dataset = replace(dataset, name=f"{name}:{root}", splits=lists, copies=packaged_copies(name))
    if not dataset.samples:
        place = f"in {PLACES[name]}" if name in PLACES else f"that the reader {name} knows"
        raise DatasetError(f"{root}: no images {place}; name the folder that holds them, or put them there")
    splits = dataset.splits
    if "test" not in splits or "train" in splits:
        return dataset
    kept = {*splits["test"], *splits.get("val", ())}
    rest = tuple(sample.name for sample in dataset.samples if sample.name not in kept)
    return replace(dataset, splits={**splits, "train": rest}, train_is_rest=True)


def _read(name: str, read: Reader, root: Path) -> Dataset:
    """The dataset that a reader makes, which may be the work of others."""
    try:
        dataset = read(root)
    except CasaeError:
        raise
    except Exception as error:
        if name in READERS:
            raise
        problem = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{root}: the reader '{name}' failed ({problem}); tell those who wrote it") from error
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"{root}: the reader '{name}' returned no Dataset; tell those who wrote it")
    repeated = [each for each, count in Counter(sample.name for sample in dataset.samples).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{root}: {len(repeated)} names stand for several images, such as {repeated[0]}; rename them"
        )
    return dataset


def _home_expanded(path: Path) -> Path:
    """With the user's folder in the place of `~`; as it is for a user who has none."""
    with suppress(RuntimeError):
        return path.expanduser()
    return path


def packaged_splits(dataset: str) -> dict[str, tuple[str, ...]]:
    """The split lists that ship with casae for a reader's dataset, such as `dagm`; none for most."""
    return read_splits(Path(str(files("casae.datasets"))) / "splits" / dataset, "")


def packaged_copies(dataset: str) -> dict[str, str]:
    """Image -> group of copies, by the list that ships with casae for a reader's dataset; none for most."""
    file = Path(str(files("casae.datasets"))) / "groups" / f"{dataset}.txt"
    if not file.is_file():
        return {}
    groups = [line.split() for line in file.read_text("utf-8").splitlines()]
    return {name: group[0] for group in groups for name in group}
