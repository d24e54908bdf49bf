"""Inspect what arrives in a folder, for months: finished files only, each once, whatever goes away meanwhile."""

import errno
import functools
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from casae.config import Frozen
from casae.decoding import FileState
from casae.errors import CasaeError, UsageError
from casae.files import SUFFIXES, UNREAD_SUFFIXES, files_under, path_of, printable
from casae.inspection.inspector import Inspector
from casae.line.begun import Begun, Deadly
from casae.line.files import is_ours
from casae.line.parts import Told
from casae.line.run import Step, Store, follow
from casae.progress import tell as tell_progress

LONGEST_WAIT = 30.0  # s until the next try, while something is away
AGAIN = 2.0  # s between two tries of a file that cannot be read and may not be whole yet
LONGEST_NAME = 255  # bytes that drives take
LOOKING_SHARE = 0.1  # of the time at most goes into looking into the folder, whatever it holds

Key = TypeVar("Key")
Kept = TypeVar("Kept", covariant=True)


class WatchSettings(Frozen):
    """How a folder is watched.

    Attributes:
        every_s: seconds between two looks into the folder.
        still_s: seconds for which size and time of a file do not change before it counts as finished.
        patience_s: seconds for which a file that cannot be read is tried again, as its writer may be slow; not with
            `once`.
        then: what happens to a picture that is kept.
        move_to: folder for "move": DAY/NAME, and failed/DAY/NAME for what cannot be inspected.
        room_mb: free megabytes of the disk of the records, below which nothing is taken in.
        once: end when all that is there is inspected.
    """

    every_s: float = 0.5
    still_s: float = 1.0
    patience_s: float = 30.0
    then: Literal["leave", "move", "delete"] = "leave"
    move_to: Path | None = None
    room_mb: float = 500.0
    once: bool = False


@dataclass
class _Seen:
    state: FileState
    since: float  # monotonic; before which it is not finished
    first: float = field(default_factory=time.monotonic)  # when it was seen like this
    taken: bool = False
    over: bool = False


@dataclass
class Watching:
    """What a watch does now, to be shown.

    Attributes:
        trouble: why nothing is taken in, empty while all is well.
        waiting: files that are finished and wait for their turn.
        kept: inspections; `failed` files that could not be inspected.
        known: files of which the store had an inspection already.
        stuck: files that are kept and could not be put away yet.
        began: monotonic time of the first one.
    """

    trouble: str = ""
    waiting: int = 0
    kept: int = 0
    known: int = 0
    failed: int = 0
    stuck: set[Path] = field(default_factory=set)
    began: float | None = None

    @property
    def a_minute(self) -> float:
        """Pictures a minute since the first one."""
        passed = 0.0 if self.began is None else time.monotonic() - self.began
        return 60 * (self.kept + self.failed) / passed if passed > 1 else 0.0


class KeepsFailures(Protocol):
    """A store that also remembers what could not be inspected."""

    def add_failure(self, source: str, reason: str, file: FileState) -> None:
        """Keep why a picture could not be inspected, once for a file that stays the same."""

    def place(self, key: str, wanted: str, instead_of: str | None = None) -> str | None:
        """Where the picture of an inspection shall be moved to: what was said first, also before a kill.

        Args:
            key: of the inspection.
            wanted: where, unless something was said.
            instead_of: that was said, and cannot be.
        """


Tell = Callable[[Step[str] | None, Watching], object]


@dataclass
class Watch:
    """A folder as the source of a run. It ends when `stop` is set.

    Args:
        folder: with pictures, also in folders below it.
        settings: how it is watched.
        home: on whose disk there must be room, None where that is no folder.
        stop: ends it.
        tell: called with each picture that is over, and with None when something else has changed.
        goes_on: asked before each file; False ends `files`, to be begun again with another inspector.
        renewed: whether it ended so.

    Raises:
        UsageError: there is no such folder, or pictures would be moved into it.
    """

    folder: Path
    settings: WatchSettings
    home: Path | None
    stop: threading.Event
    tell: Tell = lambda step, watching: None
    goes_on: Callable[[], bool] = lambda: True
    renewed: bool = False
    now: Watching = field(default_factory=Watching)
    _seen: dict[Path, _Seen] = field(default_factory=dict)
    _left_out: str = ""  # a picture or folder that is not looked at, and why
    _begun: dict[str, Path] = field(default_factory=dict)  # by the name that records have
    _note: Begun = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self._note = Begun.at(self.folder)
        self._drive = drive_of(self.folder)
        self._archive = drive_of((self.settings.move_to or self.folder).absolute())
        if not _is_folder(self.folder):
            raise UsageError(f"{self.folder}: no such folder; name one that pictures arrive in")
        target = self.settings.move_to
        if (self.settings.then == "move") != (target is not None):
            raise UsageError("move: needs a folder to move to, and only then; say --then move --to FOLDER")
        if target is not None and target.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(f"{target}: lies in the folder that is watched; name one outside of it")

    def files(self) -> Iterator[Path | Deadly | None]:
        """Finished files, the oldest first, and None where nothing is to be done, or what was begun is to be over."""
        wait = self.settings.every_s
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                ready = self._finished()
            except OSError as error:
                self._trouble(f"{self.folder}: is away ({error.strerror or error}); waiting until it is back")
                yield None
                wait = min(LONGEST_WAIT, 2 * wait)
                self.stop.wait(wait)
                continue
            wait = max(self.settings.every_s, (time.monotonic() - began) / LOOKING_SHARE)
            if not ready:
                self._trouble(self._standing_trouble())
            if self.settings.once and not ready and all(seen.taken or seen.over for seen in self._seen.values()):
                return
            for number, file in enumerate(ready):
                self.now.waiting = len(ready) - number
                yield from self._until_there_is_room()
                if self.stop.is_set():
                    return
                if not self.goes_on():
                    self.renewed = True
                    return
                self._seen[file].taken = True
                self._begun[printable(file)] = file
                yield from self._note.begin(file)
            self.now.waiting = 0
            self._trouble(self._standing_trouble())
            yield None
            self.stop.wait(wait)

    def done(self, step: Step[str], store: "WatchedStore[Kept]") -> None:
        """A file is over: it goes where it shall; one of a share that is away is not over.

        Raises:
            RecordsError: the store does not take it.
        """
        file = self._begun.get(step.source)
        if file is None:  # two names that are written alike, as one of them is no UTF-8: it was over before
            return
        if step.failure is None:
            self._put_away(file, step, store)
            self._count("kept" if step.is_new else "known")
        elif not self._comes_again(file):
            store.add_failure(step.source, step.failure, self._seen[file].state)
            self._put_away(file, step, store)
            self._count("failed")
        else:
            step = replace(step, failure=None)
        del self._begun[step.source]
        self._note.over(step.source)
        over = self.now.kept + self.now.known + self.now.failed
        tell_progress("inspecting", over / (over + self.now.waiting) if over else 0.0)
        if step.record is not None or step.failure is not None:
            self.tell(step, self.now)

    def _standing_trouble(self) -> str:
        """What is not as it should be, although nothing holds the watch up."""
        if self.now.stuck:
            return f"{min(self.now.stuck)}: cannot be put away; it is tried again every {LONGEST_WAIT:g} s"
        return self._left_out

    def _count(self, what: Literal["kept", "known", "failed"]) -> None:
        setattr(self.now, what, getattr(self.now, what) + 1)
        if what != "known":
            self.now.began = self.now.began or time.monotonic()

    def _put_away(self, file: Path, step: Step[str], store: "WatchedStore[Kept]") -> None:
        """Move or delete a file, if it still is what was inspected; another one of its name is another picture."""
        seen = self._seen.get(file)
        if seen is None:
            return
        seen.over = True
        self.now.stuck.discard(file)
        try:
            if FileState.of(file.stat()) != seen.state or not self._is_inside(file):
                return
            if self.settings.move_to is not None:
                self._move_away(file, self.settings.move_to.absolute(), step, store)
            elif self.settings.then == "delete" and step.failure is None:
                file.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:  # the record is kept; putting it away is tried again
            seen.taken, seen.since = False, time.monotonic() + LONGEST_WAIT
            self.now.stuck.add(file)
            self._trouble(f"{file}: cannot be put away ({error.strerror or error}); it is tried again")

    def _move_away(self, file: Path, folder: Path, step: Step[str], store: "WatchedStore[Kept]") -> None:
        """Where no other file lies: cameras begin again at 0001, and two of them may at once.

        Raises:
            OSError: it cannot be moved, or the share that it shall go to is away.
        """
        drive = drive_of(folder)
        if drive in self._archive.parents:
            raise OSError(f"nothing is mounted on {self._archive}")
        self._archive = drive
        today = Path(date.today().isoformat(), file.relative_to(self.folder))
        if step.key is None or step.record is None:
            target = folder / "failed" / today
            move_new(file, _with_ending(target, f"-{time.time_ns()}") if target.exists() else target)
            return
        wanted = folder / today
        ending = step.record.sha256[:12]
        first = _with_ending(wanted, f"-{ending}") if wanted.exists() else wanted
        place = store.place(step.key, printable(first))
        try:
            if place is not None:
                move_new(file, path_of(place))
        except FileExistsError:
            other = _with_ending(path_of(place or "").with_stem(wanted.stem), f"-{ending}-{step.key[-12:]}")
            store.place(step.key, printable(other), instead_of=place)
            move_new(file, other)

    def nothing_begun(self) -> None:
        """What was being inspected is so no longer."""
        self._begun.clear()
        self._note.drop()

    def interrupted(self, why: str) -> None:
        """The store does not take anything: what was begun is taken up again later."""
        for file in self._begun.values():
            if file in self._seen:
                self._seen[file].taken = False
        self.nothing_begun()
        self._trouble(f"{why}; waiting, and trying again")

    def _finished(self) -> list[Path]:
        """Files that have not changed for a while and are not taken yet.

        Raises:
            OSError: the folder is away.
        """
        drive = drive_of(self.folder)
        if drive in self._drive.parents:
            raise OSError(f"nothing is mounted on {self._drive}")
        now, left_out = time.monotonic(), dict[str, str]()
        passed_over = functools.cache(self._is_passed_over)
        found: dict[Path, _Seen] = {}
        for file in files_under(self.folder, left_out):
            suffix = file.suffix.lower()
            if suffix in SUFFIXES and not passed_over(file.parent):
                self._look_at(file, found, now)
            elif suffix in UNREAD_SUFFIXES:
                left_out[printable(file)] = f"{suffix} is not read; save it as PNG"
        if printable(self.folder) in left_out:
            raise OSError(left_out[printable(self.folder)])
        self._seen, self._drive = found, drive
        self.now.stuck.intersection_update(found)  # somebody else has put the others away
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        self._left_out = next((f"{path}: {why}{more}" for path, why in left_out.items()), "")
        ready = [file for file, seen in found.items() if not seen.taken and now >= seen.since]
        return sorted(ready, key=lambda file: (found[file].state.modified_ns, file))

    def _is_passed_over(self, folder: Path) -> bool:
        """Labels, results, and what was moved away, also where a link leads there."""
        away = self.settings.move_to
        return is_ours(folder, self.folder) or (away is not None and folder.resolve().is_relative_to(away.resolve()))

    def _is_inside(self, file: Path) -> bool:
        """Whether a file lies in the watched folder, and no link leads to it from there."""
        return file.parent.resolve().is_relative_to(self.folder.resolve())

    def _look_at(self, file: Path, found: dict[Path, _Seen], now: float) -> None:
        try:
            state = FileState.of(file.stat())
        except OSError:  # gone since, or a link that leads nowhere
            return
        before = self._seen.get(file)
        same = before is not None and before.state == state
        found[file] = before if before and same else _Seen(state, now + self.settings.still_s)

    def _comes_again(self, file: Path) -> bool:
        """Whether a failure is none: the folder is away, the file is gone, or it is still being written."""
        seen = self._seen.get(file)
        if not _is_folder(self.folder) or drive_of(self.folder) in self._drive.parents:
            if seen:
                seen.taken = False
            return True
        try:
            state = FileState.of(file.stat())
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if seen is None or seen.state != state:
            return True
        left = seen.first + self.settings.patience_s - time.monotonic()
        if left > 0 and not self.settings.once:
            seen.taken, seen.since = False, time.monotonic() + min(left, AGAIN)
            return True
        return False

    def _until_there_is_room(self) -> Iterator[None]:
        while not self.stop.is_set():
            free, place = self._least_free()
            if free >= self.settings.room_mb:
                return
            rule = f"{free:,.0f} MB are free, {self.settings.room_mb:,.0f} are needed"
            self._trouble(f"{place}: {rule}; free space, it goes on by itself")
            yield None
            self.stop.wait(self.settings.every_s)

    def _least_free(self) -> tuple[float, Path | None]:
        """The least room, MB, of the disks of the records and of the pictures that are moved, and whose it is.

        Raises:
            OSError: one is away.
        """
        places = [each for each in (self.home, self.settings.move_to) if each is not None]
        there = [
            next(folder for folder in (each.absolute(), *each.absolute().parents) if folder.exists()) for each in places
        ]
        room = [(shutil.disk_usage(each).free / 1e6, place) for each, place in zip(there, places, strict=True)]
        return min(room, default=(float("inf"), None), key=lambda each: each[0])

    def _trouble(self, what: str) -> None:
        if what != self.now.trouble:
            self.now.trouble = what
            self.tell(None, self.now)


class WatchedStore(Store[str, Kept], KeepsFailures, Protocol[Kept]):
    """Where a watch keeps what it finds."""


def watch(
    source: Watch,
    current: Callable[[], Inspector],
    store_of: Callable[[Inspector], WatchedStore[Kept]],
    told: Told = Told(),
) -> None:
    """Inspect what arrives, until `source.stop` is set; while the store or the model is away, it is tried again.

    Args:
        source: gives the files.
        current: what inspects them now; when that is another one, files that follow are inspected by it.
        store_of: where an inspector's inspections are kept.
        told: what is known of the files.
    """
    wait, is_over = source.settings.every_s, False
    try:
        while not is_over:
            kept = source.now.kept
            try:
                is_over = _watched(source, current(), store_of, current, told)
                continue
            except (CasaeError, OSError) as error:  # of the store, the model that is active now, or a disk
                source.interrupted(str(error))
            wait = source.settings.every_s if source.now.kept > kept else min(LONGEST_WAIT, 2 * wait)
            is_over = source.stop.wait(wait)
    finally:  # whoever ends it blames no picture
        source.nothing_begun()


def _watched(
    source: Watch,
    inspector: Inspector,
    store_of: Callable[[Inspector], WatchedStore[Kept]],
    current: Callable[[], Inspector],
    told: Told,
) -> bool:
    """Inspect what arrives as long as the same one inspects; whether all is over."""
    store = store_of(inspector)
    source.goes_on, source.renewed = lambda: current() is inspector, False
    follow(source.files(), inspector, store, lambda step: source.done(step, store), told, (Exception,))
    return not source.renewed


def _with_ending(file: Path, ending: str) -> Path:
    """With an ending before its suffix; of a long name as much as a drive takes."""
    room = LONGEST_NAME - len(os.fsencode(f"{ending}{file.suffix}"))
    stem = os.fsencode(file.stem)[:room].decode(errors="ignore") if len(os.fsencode(file.stem)) > room else file.stem
    return file.with_stem(f"{stem}{ending}")


def drive_of(folder: Path) -> Path:
    """The folder that its drive or share is mounted on; that of the system where a share is not mounted now."""
    return next(each for each in (folder, *folder.parents) if os.path.ismount(each) or each == each.parent)


def _is_folder(folder: Path) -> bool:
    """Also where the system cannot tell, as with a share that is away: then it is none."""
    try:
        return folder.is_dir()
    except OSError:
        return False


def move_new(file: Path, target: Path) -> None:
    """Move a file where none lies, also to another drive; after a kill it lies whole in one place or in both.

    Raises:
        FileExistsError: another file lies there.
        OSError: it cannot be moved.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if file.is_symlink():  # what it leads to is meant, and would not be found from there
            raise OSError(errno.EXDEV, "a link")
        os.link(file, target)
    except FileExistsError:
        if target.read_bytes() != file.read_bytes():  # else a kill came between
            raise
    except OSError:  # another drive, or one without hard links
        if target.exists():
            raise FileExistsError(errno.EEXIST, "another file lies there", str(target)) from None
        part = target.with_name(f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.part")
        shutil.copy2(file, part)
        with part.open("rb+") as copy:
            os.fsync(copy.fileno())
        part.replace(target)
    file.unlink()
