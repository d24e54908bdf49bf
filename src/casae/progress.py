"""How far a long command is, for whoever started it: a small file that `CASAE_PROGRESS` names."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "CASAE_PROGRESS"
EVERY_S = 0.5

_last = 0.0


def tell(stage: str, share: float, left_s: float | None = None, at_once: bool = False) -> None:
    """Write how far a stage is, twice a second at most; nothing where nobody asks, or the disk does not take it.

    Args:
        stage: its name.
        share: that is done, 0..1.
        left_s: seconds that are left, None where that is not known.
        at_once: also where something was written just now.
    """
    global _last
    named = os.environ.get(VARIABLE)
    if not named or (time.monotonic() - _last < EVERY_S and not at_once):
        return
    _last = time.monotonic()
    file = Path(named)
    part = file.with_name(f"{file.name}.part")
    with suppress(OSError):
        part.write_text(json.dumps({"stage": stage, "share": round(share, 4), "left_s": left_s}))
        part.replace(file)


def told(file: Path) -> tuple[str, float, float | None]:
    """Stage, share and seconds left that were written; nothing yet is ("", 0.0, None)."""
    try:
        content = json.loads(file.read_text())
        left = content["left_s"]
        return str(content["stage"]), float(content["share"]), None if left is None else float(left)
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0.0, None
