"""What is being inspected, noted: a picture that ends the process, time and again, must not stop the others."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from casae.errors import ImageError
from casae.files import printable
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
        rule = f"casae ended {DEATHS} times in its turn; look at it with another program, inspect it alone"
        raise ImageError(f"{self.source}: {rule}")


@dataclass
class Begun:
    """A file that holds what is being inspected now, and how often it was when the process ended.

    It is not forced to the disk: what ends a process leaves what was written, and after a power cut all is well.

    Args:
        file: None notes nothing.
    """

    file: Path | None
    _deaths: dict[str, int] = field(default_factory=dict)
    _now: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            told = json.loads(self.file.read_text("utf-8")) if self.file else {}
            self._deaths = {str(name): int(times) for name, times in told.items()}

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
        deaths = self._deaths.get(name, 0)
        if deaths:
            yield None
        self._now.add(name)
        self._write()
        yield file if deaths < DEATHS else Deadly(name)
        if deaths:
            yield None

    def over(self, name: str) -> None:
        """A picture is over; `name` as `printable` has it."""
        self._now.discard(name)
        self._write()

    def drop(self) -> None:
        """Nothing is being inspected any more."""
        self._now.clear()
        self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        with suppress(OSError):
            if not self._now:
                self.file.unlink(missing_ok=True)
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps({name: self._deaths.get(name, 0) + 1 for name in self._now}), "utf-8")
