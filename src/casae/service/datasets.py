"""Datasets that are uploaded as a zip: unpacked within limits, whole or not at all."""

import errno
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from casae.errors import CasaeError, DatasetError, OutputError, UsageError
from casae.service.home import Home, check_name

MOST_FILES, MOST_BYTES = 100_000, 20 * 10**9
MOST_DENSE = 200  # bytes unpacked of one packed: pictures hardly pack
CHUNK = 2**20
OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")
ODD = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL}


def add_dataset(home: Home, name: str, packed: BinaryIO) -> int:
    """Unpack a zip as a dataset of the home; how many files it has.

    Raises:
        DatasetError: it is no zip, leads out of its folder, or is too large.
        UsageError: the name cannot be, or is taken.
        OutputError: the disk does not take it.
    """
    target = home.datasets / check_name(name)
    if target.exists():
        raise UsageError(f"{name}: there is such a dataset; choose another name")
    try:
        with tempfile.TemporaryDirectory(dir=home.passing) as place:
            whole = Path(place) / "whole"
            count = _unpack(packed, whole, name, shutil.disk_usage(home.folder).free / 2)
            if not count:
                raise DatasetError(f"{name}: the zip holds no file; pack the folder of the dataset")
            inside = list(whole.iterdir())
            packed_folder = inside[0] if len(inside) == 1 and inside[0].is_dir() else whole  # as people pack it
            packed_folder.rename(target)
    except OSError as error:
        if error.errno in ODD:
            raise DatasetError(f"{name}: two files of it cannot be side by side ({error}); pack it again") from error
        raise OutputError(f"{name}: cannot be written ({error.strerror}); free space, send it again") from error
    except CasaeError:
        raise
    except Exception as error:  # what is wrong with a zip is said by errors of many kinds
        raise DatasetError(f"{name}: is no whole zip without a password ({error}); pack it again") from error
    return count


def pack_dataset(home: Home, name: str) -> Path:
    """A zip of a dataset, which whoever asks deletes. Pictures hardly pack, so they are put in as they are.

    Raises:
        OutputError: the disk does not take it, and nothing of it stays there.
    """
    folder = home.datasets / name
    try:
        files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
        total, free = sum(file.stat().st_size for file in files), shutil.disk_usage(home.passing).free
        if total > free / 2:
            raise OutputError(f"{name}: {total / 1e9:.1f} GB are more than half of what is free; free space")
        with _removed_if_not_whole(home.passing) as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
                for file in files:
                    packed.write(file, Path(name) / file.relative_to(folder))
            return out
    except OSError as error:
        raise OutputError(f"{name}: cannot be packed ({error.strerror}); free space, ask again") from error


@contextmanager
def _removed_if_not_whole(folder: Path) -> Iterator[Path]:
    """A new file, which stays where what is done with it succeeds."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".zip", delete=False) as made:
        file = Path(made.name)
    try:
        yield file
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def datasets_of(home: Home) -> list[str]:
    """Their names."""
    return sorted(each.name for each in home.datasets.iterdir() if each.is_dir() and not each.name.startswith("."))


def _unpack(packed: BinaryIO, target: Path, name: str, room: float) -> int:
    target.mkdir()
    with zipfile.ZipFile(packed) as content:
        members = [each for each in content.infolist() if not (each.is_dir() or _is_of_a_system(each.filename))]
        total = sum(each.file_size for each in members)
        dense = total > MOST_DENSE * max(1, sum(each.compress_size for each in members)) and total > CHUNK
        if len(members) > MOST_FILES or total > MOST_BYTES or dense:
            rule = f"{len(members):,} files of {total / 1e9:.1f} GB; at most {MOST_FILES:,} and {MOST_BYTES / 1e9:g} GB"
            raise DatasetError(f"{name}: {rule}, packed {MOST_DENSE} times at most; send it in parts")
        if total > room:
            raise OutputError(f"{name}: {total / 1e9:.1f} GB are more than half of what is free; free space")
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            links = stat.S_ISLNK(member.external_attr >> 16)
            if path.is_absolute() or ".." in path.parts or ":" in str(path) or links or not path.name:
                raise DatasetError(f"{name}: {path} leads out of it or is a link; pack plain files")
            _write(content, member, target / path, name)
    return len(members)


def _is_of_a_system(path: str) -> bool:
    """What macOS and Windows put beside the files of a person."""
    steps = PurePosixPath(path.replace("\\", "/")).parts
    return "__MACOSX" in steps or steps[-1:] in [(name,) for name in OF_SYSTEMS] or steps[-1].startswith("._")


def _write(content: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, name: str) -> None:
    """A member, no byte more than its header says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with content.open(member) as source, file.open("xb") as out:
        shutil.copyfileobj(source, out, CHUNK)
        if out.tell() != member.file_size:
            raise DatasetError(f"{name}: {member.filename} is not as large as it says; pack it again")
