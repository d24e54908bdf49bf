"""What stands in `benchmarks/` belongs to the casae beside it."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
FILES = [*sorted(FOLDER.glob("*.py")), FOLDER / "fuzz" / "fuzz.py"]
FOREIGN = {"kornia", "ultralytics", "scipy"}  # of the extra `bench`


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_can_be_imported(file, monkeypatch):
    monkeypatch.syspath_prepend(str(file.parent))
    try:
        runpy.run_path(str(file), run_name="imported")
    except ModuleNotFoundError as error:
        if error.name not in FOREIGN:
            raise
        pytest.skip(f"{error.name} is not installed")
    finally:
        for name in ("judging", "rows", "unet"):
            sys.modules.pop(name, None)
