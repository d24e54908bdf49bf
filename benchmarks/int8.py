"""What int8 arithmetic would gain and cost: post-training quantisation of a model's segmenter by NNCF.

    pip install nncf
    python benchmarks/int8.py few30-0.casae sd-saliency-900:PATH --split few30-0 --judge train

Calibrated on the images the model learned from, judged on those of another list, the test part not among them.
"""

import argparse
import os
import statistics
import time
from functools import partial

os.environ["NNCF_CI"] = "1"  # reports nothing to its makers

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

from casae.config import DEFAULT_GS
from casae.datasets.readers import open_dataset
from casae.image import Frame, to_unit
from casae.inspection import segmentation
from casae.inspection.bundle import InputSize, read_bundle
from casae.metrics import Counts
from casae.training.data import LabelledImage, load

JUDGED, ROUNDS, WARM = 120, 40, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--judge", default="val")
    wanted = parser.parse_args()
    bundle, dataset = read_bundle(wanted.model), open_dataset(wanted.dataset)
    size = bundle.manifest.input
    if size.fit == "tile":
        raise SystemExit(f"{wanted.model}: works by tiles; this benchmark shows whole images only")
    learned, judge = dataset.split(wanted.split).labelled, dataset.split(wanted.judge).labelled
    names = sorted({sample.name for sample in judge.samples} - {sample.name for sample in learned.samples})
    images = load(judge.only(set(np.random.default_rng(0).permutation(names)[:JUDGED].tolist()), wanted.judge))
    inputs = [_input(image, size) for image in load(learned)]

    core = openvino.Core()
    exact = core.read_model(bundle.segmenter)
    exact.reshape([1, 1, size.height, size.width])
    quantised = nncf.quantize(
        exact, nncf.Dataset(inputs), preset=nncf.QuantizationPreset.MIXED, subset_size=len(inputs)
    )
    config = {"PERFORMANCE_HINT": "LATENCY"}
    requests = {
        name: core.compile_model(model, "CPU", config).create_infer_request()
        for name, model in (("f32", exact), ("int8", quantised))
    }
    times: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(ROUNDS):
        for name, request in requests.items():
            start = time.perf_counter()
            request.infer([inputs[0]])
            times[name].append(1e3 * (time.perf_counter() - start))
    print(
        f"| arithmetic | IoU on {len(images)} of {wanted.judge} | ms, median | ms, fastest |\n| --- | --- | --- | --- |"
    )
    for name, request in requests.items():
        iou = sum((_counts(partial(_run, request), image, size) for image in images), Counts(0, 0, 0, 0)).iou
        each = times[name][WARM:]
        print(f"| {name} | {iou:.4f} | {statistics.median(each):.1f} | {min(each):.1f} |")


def _run(request: openvino.InferRequest, values: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = request.infer([values])[0]
    return result


def _input(image: LabelledImage, size: InputSize) -> NDArray[np.float32]:
    return to_unit(Frame.of(image.gray.shape, size.height, size.width, size.fit).put(image.gray))[None, None]


def _counts(segmenter: segmentation.Segmenter, image: LabelledImage, size: InputSize) -> Counts:
    probability = segmentation.defect_probability(segmenter, image.gray, size)
    return Counts.of(segmentation.threshold(probability, DEFAULT_GS), image.label > 0)


if __name__ == "__main__":
    main()
