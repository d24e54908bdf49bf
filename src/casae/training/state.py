"""The folder of a training: begin anew, or go on with the very same one."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from casae.errors import UsageError

IDENTITY, FINISHED = "identity.json", "finished"


def goes_on(folder: Path, identity: Mapping[str, object], resume: bool) -> bool:
    """Whether the folder holds this very training, which goes on; False where the folder may be made anew.

    Raises:
        UsageError: it may not.
    """
    file = folder / IDENTITY
    finished = (folder / FINISHED).exists()
    if resume and file.exists():
        if json.loads(file.read_text("utf-8")) == json.loads(json.dumps(identity)):
            return True
        if not finished:
            raise UsageError(f"{folder}: holds a training with other settings or data; repeat its command to resume it")
    if file.exists() and not finished:
        raise UsageError(f"{folder}: holds an interrupted training; add --resume to go on, or delete the folder")
    if folder.exists() and not file.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is needed for the training, and holds something else; choose another --out")
    return False


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Make the folder anew."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / IDENTITY).write_text(json.dumps(identity, indent=2), "utf-8")
