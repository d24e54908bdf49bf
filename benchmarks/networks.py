"""Milliseconds of whole networks on this processor, in turn: CASAE of each preset, a U-Net, and ONNX files of others.

    python benchmarks/networks.py --rounds 20 yolo26n-seg.onnx@3x640

Fresh weights: time does not depend on them. Everything runs in OpenVINO in its best precision here, the rows marked
"PyTorch" eagerly in float32.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from casae.config import Precision
from casae.models.runtime import Network, processor
from casae.networks.export import export_segmenter
from casae.recipes import PRESETS
from casae.training import segmentation
from unet import UNet

SIDE = 512
WARM = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("others", nargs="*", metavar="FILE@CHANNELSxSIDE")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--paper", action="store_true", help="also the paper's width, which takes seconds an image")
    parser.add_argument("--precision", default="auto", choices=("auto", "f32", "bf16"))
    wanted = parser.parse_args()
    torch.manual_seed(0)
    runs: dict[str, Callable[[], object]] = {}
    fast = PRESETS["fast"].segmenter
    segmenters = {"fast, --patch 4": fast.model_copy(update={"patch": 4}), "fast": fast}
    segmenters |= {name: PRESETS[name].segmenter for name in ("scratch", *(["paper"] if wanted.paper else []))}
    for name, settings in segmenters.items():
        _add(runs, f"CASAE {name}, {SIDE} px", segmentation.build(settings).eval(), wanted.precision)
    _add(runs, f"U-Net ResNet-18, {SIDE} px", UNet(standardise=True).eval(), wanted.precision, eager=False)
    for other in wanted.others:
        file, _, shape = other.rpartition("@")
        channels, side = (int(part) for part in shape.split("x"))
        network = Network(Path(file).read_bytes(), file, precision=wanted.precision)
        values = np.random.default_rng(0).random((1, channels, side, side), np.float32)
        runs[f"{Path(file).stem}, {side} px"] = lambda network=network, values=values: network(values)  # type: ignore[misc]
    known = processor()
    print(f"{known.name}, {known.threads} threads, {', '.join(known.features)}, precision {wanted.precision}\n")
    _print(_times(runs, wanted.rounds))


def _add(
    runs: dict[str, Callable[[], object]], name: str, network: nn.Module, precision: Precision, eager: bool = True
) -> None:
    image = np.random.default_rng(0).random((1, 1, SIDE, SIDE), np.float32)
    exported = export_segmenter(network, image)
    compiled = Network(exported.onnx, name, precision=precision)
    runs[name] = lambda: compiled(image)
    if eager:
        tensor = torch.from_numpy(image)

        def run() -> Tensor:
            with torch.inference_mode():
                logits: Tensor = network(tensor)
            return logits

        runs[f"{name}, PyTorch"] = run


def _times(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(WARM + rounds):
        for name, run in runs.items():
            run()  # wakes its threads, while those of PyTorch still wait for more
            start = time.perf_counter()
            run()
            if turn >= WARM:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def _print(times: dict[str, list[float]]) -> None:
    first = statistics.median(next(iter(times.values())))
    print("| network | ms, median | ms, fastest | times the first row |\n| --- | --- | --- | --- |")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"| {name} | {median:.1f} | {min(each):.1f} | {median / first:.2f} |")


if __name__ == "__main__":
    main()
