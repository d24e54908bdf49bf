"""What a label file says: pictures, the shapes on them, the names of their classes."""

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
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
        within: out of which no path leads; by default, that of the first folder.
    """

    def __init__(self, roots: Sequence[Path], deep: Sequence[Path], within: Path | None = None) -> None:
        self._roots = roots
        self._within = os.path.normpath(within or (roots[0].parent if roots else Path()))
        self._deep = [root for root in dict.fromkeys(deep) if root.is_dir()]

    @classmethod
    def near(cls, file: Path, part: str = "") -> Self:
        """Those that a label file may mean: beside it, in `images/` beside it or beside its folder, or above.

        Args:
            file: of labels.
            part: folder there that is meant first, such as `train` for `instances_train.json`; empty for none.
        """
        folder = file.parent
        above = folder.parent / "images"
        places = [folder, folder / "images", above, folder.parent]
        first = [place / part for place in places] if part else []
        deep = [folder, above, *(place for place in first if place.parent == folder.parent)]
        return cls([*first, *places], deep, folder.parent)

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
            if self._is_near(file) and file.is_file():
                return file
        same = self._files.get(one_form(wanted.name), [])
        parts = PurePosixPath(one_form(str(wanted))).parts
        for length in range(len(parts), 0, -1):
            end = parts[-length:]
            meant = [file for file in same if PurePosixPath(one_form(file.as_posix())).parts[-length:] == end]
            if len(meant) == 1:
                return meant[0]
            if meant:
                both = " and ".join(map(str, meant[:2]))
                raise DatasetError(f"{place}: {name} could be {both}; write the folder before the name, or keep one")
        return None

    def like(self, fits: Callable[[str], bool]) -> Path | None:
        """The only picture whose name without folders fits; None where none does, or several."""
        found = [files for name, files in self._files.items() if fits(name)]
        return found[0][0] if len(found) == 1 and len(found[0]) == 1 else None

    def named(self, stem: str) -> list[Path]:
        """Pictures of this name without suffix."""
        return self._stems.get(one_form(stem), [])

    def _is_near(self, file: Path) -> bool:
        """Whether a path leads nowhere else: who wrote it may not know what lies there."""
        return Path(os.path.normpath(file)).is_relative_to(self._within)

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """All pictures below the folders, by their name."""
        found: dict[str, list[Path]] = {}
        for file in sorted({file for root in self._deep for file in find_images(root)}):
            found.setdefault(one_form(file.name), []).append(file)
        return found

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for name, files in self._files.items():
            found.setdefault(PurePosixPath(name).stem, []).extend(files)
        return found


def one_form(name: str) -> str:
    """A name in the form in which umlauts and accents are one character; files from a Mac have them as two."""
    return unicodedata.normalize("NFC", name)
