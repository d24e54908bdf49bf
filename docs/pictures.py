"""Make the pictures of the docs: drawn parts alone, each as a person sees it.

`python docs/pictures.py` needs chromium and takes a quarter of an hour, ten minutes of it a training. `--work FOLDER`
keeps parts and model there, so that the next time takes seconds. `docs/generate.py` makes the diagrams, and its
`--check` tells where pictures are older than what they show.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PICTURES = DOCS / "pictures"
MADE_FROM = PICTURES / "made-from.json"
SOURCES = (  # what the pictures show
    "src/casae/cli/inspect.py",
    "src/casae/evaluation/templates/training.html.j2",
    "src/casae/inspection/overlay.py",
    "src/casae/models/component.casae",
    "src/casae/results/templates/report.html.j2",
    "src/casae/synthetic/components.py",
)
INK, SOFT, BOX, ACCENT = "#1d2733", "#5b6876", "#eef2f6", "#0b63a5"
CARD_WIDTH, QUALITY = 1100, 82  # px of a page, and of JPEG


def digest() -> dict[str, str]:
    """What the pictures were made from, by hash."""
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest()[:16] for name in SOURCES}


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder that keeps parts and model for the next time")
    work = parser.parse_args().work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    demo(work)
    page(work)
    MADE_FROM.write_text(json.dumps(digest(), indent=2) + "\n", "utf-8")


def casae(work: Path, *words: str) -> str:
    """What a command prints, as a person sees it at 80 columns."""
    shown = os.environ | {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, "-m", "casae", *words], cwd=work, env=shown, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return done.stdout


def demo(work: Path) -> None:
    """The first five minutes: terminal, overlay, report."""
    shutil.rmtree(work / "results", ignore_errors=True)
    drawn = casae(work, "synthetic", "--out", "parts", "--count", "6", "--size", "1088x816", "--seed", "2018")
    options = ("--model", "component", "--out", "results", "--mm-per-pixel", "0.005")
    found = casae(work, "inspect", "parts/images", *options)
    drawing = "casae synthetic --out parts --count 6 --size 1088x816 --seed 2018"
    terminal([(drawing, drawn), (" ".join(["casae inspect parts/images", *options]), found)])
    overlay = work / "results" / "overlays" / "component-0005.jpg"
    shutil.copy(overlay, PICTURES / "overlay.jpg")
    screenshot(work / "results" / "report.html", PICTURES / "report.jpg", 1500)


def page(work: Path) -> None:
    """The training page of the tutorial."""
    if not (work / "my-part.html").exists():
        casae(work, "synthetic", "--out", "my-part", "--count", "60", "--size", "1088x816", "--seed", "1")
        casae(work, "train", "folder:my-part", "--minutes", "10", "--out", "my-part.casae")
    screenshot(work / "my-part.html", PICTURES / "training.jpg", 1150)


def terminal(steps: Sequence[tuple[str, str]]) -> None:
    """What stands on the screen, as an SVG that loads nothing."""
    console = Console(record=True, width=80, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    for command, printed in steps:
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi(printed))
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="casae"), flags=re.DOTALL)
    (PICTURES / "terminal.svg").write_text(re.sub(r"terminal-\d+", "terminal", drawn), "utf-8")


def screenshot(file: Path, picture: Path, height: int) -> None:
    """The upper part of a page, without the path of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        png, shown = Path(folder) / "page.png", Path(folder) / "page.html"
        shown.write_text(file.read_text("utf-8").replace(f"{file.resolve().parents[1]}/", ""), "utf-8")
        size = f"--window-size={CARD_WIDTH},{height}"
        chromium = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={png}"]
        subprocess.run([*chromium, shown.as_uri()], check=True, capture_output=True)
        cv2.imwrite(str(picture), cv2.imread(str(png)), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))


def road() -> str:
    """From a picture to a verdict, and from labels to a model."""
    rows = (
        ("inspect", ("source", "probability", "regions", "class", "measures", "verdict", "store")),
        ("train", ("labels", "networks", "thresholds", "page, card", "model")),
        ("live", ("model", "line", "review", "labels")),
    )
    parts = []
    for index, (title, steps) in enumerate(rows):
        top = 14 + index * 62
        parts.append(text(8, top + 25, title, "start", SOFT))
        for step, name in enumerate(steps):
            left = 80 + step * 112
            parts.append(box(left, top, 96, 38, name))
            if step:
                parts.append(arrow(left - 16, top + 19, left))
    return svg(868, 200, parts)


def rooms() -> str:
    """Who may import whom, top down, as import-linter holds it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    parts, width = [], 700
    for index, layer in enumerate(layers):
        names = [name.strip().removeprefix("casae.") for name in layer.split("|")]
        each = (width - 8 * (len(names) - 1)) / len(names)
        parts += [box(10 + place * (each + 8), 10 + index * 44, each, 34, name) for place, name in enumerate(names)]
    return svg(width + 20, 20 + 44 * len(layers), parts)


def box(left: float, top: float, width: float, height: float, name: str) -> str:
    """A named box."""
    place = f'x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}" rx="4"'
    return f'<rect {place} fill="{BOX}" stroke="{ACCENT}"/>' + text(
        left + width / 2, top + height / 2 + 5, name, "middle", INK
    )


def text(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def arrow(left: float, y: float, right: float) -> str:
    """To the right."""
    head = f"{right - 6},{y - 4} {right},{y} {right - 6},{y + 4}"
    return f'<path d="M{left},{y} H{right}" stroke="{SOFT}"/><polyline points="{head}" fill="none" stroke="{SOFT}"/>'


def svg(width: int, height: int, parts: Iterable[str]) -> str:
    """Parts on white."""
    look = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14"'
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {look}>', ground, *parts, "</svg>", ""])


if __name__ == "__main__":
    main()
