"""Milliseconds of each stage of an inspection, with a shipped model on synthetic components of several sizes."""

import argparse
import time
from statistics import median

import cv2

from casae import Inspector
from casae.image import decode_image, to_gray
from casae.inspection.measurement import measure
from casae.inspection.verdict import judge
from casae.synthetic.components import draw_component

SIZES = ((816, 1088), (2040, 2720))
ROUNDS, WARM_UP = 12, 2


class Stopwatch:
    """Times of named stages over many rounds."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self._began = time.perf_counter()

    def start(self) -> None:
        """A round begins."""
        self._began = time.perf_counter()

    def lap(self, stage: str) -> None:
        """A stage has ended."""
        now = time.perf_counter()
        self.times.setdefault(stage, []).append((now - self._began) * 1e3)
        self._began = now


def inspect(inspector: Inspector, jpeg: bytes, watch: Stopwatch) -> int:
    """One round over all stages; the number of regions."""
    watch.start()
    image = decode_image(jpeg, "a.jpg")
    watch.lap("decode")
    probability = inspector.probability(image)
    watch.lap("segment")
    mask, regions = inspector.find(probability)
    watch.lap("regions")
    names = inspector.name_regions(image, regions)
    watch.lap("classify")
    gray = to_gray(image)
    sizes = [measure(region, gray, mask) for region in regions]
    watch.lap("measure")
    judge([(*name, size) for name, size in zip(names, sizes, strict=True)], inspector.rules)
    watch.lap("judge")
    return len(regions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="component")
    inspector = Inspector(parser.parse_args().model)
    for height, width in SIZES:
        picture = draw_component(2018, height, width, defects=5).picture
        jpeg = bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1])
        watch = Stopwatch()
        counts = [inspect(inspector, jpeg, watch) for _ in range(ROUNDS)]
        middle = {stage: median(values[WARM_UP:]) for stage, values in watch.times.items()}
        total = sum(middle.values())
        print(f"{width} x {height} px, {counts[0]} regions: {total:.0f} ms")
        for stage, value in middle.items():
            print(f"  {stage:<10}{value:8.1f} ms  {100 * value / total:4.0f} %")


if __name__ == "__main__":
    main()
