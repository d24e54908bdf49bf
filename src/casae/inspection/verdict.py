"""Acceptance rules: may this part pass? OK, REVIEW (a person should look) or NG, with the rule that decided."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from casae.config import Frozen, first_problem
from casae.errors import UsageError
from casae.files import read_toml
from casae.inspection.measurement import Measures, rounded

Decision = Literal["OK", "REVIEW", "NG"]
Kind = Literal["no defect", "within limits", "no rule", "limit", "count", "class probability", "brightness"]
LIMITS = {  # measures that a rule may limit, and how the sentence names their values
    "area_px": "of {} px²",
    "length_px": "{} px long",
    "width_px": "{} px wide",
    "area_mm2": "of {} mm²",
    "length_mm": "{} mm long",
    "width_mm": "{} mm wide",
}
EVERY_CLASS = "every class"


class Rule(Frozen):
    """What is still acceptable of one class, or of every class that has no rule of its own.

    A defect may reach each limit; `max_count` limits how many of the class one image may show. A rule without any limit
    says so by `unlimited`.
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
    unlimited: bool = False

    @property
    def allowed(self) -> str:
        """What it accepts, for people."""
        each = [f"up to {self.max_count} of them"] if self.max_count is not None else []
        limits = ((pattern, self.limit(field)) for field, pattern in LIMITS.items())
        each += [f"up to {pattern.format(_number(limit))}" for pattern, limit in limits if limit is not None]
        return ", ".join(each).replace("up to of ", "up to ") or "without limit"

    @property
    def of(self) -> str:
        """Whose rule it is, for people."""
        return self.defect_class or EVERY_CLASS

    def limit(self, field: str) -> float | None:
        """The limit of a measure, one of `LIMITS`; None without one."""
        limit: float | None = getattr(self, f"max_{field}")
        return limit

    @model_validator(mode="after")
    def _says_something(self) -> "Rule":
        limited = self.max_count is not None or any(self.limit(field) is not None for field in LIMITS)
        if limited == self.unlimited:
            way = "drop unlimited" if limited else "give it one, or say unlimited = true to accept all of them"
            raise ValueError(f"the rule for {self.of} names {'limits' if limited else 'no limit'}; {way}")
        return self


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
    """The decision on one image, and what decided.

    Attributes:
        decision: OK, REVIEW or NG.
        kind: what decided.
        rule: whose rule, a class or `EVERY_CLASS`; None where none applied.
        defect_class: of the defect that decided, None without one.
        field: measure that decided, one of `LIMITS`, "count" or "probability"; None without one.
        value: of that field; of "brightness" the picture's mean gray.
        limit: what was allowed.
    """

    decision: Decision
    kind: Kind
    rule: str | None = None
    defect_class: str | None = None
    field: str | None = None
    value: float | None = None
    limit: float | None = None

    @property
    def reason(self) -> str:
        """The sentence for people."""
        name, value, limit = self.defect_class, _number(self.value), _number(self.limit)
        match self.kind:
            case "no defect":
                return "no defect"
            case "within limits":
                return f"{value} within the limits"
            case "no rule":
                return f"{name}: no rule accepts it"
            case "count":
                return f"{name}: {value} found, {limit} allowed"
            case "class probability":
                return f"{name}: the class is {_percent(self.value)} sure, {_percent(self.limit)} needed"
            case "brightness":
                darker = (self.value or 0) < (self.limit or 0)
                return f"far {'darker' if darker else 'brighter'} (mean {value}) than learned pictures (limit {limit})"
            case "limit":
                beyond = _beyond(self.value or 0.0, self.limit or 0.0)
                return f"{name} {LIMITS[str(self.field)].format(beyond)}, {limit} allowed"


def read_rules(path: str | Path, classes: Sequence[str] | None = None) -> AcceptanceRules:
    """Read a rules file.

    Args:
        path: of the file.
        classes: that the model knows; None does not check them.

    Raises:
        UsageError: not readable, an unknown field, or a class that the model does not know.
    """
    try:
        rules = AcceptanceRules.model_validate(read_toml(Path(path)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValidationError as error:
        fields = ", ".join(field.alias or name for name, field in Rule.model_fields.items())
        raise UsageError(f"{path}: {first_problem(error)}; there are review_below and, of a rule, {fields}") from error
    except ValueError as error:
        raise UsageError(
            f"{path}: not valid TOML ({error}); write such as [[rule]] and, below it, max_length_mm = 0.5"
        ) from error
    if classes is not None:
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
    in_mm = [field for field in LIMITS if "_mm" in field]
    needs = [f"max_{field}" for rule in rules.rule for field in in_mm if rule.limit(field) is not None]
    if needs and mm_per_pixel is None:
        way = "add --mm-per-pixel, in Python InspectionSettings(mm_per_pixel=...)"
        raise UsageError(f"rule {needs[0]} needs the scale of the image; {way}")


def judge(defects: Sequence[tuple[str, float, Measures]], rules: AcceptanceRules) -> Verdict:
    """Decide on the defects of one image: (class name, class probability, measures) each; see `check_scale`."""
    if not defects:
        return Verdict("OK", "no defect")
    counts = Counter(name for name, _, _ in defects)
    for name, _, measures in defects:
        rule = _rule_for(name, rules)
        if rule is None:
            return Verdict("NG", "no rule", defect_class=name)
        broken = _broken_limit(measures, rule) or _too_many(counts[name], rule)
        if broken:
            return replace(broken, rule=rule.of, defect_class=name)
    name, probability, _ = min(defects, key=lambda defect: defect[1])
    if probability < rules.review_below:
        doubt = Verdict("REVIEW", "class probability", None, name, "probability", probability, rules.review_below)
        return replace(doubt, rule="review_below")
    return Verdict("OK", "within limits", value=len(defects))


def _rule_for(name: str, rules: AcceptanceRules) -> Rule | None:
    own = (rule for rule in rules.rule if rule.defect_class == name)
    general = (rule for rule in rules.rule if rule.defect_class is None)
    return next(own, next(general, None))


def _broken_limit(measures: Measures, rule: Rule) -> Verdict | None:
    for field in LIMITS:
        limit, value = rule.limit(field), getattr(measures, field)
        if limit is not None and value > (limit if isinstance(value, int) else rounded(limit)):
            return Verdict("NG", "limit", field=field, value=value, limit=limit)
    return None


def _too_many(count: int, rule: Rule) -> Verdict | None:
    if rule.max_count is None or count <= rule.max_count:
        return None
    return Verdict("NG", "count", field="count", value=count, limit=rule.max_count)


def _number(value: float | None) -> str:
    """Never in powers of ten, with commas between thousands."""
    if value is None:
        return "-"
    return f"{Decimal(f'{value:.7g}'):,f}"


def _beyond(value: float, limit: float) -> str:
    """As few digits as show that it is more than the limit, three at least; pixels are counted in full."""
    if value == int(value):
        return _number(value)
    shortened = (float(f"{value:.{digits}g}") for digits in (3, 4, 5, 6))
    return _number(next((short for short in shortened if short > limit), value))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g} %"
