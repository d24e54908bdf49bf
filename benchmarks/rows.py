"""Rows of a benchmark in a CSV file: a training whose rows are there is not repeated."""

import csv
from collections.abc import Sequence
from pathlib import Path


def is_there(file: Path, key: Sequence[str]) -> bool:
    """Whether a row begins with these values."""
    if not file.exists():
        return False
    with file.open(newline="", encoding="utf-8") as lines:
        return any(row[: len(key)] == list(key) for row in csv.reader(lines))


def add(file: Path, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """All at once, or a kill would lose some for good."""
    fresh = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerows([headings] if fresh else [])
        writer.writerows(rows)


def shown(value: float | None) -> str:
    """With four digits; empty where there is nothing to tell by."""
    return "" if value is None else f"{value:.4f}"
