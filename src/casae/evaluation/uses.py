"""Whether a model is good enough, and for what: the first thing that a plant asks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from casae.metrics import ALPHA, Interval, proportion

Grade = Literal["yes", "not shown", "no"]


@dataclass(frozen=True)
class Needs:
    """What a use asks of a model. A plant may ask for more: the page shows the figures beside each answer.

    Attributes:
        escaped: share of bad parts that may pass where nobody looks, even at the upper end of the interval.
        rejected: share of good parts that may be rejected where nobody looks, even at the upper end.
        touched: share of the defects that a finding must overlap where a person looks at what is found.
        false_regions: false findings in a picture that such a person puts up with.
        overlap: IoU from which outlines, and so areas, can be relied on.
        named: share of the findings whose class must be right.
        fewest: cases below which a share says nothing.
    """

    escaped: float = 0.05
    rejected: float = 0.1
    touched: float = 0.9
    false_regions: float = 1.0
    overlap: float = 0.75
    named: float = 0.9
    fewest: int = 8


@dataclass(frozen=True)
class Use:
    """Something that a model could be used for.

    Attributes:
        name: of the use.
        need: what it asks of a model, in words.
        grade: whether the model was shown to be good enough for it.
        why: the figures.
    """

    name: str
    need: str
    grade: Grade
    why: str


def escapes_and_rejects(passed: int, defective: int, rejected: int, good: int) -> str:
    """The sentence that a plant asks for, with the upper ends of the exact 95 % intervals.

    >>> escapes_and_rejects(0, 12, 1, 12)
    '0 of 12 bad parts escaped (at most 27 %), 1 of 12 good parts rejected (at most 39 %)'
    """
    return f"{_counted(passed, defective, 'bad', 'escaped')}, {_counted(rejected, good, 'good', 'rejected')}"


def _counted(hits: int, total: int, kind: str, verb: str) -> str:
    if not total:
        return f"no {kind} part to judge by"
    most = proportion(hits, total).high or 0.0
    return f"{hits} of {total} {kind} parts {verb} (at most {at_most(most)} %)"


def at_most(share: float) -> str:
    """An upper end in percent, two digits, rounded up: 3 in a thousand are not 0 %.

    >>> at_most(0.00368), at_most(0.2646), at_most(0.0861), at_most(1.0)
    ('0.37', '27', '8.7', '100')
    """
    digits = 0 if share >= 0.1 else 1 if share >= 0.01 else 2
    return f"{min(100.0, math.ceil(round(share * 10 ** (digits + 2), 6)) / 10**digits):.{digits}f}"


def uses_of(
    scores: Mapping[str, Interval], escaped: Interval, rejected: Interval, classes: int, needs: Needs | None = None
) -> list[Use]:
    """Which uses a model was shown to be good enough for.

    Args:
        scores: of `Evaluation.scores`.
        escaped: share of the bad parts in which nothing is found; `rejected` of the good ones in which something is.
        rejected: see `escaped`.
        classes: that the model knows.
        needs: what a use asks; the defaults of `Needs` where None.
    """
    needs = needs or Needs()
    uses = [_alone(escaped, rejected, needs), _beside(scores, needs), _measuring(scores, needs)]
    return uses + [_naming(scores["accuracy_found_regions"], needs)] * (classes > 1)


def _alone(escaped: Interval, rejected: Interval, needs: Needs) -> Use:
    why = escapes_and_rejects(escaped.hits or 0, escaped.total or 0, rejected.hits or 0, rejected.total or 0)
    grade: Grade = "not shown"
    if _above(escaped, needs.escaped) or _above(rejected, needs.rejected):
        grade = "no"
    elif _surely(escaped, needs.escaped) and _surely(rejected, needs.rejected):
        grade = "yes"
    elif escaped.hits == 0 and not _surely(escaped, needs.escaped):
        why += f"; it takes {_enough(needs.escaped)} bad parts of which none escapes"
    elif not rejected.hits and not _surely(rejected, needs.rejected):
        why += f"; it takes {_enough(needs.rejected)} good parts of which none is rejected"
    need = f"surely at most {_percent(needs.escaped)} of the bad parts escape, {_percent(needs.rejected)} of the good"
    return Use("sort parts where nobody looks", f"{need} are rejected", grade, why)


def _above(share: Interval, most: float) -> bool:
    """Whether it is surely more."""
    return share.low is not None and share.low > most


def _surely(share: Interval, most: float) -> bool:
    """Whether it is surely no more."""
    return share.high is not None and share.high <= most


def _enough(share: float) -> int:
    """Cases of which none may be a hit to show that at most this share are."""
    return math.ceil(math.log(ALPHA / 2) / math.log(1 - share))


def _met(score: Interval, least: float) -> Grade:
    """Whether a score meets a need; where it does not, but its interval reaches there, that is not shown."""
    if (score.value or 0.0) >= least:
        return "yes"
    return "no" if score.high is None or score.high < least else "not shown"


def _beside(scores: Mapping[str, Interval], needs: Needs) -> Use:
    touched, false = scores["region_recall"], scores["false_regions_per_image"]
    found = false.value or 0.0
    why = f"{touched.hits or 0} of {touched.total or 0} defects touched, {found:.2f} false findings a picture"
    grade: Grade = "not shown" if (touched.total or 0) < needs.fewest else _met(touched, needs.touched)
    if grade != "no" and found > needs.false_regions:
        grade = "no" if false.low is None or false.low > needs.false_regions else "not shown"
    need = f"{_percent(needs.touched)} of the defects touched, at most {needs.false_regions:g} false finding a picture"
    return Use("show a person where to look", need, grade, why)


def _measuring(scores: Mapping[str, Interval], needs: Needs) -> Use:
    overlap, total = scores["iou"], scores["region_recall"].total or 0
    said = None if overlap.value is None else f"outlines overlap the labels by {_percent(overlap.value)} (IoU)"
    why = said or "nothing was labelled"
    grade: Grade = "not shown" if said is None or total < needs.fewest else _met(overlap, needs.overlap)
    return Use("measure areas", f"an overlap of {_percent(needs.overlap)}", grade, why)


def _naming(named: Interval, needs: Needs) -> Use:
    why = f"{named.hits or 0} of {named.total or 0} findings named right"
    grade: Grade = "not shown" if (named.total or 0) < needs.fewest else _met(named, needs.named)
    return Use("sort by class", f"{_percent(needs.named)} of the findings named right", grade, why)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
