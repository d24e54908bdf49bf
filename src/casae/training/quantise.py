"""Give a model an int8 form of its segmenter, where that costs next to nothing and is faster here.

Post-training quantisation by NNCF, calibrated on labelled images. The first and the last convolution of each network
and everything that is no convolution keep their precision: those carry the image's levels and the probability itself.
"""

import io
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.config import InspectionSettings, Precision
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import BundleError, DatasetError, MissingExtraError
from casae.image import Image
from casae.inspection import segmentation
from casae.inspection.brightness import in_full_scale
from casae.inspection.detection import reported, thresholds
from casae.metrics import Counts
from casae.models.bundle import Bundle, Int8, Manifest, read_bundle, write_bundle
from casae.models.card import with_scores
from casae.models.runtime import Network, core, load_openvino, without

LARGEST_DROP = 0.005  # of the IoU
LEAST_GAIN = 1.1  # times as fast
MOST_IMAGES = 200
CALIBRATED_PX = 2**25  # of all calibration inputs together: 128 MB
ROUNDS, WARM = 15, 3
CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")
EXACT = ("Add", "Multiply", "Subtract", "Divide", "Power", "Sqrt", "MVN", "ReduceMean", "Sigmoid", "Softmax")

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """What one arithmetic gives: IoU over all pixels of the images, milliseconds of the network on one input."""

    precision: Precision
    iou: float
    milliseconds: float


@dataclass(frozen=True)
class Quantised:
    """The form without int8, in this processor's best precision, the int8 one, and why that was not kept, if so."""

    exact: Form
    int8: Form
    refused: str | None


def quantise(
    model: str | Path,
    part: Dataset,
    out: Path,
    step: Callable[[], object] = lambda: None,
    threads: int = 0,
    only: bool = False,
) -> Quantised:
    """Quantise a model on labelled images, and write it to `out` with its int8 form if that is worth having.

    It is if the IoU drops by less than `LARGEST_DROP` and the network is at least `LEAST_GAIN` times as fast.

    Args:
        model: a .casae file, or the name of a shipped model.
        part: images like those it will inspect; `MOST_IMAGES` of them, evenly chosen, are looked at.
        out: file to write; may be the model's own.
        step: called twice for every image.
        threads: processor threads, 0 for all.
        only: write the int8 form in the place of the exact one instead of beside it.

    Raises:
        BundleError: the model cannot be read, or holds an int8 form alone.
        DatasetError: no labelled image, or none with a defect.
        MissingExtraError: NNCF is not installed.
    """
    _nncf()  # what is missing is said before the work begins
    bundle = read_bundle(model)
    if not part.labelled.samples:
        raise DatasetError(f"{part.name}: no labelled image in '{part.split_name}'; label some or choose another list")
    if bundle.segmenter is None:
        raise BundleError(f"{model}: holds its int8 form alone; quantise the model that it was made from")
    if not any(truth.any() for _, truth in _images(part)):
        raise DatasetError(f"{part.name}: no defect in '{part.split_name}' to judge by; choose a list that has some")
    exact = Network(bundle.segmenter, f"{model}: segmenter", threads, "auto")
    inputs = _Calibration(exact, images_of(part))

    def seen() -> None:
        inputs.next_image()
        step()

    iou = _iou(inputs, part, bundle.manifest, seen)
    form = _int8(bundle.segmenter, inputs.kept)
    quick = Network(form.xml, f"{model}: int8 segmenter", threads, "int8", form.weights)
    iou_8 = _iou(quick, part, bundle.manifest, step)
    ms, ms_8 = _times((exact, quick), inputs.kept[0])
    result = Quantised(Form(exact.precision, iou, ms), Form("int8", iou_8, ms_8), _refusal(iou - iou_8, ms / ms_8))
    if result.refused is None:
        _write(replace(bundle, segmenter=None) if only else bundle, form, result, part, out)
    return result


class _Calibration:
    """A segmenter that keeps inputs of every image it sees, as many of each, evenly spaced, as there is room for."""

    def __init__(self, segmenter: segmentation.Segmenter, images: int) -> None:
        self.kept: list[Values] = []
        self._segmenter, self._images = segmenter, images
        self._of_image: list[Values] = []
        self._seen = 0

    def __call__(self, values: Values) -> Values:
        self._of_image.append(values)
        return self._segmenter(values)

    def next_image(self) -> None:
        """Choose among the inputs since the last call."""
        count = len(self._of_image)
        room = max(1, CALIBRATED_PX // self._of_image[0].size)
        before, after = (room * seen // self._images for seen in (self._seen, self._seen + 1))
        share = min(after - before, count)
        self.kept += [self._of_image[int((index + 0.5) * count / share)] for index in range(share)]
        self._of_image = []
        self._seen += 1


def _iou(segmenter: segmentation.Segmenter, part: Dataset, manifest: Manifest, step: Callable[[], object]) -> float:
    gs, core_gs = thresholds(manifest, InspectionSettings())
    total = Counts(0, 0, 0, 0)
    for image, truth in _images(part):
        shown, _ = in_full_scale(image, manifest)
        looking = partial(segmentation.averaged, segmenter, looks=manifest.looks)
        probability = segmentation.defect_probability(looking, shown, manifest.input)
        total += Counts.of(reported(probability, gs, core_gs, manifest.min_area_px).mask, truth)
        step()
    return total.iou


def images_of(part: Dataset) -> int:
    """How many images `quantise` looks at, twice each."""
    return min(MOST_IMAGES, len(part.labelled.samples))


def _images(part: Dataset) -> Iterator[tuple[Image, NDArray[np.bool_]]]:
    samples = part.labelled.samples
    for index in np.linspace(0, len(samples) - 1, images_of(part)).round().astype(int):
        image = read_image(samples[index].image)
        yield image, samples[index].draw(image.shape, len(part.classes)) > 0


def _int8(onnx: bytes, inputs: list[Values]) -> Int8:
    openvino, nncf = load_openvino(), _nncf()
    from openvino.passes import ConstantFolding, Manager

    exact = core().read_model(model=onnx)
    folding = Manager()  # weights stored in 16 bits would stay so, and be undone at each inspection
    folding.register_pass(ConstantFolding())
    folding.run_passes(exact)
    kept = nncf.IgnoredScope(names=_sensitive(exact), validate=False)
    with redirect_stdout(io.StringIO()):  # its progress bar is not a result
        quantised = nncf.quantize(
            exact,
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=kept,
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "segmenter.xml")
        openvino.save_model(quantised, file, compress_to_fp16=False)
        return Int8(file.read_bytes(), file.with_suffix(".bin").read_bytes())


def _nncf() -> Any:
    try:
        with without("openvino_telemetry"):  # it would report its use to its makers
            import nncf
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("quantise needs nncf", "int8") from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _sensitive(model: Any) -> list[str]:
    """Names of what stays exact."""
    operations = [(operation.get_type_name(), operation.get_friendly_name()) for operation in model.get_ordered_ops()]
    kept = [name for kind, name in operations if kind in EXACT]
    for network in ("/first/", "/second/"):
        convolutions = [name for kind, name in operations if kind in CONVOLUTIONS and network in name]
        kept += convolutions[:1] + convolutions[-1:]
    return kept


def _times(networks: tuple[Network, ...], values: Values) -> list[float]:
    """Median milliseconds of each network on the same input, in turn."""
    times: list[list[float]] = [[] for _ in networks]
    for _ in range(WARM + ROUNDS):
        for each, network in zip(times, networks, strict=True):
            start = time.perf_counter()
            network(values)
            each.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(each[WARM:]) for each in times]


def _refusal(drop: float, gain: float) -> str | None:
    if drop >= LARGEST_DROP:
        return f"the IoU drops by {drop:.4f}, and less than {LARGEST_DROP} is allowed"
    if gain < LEAST_GAIN:
        return f"it is {gain:.2f} times as fast on this processor, and {LEAST_GAIN} times is the least"
    return None


def _write(bundle: Bundle, form: Int8, result: Quantised, part: Dataset, out: Path) -> None:
    scores: dict[str, float | None] = {
        "images": float(images_of(part)),
        f"iou_{result.exact.precision}": result.exact.iou,
        "iou_int8": result.int8.iou,
        "times_as_fast": result.exact.milliseconds / result.int8.milliseconds,
    }
    write_bundle(replace(with_scores(bundle, f"int8 on {part.split_name}", scores), int8=form), out)
