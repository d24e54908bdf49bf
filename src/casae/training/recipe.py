"""From what a person asks for on the command line to complete training settings."""

from typing import Any

from pydantic import ValidationError

from casae.config import PRESETS, SCRATCH, SegmenterSettings, TrainingSettings
from casae.errors import UsageError

OPTIONS = {"validation_share": "hold-out", "start": "from"}  # settings that are called otherwise on the command line


def settings_for(preset: str = "fast", *, tile: bool | None = None, **given: Any) -> TrainingSettings:
    """A preset with some of its values replaced.

    Args:
        preset: one of `PRESETS`.
        tile: whether images are cut into tiles; None leaves it to the labelled defects.
        given: values by their names in `casae.config`, of the segmenter or of all; None keeps the preset's.

    Raises:
        UsageError: no such preset, a value out of range, or both minutes and epochs.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: no such preset; there are {', '.join(PRESETS)}")
    if "minutes" in wanted and wanted.keys() & {"epochs_1", "epochs_2"}:
        raise UsageError("--minutes and --epochs-1/--epochs-2: choose one way to say how long; leave the other out")
    if "scale" in wanted and tile is False:
        raise UsageError("--scale and --no-tile: the scale is that of tiles; leave one of them out")
    if "scale" in wanted or tile is not None:
        wanted["fit"] = "letterbox" if tile is False else "tile"
    if wanted.get("start") == SCRATCH and preset == "fast":
        preset = "scratch"  # an encoder as large as that of `fast` needs its start weights
    base = PRESETS[preset].model_dump()
    base["segmenter"] |= {name: wanted.pop(name) for name in wanted.keys() & SegmenterSettings.model_fields.keys()}
    try:
        settings = TrainingSettings.model_validate(base | wanted)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        name = OPTIONS.get(field, field.replace("_", "-"))
        raise UsageError(f"--{name} {first['input']}: {first['msg'].lower()}") from error
    side, stride = settings.segmenter.size, settings.segmenter.stride
    if side % stride:
        rounded = max(stride, round(side / stride) * stride)
        raise UsageError(f"--size {side}: must be a multiple of {stride}; {rounded} works")
    return settings
