"""False and missed alarms of the search for copies.

    python benchmarks/duplicates.py
    python benchmarks/duplicates.py sd-saliency-900:PATH folder:PATH ...

Without datasets: registered parts, drawn. One part under one camera, shifted by less than 2 px, with new noise, light
and defects, is no copy of another; what was saved again, brightened, scaled, turned, mirrored or cropped is one.
Of a dataset, pictures are taken as different, so that what is alike there counts as a false alarm: look at it.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.registry import open_dataset
from casae.labelled.duplicates import Likeness
from casae.labelled.images import LabelledImage, load

Gray = NDArray[np.uint8]


def part(kind: str, design: int, rng: np.random.Generator) -> Gray:
    """A registered part of a kind: the design is the same, what is drawn by `rng` is new."""
    fixed = np.random.default_rng(design)
    height, width = 300, 400
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shift = rng.uniform(-2, 2, 2)
    if kind == "fingers":  # of a solar cell
        surface = 120 + 40 * np.sin((x + shift[0]) / 2.2) + 10 * np.sin((y + shift[1]) / 21)
    else:
        surface = np.full((height, width), 130, np.float32)
        for _ in range(12):
            centre = fixed.uniform(20, 280, 2)
            radius = fixed.uniform(8, 50)
            inside = np.hypot(x - 1.3 * centre[0] - shift[0], y - centre[1] - shift[1]) < radius
            surface[inside] = fixed.uniform(40, 220)
        surface = cv2.GaussianBlur(surface, (0, 0), 0.8)
    if kind == "textured":
        grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.5)
        surface = surface + 25 * grain
    surface = surface * rng.uniform(0.9, 1.1) + (x / width - 0.5) * rng.uniform(-15, 15)
    for _ in range(rng.integers(0, 4)):
        at = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
        cv2.circle(surface, at, int(rng.integers(2, 9)), float(rng.uniform(20, 230)), -1)
    return (surface + rng.normal(0, rng.uniform(1.5, 4), surface.shape)).clip(0, 255).astype(np.uint8)


def again(gray: Gray, quality: int = 80) -> Gray:
    """Saved as JPEG in between."""
    data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def cropped(gray: Gray, share: float) -> Gray:
    """A part of it, from the upper left corner on."""
    return gray[: round(share * gray.shape[0]), : round(share * gray.shape[1])].copy()


COPIES: dict[str, Callable[[Gray], Gray]] = {
    "the same": lambda gray: gray.copy(),
    "JPEG 80": again,
    "JPEG 50": lambda gray: again(gray, 50),
    "darker, scaled by 0.8, JPEG 80": lambda gray: cv2.resize(
        again((0.8 * gray + 10).astype(np.uint8)), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA
    ),
    "turned by 180, JPEG 90": lambda gray: again(np.ascontiguousarray(gray[::-1, ::-1]), 90),
    "mirrored, JPEG 90": lambda gray: again(np.ascontiguousarray(gray[:, ::-1]), 90),
    "turned by 90": lambda gray: np.ascontiguousarray(np.rot90(gray)),
    "cropped to 95 %": lambda gray: cropped(gray, 0.95),
    "cropped to 80 %": lambda gray: cropped(gray, 0.80),
}


def images_of(grays: list[Gray]) -> list[LabelledImage]:
    """With names and without labels."""
    return [LabelledImage(f"{index:03d}", gray, np.zeros_like(gray)) for index, gray in enumerate(grays)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*")
    parser.add_argument("--parts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    for spec in wanted.datasets:
        images = load(open_dataset(spec))
        began = time.monotonic()
        groups = Likeness(images).groups(images)
        print(f"{spec}: {len(groups)} of {len(images)} pictures have copies, {time.monotonic() - began:.1f} s")
        for name, leader in [pair for pair in groups.items() if pair[0] != pair[1]][:10]:
            print(f"  {name} = {leader}")
    if wanted.datasets:
        return
    heads = ["parts", "false alarms", *COPIES]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    for kind in ("smooth", "textured", "fingers"):
        rng = np.random.default_rng(wanted.seed)
        images = images_of([part(kind, wanted.seed, rng) for _ in range(wanted.parts)])
        likeness = Likeness(images)
        false = len(likeness.groups(images))
        missed = [
            sum(image.name not in likeness.copies_of(copy(image.gray)) for image in images) for copy in COPIES.values()
        ]
        cells = [kind, f"{false} of {len(images)}", *(f"{count} missed" for count in missed)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
