"""Paths and texts of files: which are images, names that can be written, files read and written whole."""

import codecs
import csv
import errno
import os
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from casae.config import Frozen, first_problem
from casae.errors import OutputError, UsageError

Settings = TypeVar("Settings", bound=Frozen)

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".pbm"}
)
UNREAD_SUFFIXES = frozenset(  # of pictures that nothing here reads
    {".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".exr", ".hdr", ".pfm", ".dng", ".cr2", ".cr3", ".nef"}
    | {".arw", ".raw", ".dcm", ".fits", ".svg", ".psd", ".ico", ".tga", ".mpo", ".czi", ".nd2", ".lif", ".svs"}
)
COMMANDS = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode that nothing shows
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # the order in which text is read
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins so


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or in what Windows writes: UTF-8 or UTF-16 with a mark at the beginning.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no such text.
    """
    data = file.read_bytes()
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return data.decode(encoding)


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no TOML; says why in few words.
    """
    try:
        return tomllib.loads(read_text(file))
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        raise ValueError(str(error).split("\n")[0][:120]) from error


def settings_of(kind: type[Settings], path: str | Path, way: str, mend: Callable[[str, bool], str]) -> Settings:
    """The content of a TOML file as settings of a kind.

    Args:
        kind: of settings.
        path: of the file.
        way: out, where it is no TOML.
        mend: from the name of a setting that breaks a rule, and whether there is none of that name, to a way out.

    Raises:
        UsageError: not readable, or it breaks a rule; names line and column.
    """
    file = Path(path)
    try:
        return kind.model_validate(read_toml(file))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{place_in_toml(file, first['loc'])}: {first_problem(error)}"
        *_, name = ("", *first["loc"])  # of a rule about the whole file there is none
        more = mend(str(name), first["type"] == "extra_forbidden")
        raise UsageError(f"{said}; {more}" if more else said) from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML ({error}); {way}") from error


def place_in_toml(file: Path, steps: Sequence[str | int]) -> str:
    """The file and where in it a key stands, such as "rules.toml, line 3, column 1".

    Args:
        file: that was read.
        steps: a table, its number and the key, such as ("rule", 1, "class"), as pydantic gives them.
    """
    line, column = _line_in_toml(read_text(file), steps)
    return f"{file}, line {line}, column {column}"


def _line_in_toml(text: str, steps: Sequence[str | int]) -> tuple[int, int]:
    """Line and column, from 1, of a key; else of what stands above it."""
    table = str(steps[0]) if steps else ""
    number = steps[1] if len(steps) > 1 and isinstance(steps[1], int) else 0
    keys = [step for step in steps[1:] if isinstance(step, str)]
    found, inside, seen = (1, 1), False, -1
    for index, line in enumerate(text.splitlines(), start=1):
        head = re.match(r"\s*\[{1,2}\s*\"?([^\]\"]+?)\"?\s*\]", line)
        key = re.match(r"\s*\"?([^\s=\"]+)\"?\s*=", line)
        if head:
            seen += head[1] == table
            inside = head[1] == table and seen == number
            if inside:
                found = index, line.index("[") + 1
        elif key and ((inside and keys and key[1] == keys[0]) or (seen < 0 and key[1] == table)):
            return index, line.index(key[1]) + 1
    return found


def printable(path: Path | str) -> str:
    r"""A path as text in UTF-8, whatever the locale; bytes that are not UTF-8 as \xNN.

    >>> printable("line 3/part.png")
    'line 3/part.png'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_of(text: str) -> Path:
    """The path that `printable` wrote; that of another one where its name was no UTF-8."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def without_controls(text: str) -> str:
    r"""A text without characters that command a terminal: they are written as \xNN.

    >>> without_controls("part\x1b[31m.png")
    'part\\x1b[31m.png'
    """
    if text.isprintable():
        return text
    return "".join(f"\\x{ord(c):02x}" if _commands(c) else c for c in text)


def _commands(character: str) -> bool:
    """Whether a character does something to a terminal or turns the order of what is read, instead of being shown."""
    return character not in "\n\t" and (character in TURNS or unicodedata.category(character) in COMMANDS)


def unusable_name(path: Path) -> str:
    """Why the name of a file cannot stand in a record, empty if it can."""
    try:
        text = os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return "the name is not UTF-8; rename the file"
    return "" if without_controls(text) == text else "the name holds control characters; rename the file"


@dataclass
class Found:
    """What lies in a folder.

    Attributes:
        images: files that are read, sorted.
        left_out: path -> why a picture, a link or a folder was not looked at.
        others: other files, of which nobody expects to be inspected.
    """

    images: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    others: int = 0


def find_images(path: Path) -> list[Path]:
    """Image files under a folder, recursive, sorted; hidden ones left out. See `look_for_images`."""
    return look_for_images(path).images


def look_for_images(path: Path) -> Found:
    """Image files under a folder, recursive, sorted, and what is not looked at; hidden files are passed over."""
    found = Found()
    for file in files_under(path, found.left_out):
        suffix = file.suffix.lower()
        if suffix not in SUFFIXES | UNREAD_SUFFIXES:
            found.others += 1
        elif suffix in UNREAD_SUFFIXES:
            found.left_out[printable(file)] = f"{suffix} is not read; save it as PNG"
        elif not os.path.lexists(file) or not is_file(file):
            why = "leads to no file; mend the link" if file.is_symlink() else "is no ordinary file, and is passed over"
            found.left_out[printable(file)] = why
        else:
            found.images.append(file)
    found.images.sort()
    return found


def is_file(file: Path) -> bool:
    """Whether a path leads to an ordinary file; False also where that may not be looked at."""
    return os.path.isfile(file)  # noqa: PTH113  # which raises nothing


def files_under(path: Path, left_out: dict[str, str]) -> Iterator[Path]:
    """Also where links lead, each folder once, real ones before links; however deep they are nested."""
    seen: set[str] = set()
    real, linked = [str(path)], list[str]()
    while real or linked:
        folder = real.pop() if real else linked.pop()
        here = os.path.realpath(folder)
        if here in seen:
            continue
        seen.add(here)
        try:
            with os.scandir(folder) as entries:
                inside = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_by_name)
        except OSError as error:
            left_out[printable(folder)] = f"cannot be read ({error.strerror}); check its permissions"
            continue
        for entry in inside:
            if not _is_folder(entry):
                yield Path(entry.path)
            elif entry.is_symlink():
                linked.append(entry.path)
            else:
                real.append(entry.path)


def _by_name(entry: "os.DirEntry[str]") -> str:
    return entry.name


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Also where a link leads to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def write_whole(file: Path, content: str | bytes, advice: str = "choose another place") -> None:
    """Write a file so that a kill leaves the old one or the new one, never half of one; makes its folder.

    Raises:
        OutputError: the disk does not take it; `advice` is the way out.
    """
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_new(part, content.encode() if isinstance(content, str) else content)
        part.replace(file)
    except OSError as error:
        raise OutputError(f"{printable(file)}: cannot be written ({error.strerror}); {advice}") from error


def write_new(file: Path, content: bytes) -> None:
    """Write a file anew; where a link has its name, the link goes and what it leads to stays as it is.

    Raises:
        OSError: the disk does not take it.
    """
    if file.is_symlink():
        file.unlink()
    file.write_bytes(content)


def write_durably(file: Path, data: bytes, waits: bool = True) -> None:
    """Write a file whole and, unless told otherwise, wait for the disk; several may write the same one at once.

    Raises:
        OutputError: the disk does not take it.
    """
    part = file.with_name(f".{uuid4().hex}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if waits:
                os.fsync(stream.fileno())
        part.replace(file)
        if waits and os.name == "posix":  # the name is in the folder, which is written later otherwise
            folder = os.open(file.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"{printable(file)}: cannot be written ({error.strerror}); free space, try it again"
        ) from error


def common_folder(folders: Collection[Path]) -> str:
    """The folder that all are in; empty where there is none, as with two drives."""
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return ""


def within(path: str, folder: str) -> str:
    """A path as seen from a folder that it is in; as it is without one."""
    return os.path.relpath(path, folder) if folder else path


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table that spreadsheets open as it is; a kill or a full disk leaves the one before.

    Raises:
        OutputError: the disk does not take it.
    """
    part = file.with_name(f"{file.name}.part")
    try:
        if part.is_symlink():
            part.unlink()
        with part.open("w", newline="", encoding="utf-8-sig") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows([_harmless(cell) for cell in row] for row in rows)
        part.replace(file)
    except OSError as error:
        raise unwritten(file, error) from error


def _harmless(cell: object) -> object:
    """Text that a spreadsheet would run as a formula, with a quote before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def unwritten(place: Path, error: OSError) -> OutputError:
    """The error of a place that cannot be written, with a way out."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free space, start again" if is_full else "close it elsewhere, or choose another --out"
    return OutputError(f"{printable(place)}: cannot be written ({error.strerror}); {advice}")
