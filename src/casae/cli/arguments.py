"""Options that several commands have, and what they mean: settings, and a file of results."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from casae.config import InspectionSettings
from casae.errors import OutputError, UsageError

OPTIONS = {
    "gs": "--threshold",
    "core_gs": "--core",
    "mm_per_pixel": "--mm-per-pixel",
    "min_area_px": "--min-area",
    "join_px": "--join",
    "threads": "--threads",
    "precision": "--precision",
    "looks": "--looks",
    "max_megapixels": "--max-megapixels",
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


def write_json(file: Path, content: object) -> None:
    """Write what `--json FILE` asks for; /dev/stdout works too.

    Raises:
        OutputError: the place cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); choose another place") from error
