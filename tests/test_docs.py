"""Code that stands in the docs runs."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.main import get_command

from casae.cli.main import app
from casae.networks import registry
from casae.recipes import SegmenterSettings

ROOT = Path(__file__).parent.parent
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
SHORT = (
    "--preset scratch --size 64 --epochs-1 1 --epochs-2 1 --set views=16 --set width=4"
    " --set classifier.width=6 --set classifier.iterations=4"
)
QUICK = 'minutes=0.03, preset="scratch", width=4, size=64, classifier__width=6'


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def test_the_reader_in_the_docs_reads(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "spots").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((20, 30), np.uint8))
    (tmp_path / "spots" / "a.csv").write_text("9,8,3\n")
    (code,) = blocks("docs/how-to/add-a-dataset.md")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/how-to/add-a-dataset.md", "exec"), names)
    (sample,) = names["read"](tmp_path).samples
    label = sample.draw((20, 30), 1)
    assert (label[8, 9], label.sum()) == (1, 29)


def test_the_network_in_the_docs_keeps_the_contract():
    (code,) = blocks("docs/how-to/add-a-network.md")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/how-to/add-a-network.md", "exec"), names)
    for channels in (1, 3):
        network = names["tiny"](SegmenterSettings(channels=channels), False, 2)
        assert network(torch.zeros(1, channels, 64, 96)).shape == (1, 2, 64, 96)


def python_of(page: str) -> str:
    """Its code, so quick that a test can run it."""
    return re.sub(r"minutes=\d+", QUICK, "".join(blocks(page)))


@pytest.mark.slow
def test_from_labels_to_a_verdict_in_six_lines(components, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(components, "my-part")
    cv2.imwrite("part.png", cv2.imread("my-part/images/component-0001.png"))
    Path("rules.toml").write_text("[[rule]]\nmax_count = 3\n")
    page = "docs/how-to/use-python.md"
    code = python_of(page)
    assert len([line for line in code.splitlines() if line.strip()]) <= 7
    exec(compile(code, page, "exec"), {})
    assert Path("my-part.casae").exists()
    assert Path("my-part.html").exists()
    assert "Interval(value=" in capsys.readouterr().out


def test_what_an_integrator_reads_runs(components, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(components, "parts")
    page = "docs/tutorials/integrate.md"
    exec(compile(python_of(page), page, "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("OK", "REVIEW", "NG")


def run_page(page: str, folder: Path) -> None:
    """Every command of a page, one after the other, trainings cut short; files that it shows are written before."""
    text = (ROOT / page).read_text("utf-8")
    for name, content in re.findall(r"```toml\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (folder / name).write_text(content)
    for line in [line for own, line in commands() if own == page]:
        quick = line.replace("--minutes 10", SHORT)
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(quick)], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_loop_with_labelme_runs_as_it_stands(tmp_path):
    run_page("docs/tutorials/labelme-loop.md", tmp_path)
    assert (tmp_path / "found" / "component-0000.json").is_file()
    assert (tmp_path / "changed.jpg").is_file()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    notebook = json.loads((ROOT / "docs" / "notebooks" / "researcher.ipynb").read_text("utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    quick = (
        QUICK.removesuffix('preset="scratch", width=4, size=64, classifier__width=6') + "size=64, classifier__width=6"
    )
    code = re.sub(r"minutes=\d+", quick, code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(registry, "FACTORIES", dict(registry.FACTORIES))
    exec(compile(code, "researcher.ipynb", "exec"), {})
    assert "tiny.casae" in capsys.readouterr().out


def commands() -> list[tuple[str, str]]:
    """(page, command line) of every command of casae that stands in the docs."""
    found = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for block in re.findall(r"^```(?:sh|text)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(str(page.relative_to(ROOT)), line) for line in lines if line.startswith("casae ")]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_in_the_docs_is_one(page, line):
    words = shlex.split(line.split(">")[0], comments=True)[1:]
    command = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert command.make_context(command.name, words)


@pytest.mark.parametrize("message", re.findall(r"^\| `([^`]+)`", TROUBLE.split("## No message")[0], re.MULTILINE))
def test_every_message_that_is_explained_is_one_of_casae(message):
    source = "".join(file.read_text("utf-8") for file in (ROOT / "src").rglob("*.py"))
    for part in message.split("..."):
        assert part.strip() in source


def test_no_message_sends_to_a_file_that_an_installed_package_lacks():
    sent = []
    for file in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        sent += [
            (file.name, text.value)
            for text in texts
            if id(text) not in docstrings and re.search(r"docs/.*\.md", text.value)
        ]
    sent += [(file.name, "") for file in (ROOT / "src").rglob("*.j2") if "docs/" in file.read_text("utf-8")]
    assert sent == []
