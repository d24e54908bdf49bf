"""What one writes by hand: OpenVINO in a pool of processes, a network, a threshold, nothing kept; images a second.

    python benchmarks/peers/plain_openvino.py FOLDER segmenter.xml

Two processes with a thread each. A picture is read, brought to the network's input, segmented, brought back and cut at
P(defect) 0.6: no regions, classes, measures, verdicts or records.
"""

import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino

SIZE = 480, 640  # of the input of `component`
kept: dict[str, Any] = {}  # of the process


def begin(file: str) -> None:
    cv2.setNumThreads(1)
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": "1", "ENABLE_CPU_PINNING": False}
    model = openvino.Core().read_model(file)
    model.reshape([1, 1, *SIZE])
    kept["network"] = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()


def inspect(file: str) -> int:
    image, network = cv2.imread(file, cv2.IMREAD_GRAYSCALE), kept["network"]
    assert image is not None
    values = cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)[None, None] / 255
    probability = network.infer([values])[0][0, 0]
    return int((cv2.resize(probability, image.shape[::-1]) > 0.6).sum())


def main() -> None:
    files = [str(file) for file in sorted(Path(sys.argv[1]).iterdir())]
    with get_context("spawn").Pool(2, begin, (sys.argv[2],)) as pool:
        found = pool.imap(inspect, files, 8)
        for _ in range(32):  # both have begun
            next(found)
        began = time.monotonic()
        rest = sum(1 for _ in found)
    print(rest / (time.monotonic() - began))


if __name__ == "__main__":
    main()
