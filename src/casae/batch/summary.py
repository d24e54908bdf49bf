"""The page about a batch: throughput, verdicts, classes, novelty, failures; read from its parts in turn."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from casae.batch.job import Batch, read_batch
from casae.batch.manifest import Manifest
from casae.batch.places import Place
from casae.batch.rows import FAILURE, read_rows
from casae.batch.run import runs_of
from casae.errors import OutputError
from casae.inspection.inspection import Part

REPORT, FAILURES = "report.html", "failures.csv"
COLUMNS = (FAILURE, "entry", "decision", "novelty", "part", "defects.list.element.class", "inspected_at")
NOVELTY = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # upper ends of the bars; 1 is the model's limit
SHOWN = 40  # rows of a table
PRODUCTS = 10_000  # that are counted apart
SECONDS_A_DAY = 86_400
DECISIONS = ("OK", "REVIEW", "NG")


@dataclass
class Found:
    """What all rows of a batch say.

    Attributes:
        images: that are finished; `failed` of these could not be inspected.
        decisions: OK, REVIEW or NG -> images.
        classes: name -> defects; `images_with` -> images that have one.
        by_product: product -> decision -> images, of the first `PRODUCTS`.
        novelty: images by it, see `NOVELTY`.
        reasons: source and reason of the first failures.
    """

    images: int = 0
    failed: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    images_with: Counter[str] = field(default_factory=Counter)
    by_product: dict[str, Counter[str]] = field(default_factory=dict)
    novelty: list[int] = field(default_factory=lambda: [0] * (len(NOVELTY) + 1))
    reasons: list[tuple[str, str]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self.images += 1
        if row[FAILURE] is not None:
            self.failed += 1
            if len(self.reasons) < SHOWN:
                self.reasons.append((row["entry"]["source"], row[FAILURE]))
            return
        self.decisions[row["decision"]] += 1
        names = [defect["class"] for defect in row["defects"]]
        self.classes.update(names)
        self.images_with.update(set(names))
        product = Part.model_validate(row["part"]).product
        if product is not None and (product in self.by_product or len(self.by_product) < PRODUCTS):
            self.by_product.setdefault(product, Counter())[row["decision"]] += 1
        if row["novelty"] is not None:
            self.novelty[next((place for place, end in enumerate(NOVELTY) if row["novelty"] <= end), len(NOVELTY))] += 1


def write_summary(place: Place, step: Callable[[int], object] = lambda images: None) -> Found:
    """Write `report.html`, and `failures.csv` where images failed; returns what they say.

    Args:
        place: folder of a batch.
        step: called with the number of images read so far.

    Raises:
        OutputError: the folder holds no batch, or cannot be read or written.
    """
    batch = read_batch(place)
    if batch is None:
        raise OutputError(f"{place.where}: holds no batch; name a folder that casae batch wrote")
    found, failures = Found(), io.StringIO(newline="")
    table = csv.writer(failures)
    table.writerow(["source", "reason"])
    for row in read_rows(place, COLUMNS):
        found.add(row)
        if row[FAILURE] is not None:
            table.writerow([row["entry"]["source"], row[FAILURE]])
        step(found.images)
    if found.failed:
        place.write(FAILURES, failures.getvalue().encode("utf-8-sig"))
    else:
        place.remove(FAILURES)
    place.write(REPORT, _page(place, batch, found).encode())
    return found


def _page(place: Place, batch: Batch, found: Found) -> str:
    pages = Environment(loader=PackageLoader("casae.batch"), autoescape=True, undefined=StrictUndefined)
    pages.filters["thousands"] = "{:,}".format
    runs = runs_of(place)
    seconds = sum(run["seconds"] for run in runs)
    return pages.get_template("batch.html.j2").render(
        title=", ".join(batch.sources),
        place=place,
        batch=batch,
        found=found,
        products=sorted(found.by_product.items(), key=lambda each: (-each[1].total(), each[0])),
        total=Manifest(place).images,
        decisions=DECISIONS,
        runs=runs,
        seconds=seconds,
        rate=sum(run["images"] for run in runs) / seconds if seconds else 0.0,
        bars=_bars(found.novelty),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        shown=SHOWN,
        duration=duration,
    )


def _bars(counts: list[int]) -> list[tuple[str, int, float, bool]]:
    """Name, images, share of the largest bar, and whether it lies beyond the limit."""
    ends = [0.0, *NOVELTY]
    names = [f"{low:g} to {high:g}" for low, high in zip(ends, NOVELTY, strict=False)] + [f"above {NOVELTY[-1]:g}"]
    most = max(counts) or 1
    return [
        (name, count, count / most, low >= 1)
        for name, count, low in zip(names, counts, ends, strict=True)
        if sum(counts)
    ]


def duration(seconds: float) -> str:
    """As a person says it.

    >>> duration(45), duration(3700), duration(200_000)
    ('45 s', '1 h 02 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < SECONDS_A_DAY:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
