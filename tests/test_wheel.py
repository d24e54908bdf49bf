"""The wheel in an environment of its own: inspection without torch."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LARGEST = 30e6  # bytes; models and start weights are most of it


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_models_templates_and_licence_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "casae/models/component.casae",
        "casae/evaluation/templates/training.html.j2",
        "casae/results/templates/report.html.j2",
        "casae/datasets/splits/sd-saliency-900/test.txt",
        "casae/py.typed",
    ):
        assert needed in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith(("casae/", "casae-")) for name in names)
    assert wheel.stat().st_size < LARGEST


@pytest.mark.slow
def test_an_empty_environment_inspects_without_torch(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    casae = python.with_name("casae")
    run(casae, "synthetic", "--out", "parts", "--count", "2", "--size", "320x240", cwd=tmp_path)
    said = run(casae, "inspect", "parts/images", "--model", "component", cwd=tmp_path)
    assert "2 images" in said
    inspects = "casae.Inspector('component').inspect('parts/images/component-0000.png').verdict.decision"
    script = f"import casae, importlib.util as util; print({inspects}, util.find_spec('torch'))"
    assert run(python, "-c", script, cwd=tmp_path).split()[1] == "None"
    missing = subprocess.run(
        [casae, "train", "folder:parts", "--out", "a.casae"], cwd=tmp_path, capture_output=True, text=True
    )
    assert missing.returncode == 2
    assert "pip install 'casae[train]'" in missing.stderr
