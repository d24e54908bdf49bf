"""What is being inspected, noted: a picture that ends the process, time and again, must not stop the others."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from casae.decoding import FileState
from casae.errors import ImageError
from casae.files import printable
from casae.inspection.record import version
from casae.models.cache import user_cache

DEATHS = 3  # of the process, in the turn of one picture; kills from outside hit others


@dataclass(frozen=True)
class Deadly:
    """A picture in whose turn the process ended too often."""

    source: str

    def read(self, max_megapixels: float) -> NoReturn:
        """Say so.

        Raises:
            ImageError: always.
        """
        rule = f"casae ended {DEATHS} times in its turn; look at it with another program, save it anew"
        raise ImageError(f"{self.source}: {rule}")


@dataclass
class Begun:
    """A file that holds what is being inspected now, and in whose turn the process has ended, and how often.

    It is not forced to the disk: what ends a process leaves what was written, and after a power cut all is well.
    Another casae begins anew, as does a picture that was changed.

    Args:
        file: None notes nothing.
    """

    file: Path | None
    _deaths: dict[str, int] = field(default_factory=dict)  # of this casae, by name and state of the file
    _now: dict[str, str] = field(default_factory=dict)  # name -> name and state

    def __post_init__(self) -> None:
        with suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
            told = json.loads(self.file.read_text("utf-8")) if self.file else {}
            if told["casae"] == version("casae"):
                self._deaths = {str(key): int(times) for key, times in told["deaths"].items()}

    @classmethod
    def at(cls, folder: Path) -> "Begun":
        """That of a folder, which is watched or written to."""
        cache = user_cache()
        own = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return cls(None if cache is None else cache / f"begun-{own}.json")

    def begin(self, file: Path) -> Iterator[Path | Deadly | None]:
        """A file; alone where the process ended in its turn, so that no other one is blamed the next time.

        None says that what was begun must be over first.
        """
        name = printable(file)
        key = name
        with suppress(OSError):
            state = FileState.of(file.stat())
            key = f"{name} {state.size} {state.modified_ns}"
        deaths = self._deaths.get(key, 0)
        if deaths >= DEATHS:
            yield Deadly(name)
            return
        if deaths:
            yield None
        self._now[name] = key
        self._write()
        yield file
        if deaths:
            yield None

    def over(self, name: str) -> None:
        """A picture is over; `name` as `printable` has it."""
        if name in self._now:
            self._deaths.pop(self._now.pop(name), None)
            self._write()

    def drop(self) -> None:
        """Nothing is being inspected any more."""
        self._now.clear()
        self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        deaths = self._deaths | {key: self._deaths.get(key, 0) + 1 for key in self._now.values()}
        with suppress(OSError):
            if not deaths:
                self.file.unlink(missing_ok=True)
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps({"casae": version("casae"), "deaths": deaths}), "utf-8")
