"""What a label file says: pictures, the shapes on them, the names of their classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Self

from casae.decoding import size_of
from casae.errors import DatasetError, ImageError
from casae.files import find_images, read_text
from casae.labels.shapes import Shape


@dataclass(frozen=True)
class Picture:
    """A picture and what is labelled on it.

    Attributes:
        name: its path as the label file has it, with suffix.
        file: the picture; None where it was not found.
        width, height: px, as the tool that labelled it saw it.
        shapes: later ones lie over earlier ones.
        labelled: whether anybody looked; without shapes it then shows no defect.
        extra: what else the tool's file says of it, by the tool's own keys.
        source: the file that says it.
    """

    name: str
    file: Path | None
    width: int
    height: int
    shapes: tuple[Shape, ...] = ()
    labelled: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None


@dataclass(frozen=True)
class LabelSet:
    """All that a label file or folder says.

    Attributes:
        format: that it was read from.
        classes: names, in the order of their label values.
        pictures: in the order of the file.
        extra: what else it says, by the tool's own keys.
        notes: what could not be taken over.
        splits: lists of names of pictures, by their usual names, where the format has such.
    """

    format: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def known_size(file: Path) -> tuple[int, int]:
    """(height, width) of a picture; 0, 0 of one that cannot be read, which is named where its pixels are needed."""
    try:
        return size_of(file)
    except ImageError:
        return 0, 0


def text_of(file: Path) -> str:
    """The text of a label file.

    Raises:
        DatasetError: it cannot be read, or is no text in UTF-8.
    """
    try:
        return read_text(file)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: is no text in UTF-8 ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror}); check the path") from error


class Images:
    """The pictures that a label file names: by their path below one of some folders, or by its end.

    Args:
        roots: folders below which the path may stand as it is, the likeliest first.
        deep: those that are searched with their sub-folders.
    """

    def __init__(self, roots: Sequence[Path], deep: Sequence[Path]) -> None:
        self._roots = roots
        self._deep = [root for root in dict.fromkeys(deep) if root.is_dir()]

    @classmethod
    def near(cls, file: Path) -> Self:
        """Those that a label file may mean: beside it, in `images/` beside it or beside its folder, or above."""
        folder = file.parent
        above = folder.parent / "images"
        return cls([folder, folder / "images", above, folder.parent], [folder, above])

    def find(self, name: str, place: str) -> Path | None:
        """The picture that is meant; None where there is none.

        Args:
            name: its path as the label file has it.
            place: of the name, for the error.

        Raises:
            DatasetError: two pictures have this name in different folders.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        for root in self._roots:
            file = root / wanted
            if file.is_file():
                return file
        same = self._files.get(wanted.name, [])
        for length in range(len(wanted.parts), 0, -1):
            end = wanted.parts[-length:]
            meant = [file for file in same if file.parts[-length:] == end]
            if len(meant) == 1:
                return meant[0]
            if meant:
                both = " and ".join(map(str, meant[:2]))
                raise DatasetError(f"{place}: {name} could be {both}; write the folder before the name, or keep one")
        return None

    def named(self, stem: str) -> list[Path]:
        """Pictures of this name without suffix."""
        return [file for files in self._files.values() for file in files if file.stem == stem]

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """All pictures below the folders, by their name."""
        found: dict[str, list[Path]] = {}
        for file in sorted({file for root in self._deep for file in find_images(root)}):
            found.setdefault(file.name, []).append(file)
        return found
