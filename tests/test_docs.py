"""Code that stands in the docs runs."""

import re
import shutil
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parent.parent
QUICK = 'minutes=0.03, preset="scratch", width=4, size=64, classifier__width=6'


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


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
