"""May this part pass? OK, REVIEW (a person should look) or NG, with the rule that decided."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from numpy.typing import ArrayLike

from casae.config import UNKNOWN
from casae.inspection.distances import Outline, densest, nearest
from casae.inspection.measurement import Measures, rounded
from casae.inspection.rules import (
    DISTANCES,
    SIZES,
    TOGETHER,
    WHOLE_PICTURE,
    AcceptanceRules,
    Band,
    Rule,
    Together,
    number,
)

Decision = Literal["OK", "REVIEW", "NG"]
Kind = Literal[
    "no defect",
    "within limits",
    "no rule",
    "limit",
    "class probability",
    "unknown defect",
    "novelty",
    "brightness",
    "no colour",
]
OF_PIXELS: tuple[Kind, ...] = ("brightness", "no colour")
"""Kinds that only the picture itself tells, not its record."""

SEVERITY: tuple[Decision, ...] = ("OK", "REVIEW", "NG")


class Judged(NamedTuple):
    """What a verdict looks at of a defect.

    Attributes:
        name: class.
        probability: of it.
        measures: sizes and place.
        outlines: polygons round its pixels.
        zones: that it touches.
    """

    name: str
    probability: float
    measures: Measures
    outlines: Sequence[ArrayLike] = ()
    zones: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """The decision on one image, and what decided.

    Attributes:
        decision: OK, REVIEW or NG.
        kind: what decided.
        rule: whose rule, by its name, or its class and zone; "picture" for all defects; "review_below";
            "review_novelty"; None where none applied.
        defect_class: of the defects that decided, None where it is no matter of a class.
        zone: of the rule, None without one.
        field: measure that decided: of `SIZES`, `TOGETHER` or `DISTANCES`, or "probability"; None without one.
        value: of that field; of "brightness" the picture's mean gray, of "novelty" its novelty.
        limit: what was allowed; at REVIEW, what would have passed.
    """

    decision: Decision
    kind: Kind
    rule: str | None = None
    defect_class: str | None = None
    zone: str | None = None
    field: str | None = None
    value: float | None = None
    limit: float | None = None

    @property
    def reason(self) -> str:
        """The sentence for people."""
        name, value, limit = self.defect_class or "all defects", number(self.value), number(self.limit)
        where = f" on {self.zone}" if self.zone else ""
        match self.kind:
            case "no defect":
                return "no defect"
            case "within limits":
                return f"{value} within the limits"
            case "no rule":
                return f"{name}{where}: no rule accepts it"
            case "class probability":
                return f"{name}: the class is {_percent(self.value)} sure, {_percent(self.limit)} needed"
            case "unknown defect":
                return f"{name}{where}: unlike the defects that were learned, and no rule is for such"
            case "novelty":
                found = shortest(self.value or 0.0, self.limit or 0.0, least=False)
                return f"unlike the pictures that were learned (novelty {found}, up to {limit} is usual)"
            case "no colour":
                return "a gray picture, and the model has learned colours"
            case "brightness":
                darker = (self.value or 0) < (self.limit or 0)
                return f"far {'darker' if darker else 'brighter'} (mean {value}) than learned pictures (limit {limit})"
            case "limit":
                return f"{name}{where}{_broken(self)}"


def judge(defects: Sequence[Judged], rules: AcceptanceRules, specks: int = 0, novelty: float | None = None) -> Verdict:
    """Decide on the defects of one image; see `check_scale`.

    What is NG goes before what a person decides; of the same kind, the largest defect goes first.

    Args:
        defects: largest first.
        rules: that hold.
        specks: number of regions too small to be reported.
        novelty: how unlike learned ones the picture is, in units of the model's limit; None where it cannot tell.
    """
    doubt = None
    for verdict in _objections(defects, rules, specks):
        if verdict.decision == "NG":
            return verdict
        doubt = doubt or verdict
    if doubt:
        return doubt
    if novelty is not None and novelty > rules.review_novelty:
        return Verdict("REVIEW", "novelty", "review_novelty", value=novelty, limit=rules.review_novelty)
    return Verdict("OK", "within limits", value=len(defects)) if defects else Verdict("OK", "no defect")


def _objections(defects: Sequence[Judged], rules: AcceptanceRules, specks: int) -> Iterator[Verdict]:
    applying = [rules.for_defect(defect.name, defect.zones) for defect in defects]
    groups: dict[tuple[Rule, str], list[Judged]] = defaultdict(list)
    for defect, own in zip(defects, applying, strict=True):
        if not own and not rules.of_picture_alone:
            yield Verdict("NG", "no rule", defect_class=defect.name, zone=next(iter(defect.zones), None))
        for rule in own:
            groups[rule, defect.name].append(defect)
    for defect, own in zip(defects, applying, strict=True):
        values = {field: getattr(defect.measures, field) for field in SIZES}
        for rule in own:
            yield from _beyond(values, rule, rule=rule.of, defect_class=defect.name, zone=rule.zone)
    for (rule, name), members in groups.items():
        yield from _beyond(_together(members, rule), rule, rule=rule.of, defect_class=name, zone=rule.zone)
    if rules.picture:
        values = _together(defects, rules.picture) | {"specks": specks}
        yield from _beyond(values, rules.picture, rule=WHOLE_PICTURE)
    yield from _doubts(defects, applying, rules)


def _beyond(values: dict[str, float | None], table: Together, **told: Any) -> Iterator[Verdict]:
    for field, value in values.items():
        band = table.limit(field)
        if band is None or value is None:
            continue
        decision = _decided(value, band, field in DISTANCES)
        if decision != "OK":
            limit = band.review if decision == "NG" else band.accept
            yield Verdict(decision, "limit", field=field, value=value, limit=limit, **told)


def _decided(value: float, band: Band, is_least: bool) -> Decision:
    """What a band says; measures and limits are compared by the digits that are recorded."""
    exact = isinstance(value, int)
    accept, review = (limit if exact else rounded(limit) for limit in (band.accept, band.review))
    if is_least:
        value, accept, review = -value, -accept, -review
    return "OK" if value <= accept else "REVIEW" if value <= review else "NG"


def _together(defects: Sequence[Judged], table: Together) -> dict[str, float | None]:
    """The values that the limits of a table ask for."""
    measures = [defect.measures for defect in defects]
    values: dict[str, float | None] = {"count": len(defects), "total_area_px": sum(each.area_px for each in measures)}
    areas = [each.area_mm2 for each in measures if each.area_mm2 is not None]
    values["total_area_mm2"] = rounded(sum(areas)) if len(areas) == len(measures) else None
    scale = _scale(measures)
    if table.max_in_square is not None:
        side = table.square_px if table.square_px is not None else (table.square_mm or 0) / scale
        values["in_square"] = densest([(each.centre_x_px, each.centre_y_px) for each in measures], side)
    if (table.min_distance_px is not None or table.min_distance_mm is not None) and len(defects) > 1:
        distance = nearest([Outline(defect.outlines) for defect in defects])
        values |= {"distance_px": rounded(distance), "distance_mm": rounded(distance * scale)}
    return values


def _scale(measures: Sequence[Measures]) -> float:
    """Millimetres a pixel, as the measures have it; NaN without one."""
    return next((each.length_mm / each.length_px for each in measures if each.length_mm is not None), float("nan"))


def _doubts(defects: Sequence[Judged], applying: Sequence[Sequence[Rule]], rules: AcceptanceRules) -> Iterator[Verdict]:
    for defect, own in sorted(zip(defects, applying, strict=True), key=lambda pair: pair[0].probability):
        if defect.name == UNKNOWN and not any(rule.defect_class == UNKNOWN for rule in own):
            yield Verdict("REVIEW", "unknown defect", defect_class=UNKNOWN)
            continue
        usual = rules.review_below, "review_below"
        asked = [usual if rule.min_probability is None else (rule.min_probability, rule.of) for rule in own]
        limit, rule = max(asked, default=usual)
        if defect.probability < limit:
            yield Verdict(
                "REVIEW", "class probability", rule, defect.name, None, "probability", defect.probability, limit
            )


def _broken(verdict: Verdict) -> str:
    """What is beyond a limit, after the name of the class."""
    field, value, limit = str(verdict.field), verdict.value or 0.0, verdict.limit or 0.0
    if field in SIZES:
        said, joint = SIZES[field], " "
    else:
        said, joint = {**TOGETHER, **DISTANCES}[field], ": "
    least = field in DISTANCES
    found = said.format(shortest(value, limit, least))
    if verdict.decision == "REVIEW":
        return f"{joint}{found}, {'below' if least else 'above'} {number(limit)} a person decides"
    return f"{joint}{found}, {number(limit)} {'needed' if least else 'allowed'}"


def shortest(value: float, limit: float, least: bool) -> str:
    """As few digits as show on which side of the limit it is, three at least; whole numbers in full."""
    if value == int(value):
        return number(value)
    shortened = (float(f"{value:.{digits}g}") for digits in (3, 4, 5, 6))
    return number(next((short for short in shortened if (short < limit if least else short > limit)), value))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g} %"
