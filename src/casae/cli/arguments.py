"""Options of several commands -> settings, with errors in the words of the command line."""

from typing import Any

from pydantic import ValidationError

from casae.config import InspectionSettings
from casae.errors import UsageError

OPTIONS = {
    "gs": "--threshold",
    "core_gs": "--core",
    "mm_per_pixel": "--mm-per-pixel",
    "min_area_px": "--min-area",
    "threads": "--threads",
    "precision": "--precision",
}


def inspection_settings(**values: Any) -> InspectionSettings:
    """Inspection settings; None keeps a default.

    Raises:
        UsageError: a value out of range.
    """
    try:
        return InspectionSettings.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = OPTIONS[str(first["loc"][0])]
        raise UsageError(f"{option} {first['input']}: {first['msg'].lower()}") from error
