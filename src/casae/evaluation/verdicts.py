"""What acceptance rules make of labelled parts and of recorded inspections: escapes, false rejects, what changes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError, UsageError
from casae.evaluation.scores import true_regions
from casae.inspection.classification import Named
from casae.inspection.inspection import Conditions
from casae.inspection.inspector import Inspector
from casae.inspection.joining import join
from casae.inspection.measurement import measure
from casae.inspection.record import InspectionRecord
from casae.inspection.rules import AcceptanceRules, check_scale
from casae.inspection.verdict import OF_PIXELS, SEVERITY, Decision, Judged, Verdict, judge
from casae.inspection.zones import Zones
from casae.metrics import proportion
from casae.results.folder import LINES
from casae.results.lines import every_record


@dataclass
class Tally:
    """How often parts of each true verdict were judged how.

    Attributes:
        counts: (true verdict, verdict) -> parts.
        escaped: names of parts that are NG and were judged OK; `rejected` of those that are OK and were judged NG.
    """

    counts: Counter[tuple[Decision, Decision]] = field(default_factory=Counter)
    escaped: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def add(self, name: str, true: Decision, said: Decision) -> None:
        """Count a part."""
        self.counts[true, said] += 1
        if (true, said) == ("NG", "OK"):
            self.escaped.append(name)
        if (true, said) == ("OK", "NG"):
            self.rejected.append(name)

    def total(self, true: Decision) -> int:
        """Parts that truly are so."""
        return sum(count for (own, _), count in self.counts.items() if own == true)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        counts = {true: {said: self.counts[true, said] for said in SEVERITY} for true in SEVERITY}
        return {"true_by_said": counts, "escaped": self.escaped, "rejected": self.rejected}

    def lines(self) -> list[str]:
        """Sentences for people, with exact 95 % intervals (Clopper and Pearson)."""
        bad, good = self.total("NG"), self.total("OK")
        lines = [
            _counted(len(self.escaped), bad, "NG parts escaped as OK"),
            _counted(len(self.rejected), good, "OK parts rejected as NG"),
        ]
        reviewed = sum(count for (_, said), count in self.counts.items() if said == "REVIEW")
        lines.append(_counted(reviewed, sum(self.counts.values()), "parts left to a person"))
        if self.total("REVIEW"):
            lines.append(f"{self.total('REVIEW')} parts are truly for a person to decide")
        return lines


def _counted(hits: int, total: int, what: str) -> str:
    if not total:
        return f"no parts to count of: {what}"
    share = proportion(hits, total)
    low, high = 100 * (share.low or 0), 100 * (share.high or 0)
    return f"{hits} of {total} {what} ({100 * hits / total:.1f} %, 95 % interval {low:.1f} .. {high:.1f} %)"


def true_verdict(
    label: NDArray[np.uint8],
    classes: tuple[str, ...],
    rules: AcceptanceRules,
    conditions: Conditions | InspectionRecord,
    zones: Zones | None = None,
) -> Verdict:
    """What the rules say of a part by its label (H, W), as if everything was found just so and named right.

    A region without class counts as of the class "defect", so that only rules for every class accept it. Of the
    conditions, the smallest area, the gap that is joined and the scale hold.
    """
    names = dict(enumerate(classes, start=1)) | {UNCLASSED: "defect"}
    found = [
        Named(names[value], 1.0, region) for value, region in true_regions(label, len(classes), conditions.min_area_px)
    ]
    defective = label > 0
    if zones:
        zones.check(label.shape, "a label")
    judged = []
    for name, sure, region, *_ in join(sorted(found, key=lambda each: -each.region.area), conditions.join_px):
        measures = measure(region, label, defective, conditions.mm_per_pixel)
        where = zones.of(region, label.shape) if zones else ()
        judged.append(Judged(name, sure, measures, region.outlines, where))
    return judge(judged, rules)


def judge_parts(
    part: Dataset, inspector: Inspector, done: Callable[[object], object] = lambda name: None
) -> tuple[Tally, dict[str, str]]:
    """Inspect labelled images and compare verdicts with those that the labels give.

    Returns:
        The tally, and why images could not be judged, by their names.
    """
    tally, failures = Tally(), dict[str, str]()
    for sample in part.labelled.samples:
        try:
            image = read_image(sample.image)
            label = sample.draw(image.shape, len(part.classes))
            true = true_verdict(label, part.classes, inspector.rules, inspector.conditions, inspector.zones)
            tally.add(sample.name, true.decision, inspector.inspect(image).verdict.decision)
        except (ImageError, DatasetError) as error:
            failures[sample.name] = str(error)
        done(sample.name)
    return tally, failures


@dataclass(frozen=True)
class Change:
    """A recorded inspection under other rules.

    Attributes:
        record: as it stands.
        verdict: now.
    """

    record: InspectionRecord
    verdict: Verdict

    @property
    def differs(self) -> bool:
        """Whether the part passes otherwise than it did."""
        return self.record.decision != self.verdict.decision


def records_of(folder: Path) -> list[InspectionRecord]:
    """The newest record of each picture in a results folder, or a file of records; nothing is written.

    Another picture under the name of an earlier one is another part.

    Raises:
        UsageError: there are none, or they are of another schema.
    """
    file = folder / LINES if folder.is_dir() else folder
    newest: dict[tuple[str, str], InspectionRecord] = {}
    for record in every_record(file):
        own = (record.source, record.sha256) if record.file_bytes is not None else (record.id, "")
        newest.pop(own, None)  # so that the newest of a name comes last
        newest[own] = record
    if not newest:
        raise UsageError(f"{file}: holds no inspection; inspect something first")
    return list(newest.values())


def judge_again(records: Iterable[InspectionRecord], rules: AcceptanceRules) -> Iterator[Change]:
    """Verdicts of recorded inspections under rules, without their pictures.

    A part that was left to a person because its picture is unlike the learned ones stays so, unless it is NG now.

    Raises:
        UsageError: a rule is in millimetres and a record has no scale, or it names a zone and the record has none.
    """
    for record in records:
        check_scale(rules, record.mm_per_pixel)
        zone = next((rule.zone for rule in rules.rule if rule.zone is not None), None)
        if zone is not None and record.zones_sha256 is None:
            raise UsageError(
                f"a rule names zone '{zone}', and {record.source} was inspected without; add --zones there"
            )
        verdict = judge([defect.judged for defect in record.defects], rules, record.specks, record.novelty)
        told = record.decided_by
        if told.kind in OF_PIXELS and verdict.decision == "OK":
            verdict = Verdict("REVIEW", told.kind, value=told.value, limit=told.limit)
        yield Change(record, verdict)


def tally_of(changes: Iterable[Change], rules: AcceptanceRules, truth: Dataset, zones: Zones | None = None) -> Tally:
    """Compare verdicts with those that labels give; pictures are told by their names, the newest of each counts.

    Raises:
        UsageError: none of the pictures is one of the dataset.
    """
    known = _by_name(truth)
    tally = Tally()
    newest = {each.record.source if each.record.file_bytes is not None else each.record.id: each for each in changes}
    for change in newest.values():
        record, sample = change.record, known.get(Path(change.record.source).name)
        if sample is None:
            continue
        label = sample.draw((record.height_px, record.width_px), len(truth.classes))
        true = true_verdict(label, truth.classes, rules, record, zones)
        tally.add(sample.name, true.decision, change.verdict.decision)
    if not tally.counts:
        raise UsageError(f"{truth.name}: holds none of the inspected pictures, by their file names; name their dataset")
    return tally


def _by_name(truth: Dataset) -> dict[str, Sample]:
    """Labelled samples by the names of their files.

    Raises:
        UsageError: two have one name.
    """
    names = Counter(sample.image.name for sample in truth.labelled.samples)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise UsageError(f"{truth.name}: {names[twice[0]]} pictures are called {twice[0]}; give each a name of its own")
    return {sample.image.name: sample for sample in truth.labelled.samples}


def summary(changes: Iterable[Change]) -> list[tuple[Decision, list[int]]]:
    """For each verdict before, how many parts have each verdict now, in the order of `SEVERITY`."""
    counts = Counter((change.record.decision, change.verdict.decision) for change in changes)
    return [(before, [counts[before, now] for now in SEVERITY]) for before in SEVERITY]
