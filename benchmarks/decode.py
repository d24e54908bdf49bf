"""How long a JPEG takes to become pixels: all in colour, all in gray, gray at a half to an eighth of its size.

    python benchmarks/decode.py [IMAGE.jpg]

Detection needs gray pixels at the network's size only; whether decoding just those is worth a second way through
`casae.image` is what this answers. Without an image a component of 2720 x 2040 px is drawn.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from casae.image import encode
from casae.synthetic.components import draw_component

WAYS = {
    "colour": cv2.IMREAD_COLOR,
    "gray": cv2.IMREAD_GRAYSCALE,
    "gray, 1/2": cv2.IMREAD_REDUCED_GRAYSCALE_2,
    "gray, 1/4": cv2.IMREAD_REDUCED_GRAYSCALE_4,
    "gray, 1/8": cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args()
    drawn = b"" if wanted.image else encode(draw_component(2018, 2040, 2720, defects=5).picture, ".jpg")
    data = np.frombuffer(wanted.image.read_bytes() if wanted.image else drawn, np.uint8)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(wanted.rounds):
        for way, flag in WAYS.items():
            start = time.perf_counter()
            cv2.imdecode(data, flag)
            times[way].append(1e3 * (time.perf_counter() - start))
    print(f"{data.size / 1e6:.1f} MB\n\n| decoded | ms, median |\n| --- | --- |")
    for way, each in times.items():
        print(f"| {way} | {np.median(each):.1f} |")


if __name__ == "__main__":
    main()
