"""How well sizes are measured: shapes of known size, at all angles and shifted by fractions of a pixel.

    python benchmarks/sizes.py --out sizes.csv

A pixel is inside where its centre is, as of a sharp picture and a perfect mask. Writes a row a shape and measure: bias,
spread and worst error in px over all draws; prints a table.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.inspection.measurement import measure
from casae.inspection.regions import find_regions

BARS = ((5, 5), (10, 5), (20, 6), (40, 10), (100, 30), (100, 100), (400, 20), (400, 200))
LINES = ((5, 1), (10, 1), (20, 1.5), (40, 1.5), (100, 2), (400, 1.5), (400, 3))
DISCS = (1, 2, 3, 5, 8, 12, 20, 50, 100, 400)
UPRIGHT = 0.2  # of the draws lie at 0, 45 or 90 degrees, where errors are largest

Shape = tuple[NDArray[np.bool_], dict[str, float]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("sizes.csv"))
    options.add_argument("--draws", type=int, default=400)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rows = []
    for name, sizes in [("bar", BARS), ("line", LINES), ("disc", tuple((each, each) for each in DISCS))]:
        for length, width in sizes:
            rng = np.random.default_rng(given.seed)
            rows += list(_rows(name, length, width, given.draws, rng))
    with given.out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{'shape':18}{'measure':22}{'bias':>8}{'spread':>8}{'worst':>8}")
    for row in rows:
        print(f"{row['shape']:18}{row['measure']:22}{row['bias']:>8}{row['spread']:>8}{row['worst']:>8}")


def _rows(name: str, length: float, width: float, draws: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    errors: dict[str, list[float]] = {}
    for _ in range(draws):
        mask, true = _disc(length, rng) if name == "disc" else _bar(length, width, rng)
        regions = find_regions(mask)
        if not regions:  # no pixel's centre was hit
            continue
        found = measure(regions[0], mask.astype(np.uint8), mask)
        for measure_name, size in true.items():
            errors.setdefault(measure_name, []).append(getattr(found, measure_name) - size)
    shape = f"{name} {length:g}" + ("" if name == "disc" else f" x {width:g}")
    for measure_name, each in errors.items():
        yield {
            "shape": shape,
            "measure": measure_name,
            "draws": len(each),
            "bias": f"{np.mean(each):+.2f}",
            "spread": f"{np.std(each):.2f}",
            "worst": f"{max(each, key=abs):+.2f}",
        }


def _grid(side: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = rng.uniform(-0.5, 0.5, 2) + side / 2
    return np.arange(side) - x, (np.arange(side) - y)[:, None]


def _bar(length: float, width: float, rng: np.random.Generator) -> Shape:
    degrees = rng.choice([0.0, 45.0, 90.0]) if rng.uniform() < UPRIGHT else rng.uniform(0, 180)
    x, y = _grid(int(1.5 * length) + 12, rng)
    angle = np.deg2rad(degrees)
    along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    true = {
        "length_px": length,
        "width_px": width,
        "area_px": length * width,
        "feret_max_px": float(np.hypot(length, width)),
        "feret_min_px": width,
    }
    if length >= 2 * width:
        true |= {"skeleton_length_px": length, "mean_width_px": width}
    return (abs(along) <= length / 2) & (abs(across) <= width / 2), true


def _disc(diameter: float, rng: np.random.Generator) -> Shape:
    x, y = _grid(int(diameter) + 8, rng)
    names = ("length_px", "width_px", "feret_max_px", "feret_min_px")
    return np.hypot(x, y) <= diameter / 2, dict.fromkeys(names, diameter) | {"area_px": np.pi * diameter**2 / 4}


if __name__ == "__main__":
    main()
