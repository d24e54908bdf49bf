"""From what a person asks for on the command line to complete training settings."""

from pydantic import ValidationError

from casae.config import PRESETS, SCRATCH, TrainingSettings
from casae.errors import UsageError

OPTIONS = {"validation_share": "hold-out", "start": "from"}  # settings that are called otherwise on the command line


def settings_for(
    preset: str = "fast",
    width: int | None = None,
    size: int | None = None,
    epochs_1: int | None = None,
    epochs_2: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    tile: bool | None = None,
    scale: float | None = None,
    start: str | None = None,
    hold_out: float | None = None,
    patch: int | None = None,
) -> TrainingSettings:
    """A preset with some of its values replaced; None keeps the preset's.

    Raises:
        UsageError: no such preset, a value out of range, or both minutes and epochs.
    """
    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: no such preset; there are {', '.join(PRESETS)}")
    if minutes is not None and (epochs_1 is not None or epochs_2 is not None):
        raise UsageError("--minutes and --epochs-1/--epochs-2: choose one way to say how long; leave the other out")
    if start == SCRATCH and preset == "fast":
        preset = SCRATCH  # an encoder as large as that of `fast` needs its start weights
    base = PRESETS[preset].model_dump()
    if scale is not None and tile is False:
        raise UsageError("--scale and --no-tile: the scale is that of tiles; leave one of them out")
    changes: dict[str, float | str | None] = {
        "width": width,
        "patch": patch,
        "size": size,
        "epochs_1": epochs_1,
        "epochs_2": epochs_2,
    }
    if scale is not None:
        changes |= {"scale": scale, "fit": "tile"}
    elif tile is not None:
        changes["fit"] = "tile" if tile else "letterbox"
    of_all: dict[str, float | str | None] = {"start": start, "validation_share": hold_out}
    base |= {name: value for name, value in of_all.items() if value is not None}
    base["segmenter"] |= {name: value for name, value in changes.items() if value is not None}
    try:
        settings = TrainingSettings.model_validate(base | {"minutes": minutes, "seed": seed})
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
