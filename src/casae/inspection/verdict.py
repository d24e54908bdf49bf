"""Acceptance rules: may this part pass? OK, REVIEW (a person should look) or NG, with the rule that decided."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from casae.config import Frozen
from casae.errors import UsageError
from casae.files import read_text
from casae.inspection.measurement import Measures, rounded

Decision = Literal["OK", "REVIEW", "NG"]
LIMITS = ("area_px", "length_px", "width_px", "area_mm2", "length_mm", "width_mm")


class Rule(Frozen):
    """What is still acceptable of one class, or of every class that has no rule of its own.

    A defect may reach each limit; `max_count` limits how many of the class one image may show.
    """

    model_config = ConfigDict(populate_by_name=True)

    defect_class: str | None = Field(default=None, alias="class")
    max_count: int | None = Field(default=None, ge=0)
    max_area_px: float | None = Field(default=None, ge=0)
    max_length_px: float | None = Field(default=None, ge=0)
    max_width_px: float | None = Field(default=None, ge=0)
    max_area_mm2: float | None = Field(default=None, ge=0)
    max_length_mm: float | None = Field(default=None, ge=0)
    max_width_mm: float | None = Field(default=None, ge=0)


class AcceptanceRules(Frozen):
    """A rules file (TOML): `[[rule]]` tables and `review_below`. Without any rule no defect is accepted.

    Attributes:
        rule: the rules; the one that names a defect's class, else the one that names none, applies.
        review_below: a part that would pass goes to REVIEW if a defect's class probability is below this.
    """

    rule: tuple[Rule, ...] = ()
    review_below: float = Field(default=0.6, ge=0, le=1)

    @field_validator("rule")
    @classmethod
    def _one_each(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for name, count in Counter(rule.defect_class for rule in rules).items():
            if count > 1:
                raise ValueError(f"{count} for {f'class {name!r}' if name else 'all classes'}; put all limits into one")
        return rules


@dataclass(frozen=True)
class Verdict:
    """The decision on one image, and why in one line."""

    decision: Decision
    reason: str


def read_rules(path: Path, classes: Sequence[str]) -> AcceptanceRules:
    """Read a rules file.

    Raises:
        UsageError: not readable, an unknown field, or a class that the model does not know.
    """
    try:
        rules = AcceptanceRules.model_validate(tomllib.loads(read_text(path)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        rule = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{path}: {where}: {rule}; docs/inspect.md lists the fields") from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML ({error}); docs/inspect.md shows an example") from error
    try:
        check_classes(rules, classes)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return rules


def check_classes(rules: AcceptanceRules, classes: Sequence[str]) -> None:
    """Whether a model knows the classes that the rules name.

    Raises:
        UsageError: it does not know one.
    """
    for rule in rules.rule:
        if rule.defect_class is not None and rule.defect_class not in classes:
            raise UsageError(f"the model knows no class '{rule.defect_class}'; it knows {', '.join(classes)}")


def check_scale(rules: AcceptanceRules, mm_per_pixel: float | None) -> None:
    """Whether the rules can be applied at this scale.

    Raises:
        UsageError: a rule is in millimetres and the scale is unknown.
    """
    needs = [
        f"max_{field}" for rule in rules.rule for field in LIMITS if "_mm" in field and _limit(rule, field) is not None
    ]
    if needs and mm_per_pixel is None:
        way = "add --mm-per-pixel, in Python InspectionSettings(mm_per_pixel=...)"
        raise UsageError(f"rule {needs[0]} needs the scale of the image; {way}")


def judge(defects: Sequence[tuple[str, float, Measures]], rules: AcceptanceRules) -> Verdict:
    """Decide on the defects of one image: (class name, class probability, measures) each; see `check_scale`."""
    if not defects:
        return Verdict("OK", "no defect")
    for name, _, measures in defects:
        rule = _rule_for(name, rules)
        if rule is None:
            return Verdict("NG", f"{name}: no rule accepts it")
        broken = _broken_limit(name, measures, rule)
        if broken:
            return Verdict("NG", broken)
        count = sum(other == name for other, _, _ in defects)
        if rule.max_count is not None and count > rule.max_count:
            return Verdict("NG", f"{name}: {count} found, {rule.max_count} accepted")
    name, probability, _ = min(defects, key=lambda defect: defect[1])
    if probability < rules.review_below:
        return Verdict("REVIEW", f"{name}: class probability {probability:.4g} is below {rules.review_below:g}")
    return Verdict("OK", f"{len(defects)} within the limits")


def _rule_for(name: str, rules: AcceptanceRules) -> Rule | None:
    own = (rule for rule in rules.rule if rule.defect_class == name)
    general = (rule for rule in rules.rule if rule.defect_class is None)
    return next(own, next(general, None))


def _broken_limit(name: str, measures: Measures, rule: Rule) -> str | None:
    for field in LIMITS:
        limit, value = _limit(rule, field), getattr(measures, field)
        if limit is not None and value > (limit if isinstance(value, int) else rounded(limit)):
            return f"{name}: {field} {value:.7g} exceeds {limit:.7g}"
    return None


def _limit(rule: Rule, field: str) -> float | None:
    limit: float | None = getattr(rule, f"max_{field}")
    return limit
