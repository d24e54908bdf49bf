"""Settings: each has one home, one name and one default. Command line, API, docs and model card read them from here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Fit = Literal["letterbox", "squeeze", "tile"]
"""How an image meets the input: scaled at its aspect ratio, squeezed as in the paper, or cut into tiles."""

Precision = Literal["auto", "f32", "bf16", "int8"]

Looks = Literal[1, 2, 4, 8]
"""How often a network looks at an input: upright; upside down; mirrored both ways; and all of it lying on its side."""

DEFAULT_GS = 100.0  # the paper's threshold module, section 3.2
CORE_GS = 25.0  # of models that we train: P(defect) >= 0.902 somewhere in a region, docs/results/core.md
MIN_AREA_PX = 12  # of a reported region, where the labels do not ask for a smaller one
MAX_MEGAPIXELS = 400.0  # of an image, from its header on
LARGEST_SIDE = 8192  # of a network's input, px
SMALLEST_SCALE, LARGEST_SCALE = 1e-9, 1e3  # mm a pixel


UNKNOWN = "unknown"  # what a defect is called that is of no class that was learned


class Frozen(BaseModel):
    """Values that are read from people or files: nothing unknown among them, and none changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def first_problem(error: ValidationError, whole_path: bool = True) -> str:
    """What is wrong with values, in one line: where, from the last name on without `whole_path`, what, and the rule."""
    first = error.errors()[0]
    names = [index for index, step in enumerate(first["loc"]) if isinstance(step, str)]
    place = first["loc"] if whole_path else first["loc"][names[-1] if names else 0 :]
    where = "".join(f" #{step + 1}" if isinstance(step, int) else f".{step}" for step in place).strip(".")
    rule = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{where}: no such setting"
    shown = f" {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return f"{where}{shown}: {rule[:1].lower()}{rule[1:]}" if where else rule


class InspectionSettings(Frozen):
    """What may change from one inspection to the next, with the same model.

    Attributes:
        gs: threshold Gs, 0..255; a larger one finds more. None takes the model's own, and its `core_gs`.
        core_gs: smaller threshold that a pixel of every reported region passes as well. None is the model's own; with a
            `gs` of one's own there is none, as in the paper.
        min_area_px: smaller regions are not reported. None takes the model's own.
        join_px: pieces of one class at most so far apart are one defect. None takes the model's own.
        mm_per_pixel: side of an image pixel in millimetres. None takes that of the images the model learned from; where
            nobody stated it, there are no millimetres.
        threads: processor threads, 0 for all.
        precision: of the networks' arithmetic; "int8" is that of the segmenter, beside a classifier in f32. "auto" is
            bf16 where the processor computes in it, else f32, and for the segmenter int8 where the model has such a
            form.
        looks: at every picture, turned and mirrored, of which the mean counts; each takes as long as the first. None
            takes the model's own.
        max_megapixels: larger images are refused, by their header, before they take memory.
    """

    gs: float | None = Field(default=None, ge=0, le=255)
    core_gs: float | None = Field(default=None, ge=0, le=255)
    min_area_px: int | None = Field(default=None, ge=1)
    join_px: float | None = Field(default=None, ge=0, le=10**6)
    mm_per_pixel: float | None = Field(default=None, ge=SMALLEST_SCALE, le=LARGEST_SCALE)
    threads: int = Field(default=0, ge=0)
    precision: Precision = "auto"
    looks: Looks | None = None
    max_megapixels: float = Field(default=MAX_MEGAPIXELS, gt=0)
