"""Code that stands in the docs runs."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
QUICK = 'minutes=0.03, preset="scratch", width=4, size=64, classifier__width=6'


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def test_the_reader_in_the_docs_reads(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "spots").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((20, 30), np.uint8))
    (tmp_path / "spots" / "a.csv").write_text("9,8,3\n")
    (code,) = blocks("docs/datasets.md")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/datasets.md", "exec"), names)
    (sample,) = names["read"](tmp_path).samples
    label = sample.draw((20, 30), 1)
    assert (label[8, 9], label.sum()) == (1, 29)


def test_the_network_in_the_docs_keeps_the_contract():
    (code,) = blocks("docs/train.md")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/train.md", "exec"), names)
    assert names["tiny"](None, False, 2)(torch.zeros(1, 1, 64, 96)).shape == (1, 2, 64, 96)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/inspect.md"])
def test_from_labels_to_a_verdict_in_six_lines(page, components, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(components, "my-part")
    cv2.imwrite("part.png", cv2.imread("my-part/images/component-0001.png"))
    Path("rules.toml").write_text("[[rule]]\nmax_count = 3\n")
    (code,) = blocks(page)
    assert len([line for line in code.splitlines() if line.strip()]) <= 7
    exec(compile(code.replace("minutes=20", QUICK), page, "exec"), {})
    assert Path("my-part.casae").exists()
    assert Path("my-part.html").exists()
    assert "Interval(value=" in capsys.readouterr().out


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
