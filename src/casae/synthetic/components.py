"""Whole synthetic components: a surface with some defects on it, its label, and folders of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import MAX_MEGAPIXELS
from casae.errors import OutputError, UsageError
from casae.synthetic import faint, tints
from casae.synthetic.defects import BRUSHES, CLASSES
from casae.synthetic.surfaces import FULL_WIDTH, draw_surface, expose

SMALLEST_SIDE = 64
MM_PER_PIXEL_AT_FULL_WIDTH = 0.002
LEARNED, VALIDATION = 0.7, 0.1  # shares of the pictures; the others are for the end
SETTINGS, LICENCE = "dataset.toml", "synthetic, drawn by casae; free of rights"
CLEAN_EVERY = 6  # one image in so many has no defect
Kind = Literal["components", "tints", "faint"]
NAMES: dict[Kind, tuple[str, ...]] = {"components": CLASSES, "tints": tints.CLASSES, "faint": faint.CLASSES}
"""Of the classes of each kind."""


@dataclass(frozen=True, eq=False)
class Component:
    """A picture (H, W, 3) uint8 RGB and its label values (H, W) uint8: 0 background, k = `NAMES[kind][k - 1]`."""

    picture: NDArray[np.uint8]
    label: NDArray[np.uint8]


def draw_component(
    seed: int | tuple[int, ...],
    height: int = 2040,
    width: int = 2720,
    defects: int | None = None,
    kind: Kind = "components",
) -> Component:
    """Draw a component; the same arguments draw the same one.

    Args:
        seed: of everything random.
        height: of the picture, px.
        width: of the picture, px.
        defects: how many; by default 1 to 7, and none in one picture of six.
        kind: "components" have damage, dust and the like; "tints" show in hue alone; of "faint" ones some are large.

    Raises:
        UsageError: a side is too small for a defect to be seen.
    """
    _check_sides(height, width)
    rng = np.random.default_rng(seed)
    if kind != "components":
        draw = tints.draw_tinted if kind == "tints" else faint.draw_faint
        return Component(*draw(rng, height, width, _count(rng) if defects is None else defects))
    picture = draw_surface(height, width, rng)
    label = np.zeros((height, width), np.uint8)
    defects = _count(rng) if defects is None else defects
    scale = max(height, width) / FULL_WIDTH
    for _ in range(defects):
        value = int(rng.integers(1, len(CLASSES) + 1))
        brushes = BRUSHES[CLASSES[value - 1]]
        mask = brushes[rng.integers(len(brushes))](picture, scale, rng)
        label[mask] = value
    return Component(expose(picture, rng), label)


def _count(rng: np.random.Generator) -> int:
    return 0 if rng.random() < 1 / CLEAN_EVERY else int(rng.integers(1, 8))


def write_components(
    out: Path, count: int, seed: int, height: int, width: int, kind: Kind = "components"
) -> Iterator[Path]:
    """Write a dataset in the `folder:` format, image by image, with lists val and test; what is added later is learned.

    Yields:
        Each image's file.

    Raises:
        OutputError: the folder cannot be written, or holds a dataset of another origin.
        UsageError: see `draw_component`.
    """
    _check_sides(height, width)
    names = [f"component-{index:04d}" for index in range(count)]
    try:
        if (out / SETTINGS).exists() and LICENCE not in (out / SETTINGS).read_text("utf-8", errors="replace"):
            raise OutputError(f"{out}: holds a dataset that casae did not draw; choose another folder")
        others = {file.stem for file in (out / "images").glob("*")} - set(names)
        if others or (out / "splits" / "train.txt").exists():
            raise OutputError(f"{out}: holds other pictures or lists than would be drawn; choose another folder")
        for part in ("images", "masks", "splits"):
            (out / part).mkdir(parents=True, exist_ok=True)
        first, last = round(LEARNED * count), round(LEARNED * count) + round(VALIDATION * count)
        parts = {"val": (first, last), "test": (last, count)}
        for split, (start, stop) in parts.items():
            file = out / "splits" / f"{split}.txt"
            if start < stop:
                file.write_text("".join(f"{name}\n" for name in names[start:stop]))
            else:
                file.unlink(missing_ok=True)
        (out / SETTINGS).write_text(_settings(width, NAMES[kind]))
        for index, name in enumerate(names):
            component = draw_component((seed, index), height, width, kind=kind)
            file = out / "images" / f"{name}.png"
            file.write_bytes(_png(cv2.cvtColor(component.picture, cv2.COLOR_RGB2BGR)))
            (out / "masks" / f"{name}.png").write_bytes(_png(component.label))
            yield file
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from error


def _check_sides(height: int, width: int) -> None:
    if height * width > MAX_MEGAPIXELS * 1e6:
        raise UsageError(f"{width} x {height} px: too large; {MAX_MEGAPIXELS:g} megapixels are the most")
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(f"{width} x {height} px: too small for a defect to show; each side needs {SMALLEST_SIDE} px")


def _settings(width: int, classes: Sequence[str]) -> str:
    scale = MM_PER_PIXEL_AT_FULL_WIDTH * FULL_WIDTH / width
    return f"classes = {json.dumps(classes)}\nmm_per_pixel = {scale:.6g}\nlicence = {json.dumps(LICENCE)}\n"


def _png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])
