"""Acceptance rules: what of a class, in a zone, of a size, so many and so close together is still acceptable."""

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from casae.config import UNKNOWN, Frozen
from casae.errors import UsageError
from casae.files import place_in_toml, settings_of

EVERY_CLASS = "every class"
WHOLE_PICTURE = "picture"

SIZES = {  # measures that a rule may limit, and how a sentence names their values
    "area_px": "of {} px²",
    "length_px": "{} px long",
    "width_px": "{} px wide",
    "feret_max_px": "{} px across (largest Feret)",
    "feret_min_px": "{} px across (smallest Feret)",
    "skeleton_length_px": "{} px long along it",
    "mean_width_px": "{} px wide on average",
    "perimeter_px": "{} px around",
    "area_mm2": "of {} mm²",
    "length_mm": "{} mm long",
    "width_mm": "{} mm wide",
    "feret_max_mm": "{} mm across (largest Feret)",
    "feret_min_mm": "{} mm across (smallest Feret)",
    "skeleton_length_mm": "{} mm long along it",
    "mean_width_mm": "{} mm wide on average",
    "perimeter_mm": "{} mm around",
    "holes": "with {} holes",
}
TOGETHER = {  # of all defects that a rule judges
    "count": "{} found",
    "total_area_px": "{} px² together",
    "total_area_mm2": "{} mm² together",
    "in_square": "{} in one square",
    "specks": "{} specks",
}
DISTANCES = {"distance_px": "{} px from the next", "distance_mm": "{} mm from the next"}


class Band(Frozen):
    """Two limits: up to `accept` is OK, up to `review` a person decides, beyond is NG. Of a least value the reverse."""

    accept: float = Field(ge=0)
    review: float = Field(ge=0)

    @property
    def is_wide(self) -> bool:
        """Whether there is anything for a person to decide."""
        return self.accept != self.review


def _band_of(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"accept": value, "review": value}
    if not isinstance(value, dict | Band):
        raise ValueError("must be a number, or two as in { accept = 0.4, review = 0.5 }")
    return value


def _band_of_whole(value: Any) -> Any:
    band = _band_of(value)
    if isinstance(band, dict) and any(isinstance(each, float) and not each.is_integer() for each in band.values()):
        raise ValueError("must be whole numbers")
    return band


Limit = Annotated[Band, BeforeValidator(_band_of)]
CountLimit = Annotated[Band, BeforeValidator(_band_of_whole)]


class Together(Frozen):
    """Limits on defects taken together; each may be reached.

    Attributes:
        max_count: of them.
        max_total_area_px, max_total_area_mm2: sum of their areas.
        max_in_square: of them with centres in any square of the side `square_px` or `square_mm`.
        min_distance_px, min_distance_mm: from one to the next, between their edges.
    """

    max_count: CountLimit | None = None
    max_total_area_px: Limit | None = None
    max_total_area_mm2: Limit | None = None
    max_in_square: CountLimit | None = None
    square_px: float | None = Field(default=None, gt=0)
    square_mm: float | None = Field(default=None, gt=0)
    min_distance_px: Limit | None = None
    min_distance_mm: Limit | None = None

    def limits(self) -> Iterator[tuple[str, Band]]:
        """Every limit that is given, by the name of its setting."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Band):
                yield name, value

    def limit(self, field: str) -> Band | None:
        """The limit of a field such as "length_px", "count" or "distance_mm"; None without one."""
        prefix = "min_" if field in DISTANCES else "max_"
        band: Band | None = getattr(self, prefix + field, None)
        return band

    @property
    def allowed(self) -> str:
        """What is accepted, for people."""
        return ", ".join(_said(name, band, self) for name, band in self.limits()) or "without limit"

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        for name, band in self.limits():
            low, high = (band.review, band.accept) if name.startswith("min_") else (band.accept, band.review)
            if low > high:
                raise ValueError(f"{name}: accept {band.accept:g} lies beyond review {band.review:g}; swap them")
        sides = (self.square_px is not None) + (self.square_mm is not None)
        if sides != (self.max_in_square is not None):
            raise ValueError("max_in_square goes with the side of its square, square_px or square_mm, one of both")
        return self


class Rule(Together):
    """What is still acceptable of one class or of every class, in one zone or everywhere.

    A defect may reach each limit; `max_count` and the other limits of `Together` are for all of one class that the rule
    judges. A rule without any limit says so by `unlimited`.

    Attributes:
        name: of the rule, in reasons; by default its class and zone.
        defect_class: None for every class without a rule of its own.
        zone: None for everywhere.
        min_probability: of the class; a defect that would pass with less is for a person to decide.
    """

    model_config = ConfigDict(populate_by_name=True)

    name: str | None = Field(default=None, min_length=1)
    defect_class: str | None = Field(default=None, alias="class")
    zone: str | None = None
    max_area_px: Limit | None = None
    max_length_px: Limit | None = None
    max_width_px: Limit | None = None
    max_feret_max_px: Limit | None = None
    max_feret_min_px: Limit | None = None
    max_skeleton_length_px: Limit | None = None
    max_mean_width_px: Limit | None = None
    max_perimeter_px: Limit | None = None
    max_area_mm2: Limit | None = None
    max_length_mm: Limit | None = None
    max_width_mm: Limit | None = None
    max_feret_max_mm: Limit | None = None
    max_feret_min_mm: Limit | None = None
    max_skeleton_length_mm: Limit | None = None
    max_mean_width_mm: Limit | None = None
    max_perimeter_mm: Limit | None = None
    max_holes: CountLimit | None = None
    min_probability: float | None = Field(default=None, ge=0, le=1)
    unlimited: bool = False

    @property
    def of(self) -> str:
        """Whose rule it is, for people."""
        return self.name or (self.defect_class or EVERY_CLASS) + (f" on {self.zone}" if self.zone else "")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        limited = any(True for _ in self.limits())
        if limited == self.unlimited:
            way = "drop unlimited" if limited else "give it one, or say unlimited = true to accept all of them"
            raise ValueError(f"the rule for {self.of} names {'limits' if limited else 'no limit'}; {way}")
        return self


class PictureRule(Together):
    """Limits on all defects of a picture, whatever their class.

    Attributes:
        max_specks: of regions smaller than what is reported.
    """

    max_specks: CountLimit | None = None


class AcceptanceRules(Frozen):
    """A rules file (TOML): `[[rule]]` tables, a table `[picture]`, `review_below` and `review_novelty`.

    Without any rule no defect is accepted; where `[picture]` stands alone, it says all.

    Attributes:
        rule: the rules. Of those for a defect's class and zone, the most special applies: for both, for the zone, for
            the class, for all.
        picture: beside them, for all defects of a picture.
        review_below: a part that would pass goes to REVIEW if a defect's class probability is below this.
        review_novelty: and if its picture is more unlike those that were learned, in units of the model's own limit.
    """

    rule: tuple[Rule, ...] = ()
    picture: PictureRule | None = None
    review_below: float = Field(default=0.6, ge=0, le=1)
    review_novelty: float = Field(default=1.0, gt=0)

    @field_validator("rule")
    @classmethod
    def _one_each(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for (name, zone), count in Counter((rule.defect_class, rule.zone) for rule in rules).items():
            if count > 1:
                whose = f"class {name!r}" if name else "all classes"
                where = f" on {zone}" if zone else ""
                raise ValueError(f"{count} for {whose}{where}; put all limits into one")
        return rules

    @property
    def of_picture_alone(self) -> bool:
        """Whether nothing but limits on a whole picture are given: these say all."""
        return self.picture is not None and not self.rule

    def for_defect(self, defect_class: str, zones: Sequence[str]) -> list[Rule]:
        """The rules that judge a defect: of each zone that it touches the most special one, else that of no zone.

        None where nothing accepts it.
        """
        known = {(rule.defect_class, rule.zone): rule for rule in self.rule}
        own = [known.get((defect_class, zone)) or known.get((None, zone)) for zone in (*zones, None)]
        *zonal, general = own
        return [rule for rule in zonal if rule] or ([general] if general else [])


TABLES = {"rule": "write [[rule]] above each", "picture": "write [picture], once"}  # where brackets are missing


def read_rules(
    path: str | Path, classes: Sequence[str] | None = None, zones: Sequence[str] | None = None
) -> AcceptanceRules:
    """Read a rules file.

    Args:
        path: of the file.
        classes: that the model knows; None does not check them.
        zones: of the part; None does not check them.

    Raises:
        UsageError: not readable, an unknown field, or a class or zone that is not known; names line and column.
    """
    way = "write such as [[rule]] and, below it, max_length_mm = 0.5"
    rules = settings_of(
        AcceptanceRules, path, way, lambda name, unknown: _meant(name) if unknown else TABLES.get(name, "")
    )
    for index, key, problem in _unknown_names(rules, classes, zones):
        raise UsageError(f"{place_in_toml(Path(path), ('rule', index, key))}: {problem}")
    return rules


def _meant(name: str) -> str:
    """What a misspelt setting may have been meant to be."""
    names = [info.alias or name for name, info in Rule.model_fields.items()]
    if name in names:
        return "put it below a [[rule]]"
    near = difflib.get_close_matches(
        name, ["review_below", "review_novelty", "picture", "rule", "max_specks", *names], 3
    )
    return f"is {' or '.join(near)} meant?" if near else f"there are {', '.join(names)}"


def check_names(rules: AcceptanceRules, classes: Sequence[str] | None, zones: Sequence[str] | None) -> None:
    """Whether a model knows the classes, and a part the zones, that the rules name; None does not check.

    Raises:
        UsageError: one is unknown.
    """
    for _, _, problem in _unknown_names(rules, classes, zones):
        raise UsageError(problem)


def _unknown_names(
    rules: AcceptanceRules, classes: Sequence[str] | None, zones: Sequence[str] | None
) -> Iterator[tuple[int, str, str]]:
    """Number of the rule, from 0, its key and what is wrong."""
    for index, rule in enumerate(rules.rule):
        if classes is not None and rule.defect_class not in (None, UNKNOWN, *classes):
            yield index, "class", f"the model knows no class '{rule.defect_class}'; it knows {', '.join(classes)}"
        if zones is not None and rule.zone is not None and rule.zone not in zones:
            known = f"there are {', '.join(zones)}" if zones else "name a file of zones (--zones)"
            yield index, "zone", f"there is no zone '{rule.zone}'; {known}"


def check_scale(rules: AcceptanceRules, mm_per_pixel: float | None) -> None:
    """Whether the rules can be applied at this scale.

    Raises:
        UsageError: a rule is in millimetres and the scale is unknown.
    """
    tables: list[Together] = [*rules.rule, *([rules.picture] if rules.picture else [])]
    needs = [name for table in tables for name, _ in table.limits() if "_mm" in name]
    needs += ["square_mm" for table in tables if table.square_mm is not None]
    if needs and mm_per_pixel is None:
        way = "add --mm-per-pixel or --calibration, in Python InspectionSettings(mm_per_pixel=...)"
        raise UsageError(f"rule {needs[0]} needs the scale of the image; {way}")


def number(value: float | None) -> str:
    """For people: never in powers of ten, with commas between thousands; "-" for None."""
    if value is None:
        return "-"
    return f"{Decimal(f'{value:.7g}'):,f}"


def _said(name: str, band: Band, table: Together) -> str:
    """A limit, for people."""
    field = name[4:]
    pattern = {**SIZES, **TOGETHER, **DISTANCES}[field].replace(" found", " of them")
    words = "at least" if name.startswith("min_") else "up to"
    said = f"{words} {pattern.format(number(band.accept))}".replace("up to of ", "up to ").replace("to with", "to")
    if field == "in_square":
        side = table.square_px if table.square_px is not None else table.square_mm
        said += f" of {number(side)} {'px' if table.square_px is not None else 'mm'}"
    direction = "down" if words == "at least" else "up"
    return said + (f" (a person decides {direction} to {number(band.review)})" if band.is_wide else "")
