"""Files of a dataset by name: images, the masks that belong to them, and lists of names."""

import re
from collections.abc import Container, Mapping
from pathlib import Path

from casae.errors import DatasetError
from casae.files import SUFFIXES, find_images, printable, read_text, unusable_name
from casae.labels.labelset import one_form

MASK_ENDINGS = ("_mask", "_gt", "_label")  # of masks, in upper or lower case, behind the name of their image
ENDED = re.compile(rf"(?P<image>.+?)(?P<ending>{'|'.join(MASK_ENDINGS)})([_-]?(?P<number>\d{{1,9}}))?", re.IGNORECASE)
KNOWN_LISTS = {  # in upper or lower case
    **{name: name for name in ("train", "val", "test")},
    **{"training": "train", "valid": "val", "validation": "val", "testing": "test"},
}


def paired_masks(images: Container[str], masks: Mapping[str, Path]) -> dict[str, tuple[Path, ...]]:
    """The masks of each image that has some: that of its own name, or else those with one of `MASK_ENDINGS` behind it.

    Behind an ending there may be a number: then each shows a part of the defects.
    """
    paired: dict[str, tuple[Path, ...]] = {name: (mask,) for name, mask in masks.items() if name in images}
    others: dict[tuple[str, int], list[tuple[int, Path]]] = {}
    for name, mask in masks.items():
        parts = ENDED.fullmatch(name)
        if parts and name not in images and parts["image"] in images:
            ending = MASK_ENDINGS.index(parts["ending"].lower())
            others.setdefault((parts["image"], ending), []).append((int(parts["number"] or -1), mask))
    for (image, _), numbered in sorted(others.items(), key=lambda item: item[0][1]):
        paired.setdefault(image, tuple(mask for _, mask in sorted(numbered)))
    return paired


def read_splits(root: Path, folder: str = "splits") -> dict[str, tuple[str, ...]]:
    """The lists `folder/NAME.txt` of a dataset by NAME, those that are usually there by their usual names.

    Raises:
        DatasetError: two files are one list, or a file is no text.
    """
    lists: dict[str, tuple[str, ...]] = {}
    for file in sorted((root / folder).glob("*")):
        if file.suffix.lower() != ".txt" or file.name.startswith("."):
            continue
        name = KNOWN_LISTS.get(file.stem.lower(), file.stem)
        if name in lists:
            raise DatasetError(f"{file}: is another list '{name}'; keep one")
        lists[name] = names_in(file)
    return lists


def names_in(file: Path) -> tuple[str, ...]:
    """Names of a list, a line each. What does not belong to a name is forgiven: `images/`, the suffix of the file."""
    lines = (line.strip().replace("\\", "/").removeprefix("images/") for line in text_of(file).splitlines())
    names = filter(None, lines)
    return tuple(one_form(name.rsplit(".", 1)[0] if Path(name).suffix.lower() in SUFFIXES else name) for name in names)


def as_listed(name: str, suffix: str) -> str:
    """How a list names a picture: with what would otherwise be taken for no part of its name."""
    listed = f"images/{name}" if name.startswith("images/") else name
    return f"{listed}{suffix}" if Path(name).suffix.lower() in SUFFIXES else listed


def text_of(file: Path) -> str:
    """The text of a file of a dataset.

    Raises:
        DatasetError: it is no text in UTF-8.
    """
    try:
        return read_text(file)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: is no text in UTF-8 ({error.reason}); save it as UTF-8") from error


def by_name(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without suffix; sub-folders are part of the name."""
    found: dict[str, Path] = {}
    for file in find_images(folder):
        problem = unusable_name(file)
        if problem:
            raise DatasetError(f"{printable(file)}: {problem}")
        name = one_form(file.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise DatasetError(f"{file}: same name as {found[name].name}; keep one, or move masks to masks/")
        found[name] = file
    return found
