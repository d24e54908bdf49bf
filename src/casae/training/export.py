"""Trained networks -> ONNX bytes, and the proof that both give the same."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from casae.errors import BundleError
from casae.inspection.runtime import Network
from casae.training.networks import CASAE, CompactCNN, defect_probability

OPSET = 17
LARGEST_DIFFERENCE = 0.02  # of a probability; more means that the export is wrong
HALF_ABOVE = 64  # values; smaller constants stay in single precision


class _Segmenter(nn.Module):
    def __init__(self, casae: CASAE) -> None:
        super().__init__()
        self.casae = casae

    def forward(self, image: Tensor) -> Tensor:
        return defect_probability(self.casae(image))


@dataclass(frozen=True)
class Exported:
    """An ONNX model and its largest difference from the trained network, as a probability."""

    onnx: bytes
    difference: float


def export_segmenter(casae: CASAE, images: NDArray[np.float32]) -> Exported:
    """ONNX: gray (1, 1, H, W) float32 in 0..1 -> P(defect) of the same shape, through both networks.

    Args:
        casae: trained.
        images: (N, 1, H, W) to compare on.

    Raises:
        BundleError: the export differs from the trained network.
    """
    axes = {0: "batch", 2: "height", 3: "width"}
    return _export(_Segmenter(casae), images, "segmenter", {"input": axes, "output": axes})


def export_classifier(network: CompactCNN, crops: NDArray[np.float32]) -> Exported:
    """ONNX: crops (N, 1, 227, 227) float32 in 0..1 -> class probabilities (N, classes). See `export_segmenter`."""
    axes = {0: "batch"}
    return _export(nn.Sequential(network, nn.Softmax(dim=1)), crops, "classifier", {"input": axes, "output": axes})


def _export(network: nn.Module, examples: NDArray[np.float32], name: str, axes: dict[str, Any]) -> Exported:
    network.eval()
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.from_numpy(examples[:1]),),
            stream,  # type: ignore[arg-type]  # documented as a path, accepts a stream with dynamo=False
            input_names=["input"],
            output_names=["output"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(stream.getvalue())
    _store_half(model)
    data = model.SerializeToString()
    exported, difference = Network(data, name), 0.0
    with torch.inference_mode():
        for example in examples:
            trained = network(torch.from_numpy(example[None])).numpy()
            difference = max(difference, float(np.abs(trained - exported(example[None])).max()))
    if not difference <= LARGEST_DIFFERENCE:
        raise BundleError(f"{name}: the exported network differs by {difference:.3g} from the trained one; report this")
    return Exported(data, difference)


def _store_half(model: onnx.ModelProto) -> None:
    """Keep large weights as float16, cast back on loading: half the file, the computation stays float32."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > HALF_ABOVE:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
