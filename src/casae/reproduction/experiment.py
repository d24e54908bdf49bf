"""A place for the rows of one table: each is worked out once, written at once, and found again after a kill."""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from casae.errors import OutputError, UsageError
from casae.files import write_whole
from casae.image import encode
from casae.lock import lock
from casae.models.runtime import processor
from casae.training.device import has_bf16
from casae.training.progress import Reporter

Row = dict[str, Any]
WORDS = {  # of what decides rows; the rest are options
    "dataset": "other images or labels",
    "lists": "other lists or classes",
    "recipe": "another recipe",
    "casae": "other code of casae",
    "torch": "another version of PyTorch",
    "arithmetic": "a processor with other arithmetic, or other threads",
}


@dataclass
class Experiment:
    """Where results go and what they depend on.

    Attributes:
        name: of the table or figure; the files' stem.
        folder: of all results; a subfolder of the experiment's name holds rows and weights.
        identity: everything that decides the rows; another identity in the same place is refused.
        command: that makes them.
        reporter: shows how far it is.
    """

    name: str
    folder: Path
    identity: Mapping[str, Any]
    command: str
    reporter: Reporter
    _lock: BinaryIO | None = field(default=None, init=False, repr=False)

    @property
    def rows(self) -> Path:
        """Where single rows and weights are."""
        return self.folder / self.name

    def claim(self) -> None:
        """Make the place ours, until `release`, or go on with the same experiment.

        Raises:
            UsageError: it holds rows of other settings, data or code; names which.
            OutputError: it cannot be written, or another process writes there.
        """
        file = self.rows / "identity.json"
        wanted = json.loads(json.dumps(self.identity))
        if file.exists():
            known = json.loads(file.read_text("utf-8"))
            changed = [key for key in wanted if known.get(key) != wanted[key]]
            if changed:
                others = ", ".join(WORDS.get(key, f"another --{key}") for key in changed)
                raise UsageError(f"{self.rows}: holds rows of {others}; choose another --out, or delete it")
        try:
            self.rows.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.rows)
        except OSError as error:
            raise OutputError(f"{self.rows}: cannot be made ({error.strerror}); choose another --out") from error
        _write(file, json.dumps(wanted, indent=2))

    def release(self) -> None:
        """Let others write here."""
        if self._lock is not None:
            self._lock.close()

    def row(self, key: str, seed: int, work: Callable[[Path], Row]) -> Row:
        """The row of `key` and `seed`: read if it is there, else worked out in a folder of its own and written."""
        folder = self.rows / f"{key}-{seed}"
        file = folder / "row.json"
        if not file.exists():
            folder.mkdir(exist_ok=True)
            done = {"row": key, "seed": seed, **work(folder)}
            _write(file, json.dumps(done, indent=2))
        row: Row = json.loads(file.read_text("utf-8"))
        return row

    def publish(self, title: str, table: Sequence[Sequence[str]], rows: Sequence[Row], notes: Sequence[str]) -> None:
        """Write NAME.md and NAME.json.

        Args:
            title: heading of the Markdown.
            table: rows of cells, headings first.
            rows: what the JSON holds of each row and seed.
            notes: sentences below the table.
        """
        about = machine()
        lines = [f"# {title}", "", "```sh", self.command, "```", "", *markdown(table), ""]
        facts = ", ".join(f"{name} {value}" for name, value in about.items())
        _write(self.folder / f"{self.name}.md", "\n\n".join(["\n".join(lines).rstrip(), *notes, facts]) + "\n")
        content = {"command": self.command, "identity": self.identity, "machine": about, "rows": list(rows)}
        _write(self.folder / f"{self.name}.json", json.dumps(content, indent=2) + "\n")

    def picture(self, rgb: Any, name: str | None = None) -> Path:
        """Write an RGB picture (H, W, 3) uint8 as NAME.png."""
        file = self.folder / f"{name or self.name}.png"
        file.write_bytes(encode(rgb, ".png"))
        return file


def machine() -> dict[str, str]:
    """What the figures were made with."""
    names = ("casae", "torch", "openvino", "numpy", "scikit-learn", "scikit-image")
    cpu = processor()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{cpu.name} ({' '.join(cpu.features)})",
        "cores": str(os.cpu_count()),
        "precision": "bf16" if has_bf16() else "f32",
        **{name: version(name) for name in names},
    }


def too_short(done: int, papers: int, what: str) -> list[str]:
    """A note that a run is no comparison with the paper, where it is shorter.

    >>> too_short(10_000, 150_000, "views")
    ['**Too short to compare with the paper:** 10,000 views of its 150,000.']
    """
    return [f"**Too short to compare with the paper:** {done:,} {what} of its {papers:,}."] if done < papers else []


def seeds_of(rows: Sequence[Row]) -> str:
    """The seeds of rows, as text."""
    return ", ".join(str(seed) for seed in sorted({row["seed"] for row in rows}))


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation as text.

    >>> mean_and_spread([0.5, 0.7]), mean_and_spread([0.5])
    ('0.600 ± 0.141', '0.500')
    """
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row holds the headings."""
    heading, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return [heading, "| " + " | ".join(["---"] * len(table[0])) + " |", *rows]


def _write(file: Path, text: str) -> None:
    write_whole(file, text, "choose another --out")
