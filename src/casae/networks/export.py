"""Trained networks -> ONNX bytes, and the proof that both give the same."""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from casae.errors import BundleError
from casae.models.runtime import Network
from casae.networks.cascade import CASAE, probability_of
from casae.networks.compact_cnn import CompactCNN
from casae.networks.fuse import simplified

OPSET = 17
LARGEST_DIFFERENCE = 0.02  # of a probability; more means that the export is wrong
LARGE = 64  # values; smaller constants stay as they are
INT16_LARGEST = 32767
EXPECTED_WARNINGS = (  # of PyTorch's exporter: what it says of shapes is proved wrong by comparing afterwards
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed"),
    (TracerWarning, "Converting a tensor to a Python boolean|Using len to get tensor shape"),
    (UserWarning, "Constant folding - Only steps=1"),
)
IMAGE_AXES = {0: "batch", 2: "height", 3: "width"}  # that may change


class _WithFeatures(nn.Module):
    """What a network says as probabilities, and the means (N, F) of the maps that its `levels` make, if it has any."""

    def __init__(self, network: nn.Module, levels: Sequence[nn.Module], said: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.levels, self.said = network, levels, said

    def forward(self, values: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        means: list[Tensor] = []
        hooks = [
            level.register_forward_hook(lambda _, __, maps: means.append(maps.mean((2, 3)))) for level in self.levels
        ]
        try:
            said = self.said(self.network(values))
        finally:
            for hook in hooks:
                hook.remove()
        return (said, torch.cat(means, 1)) if means else said


def _segmenter(network: nn.Module) -> _WithFeatures:
    return _WithFeatures(network, getattr(getattr(network, "first", network), "levels", ()), probability_of)


@dataclass(frozen=True)
class Exported:
    """An ONNX model and its largest difference from the trained network, as a probability."""

    onnx: bytes
    difference: float


def export_segmenter(network: nn.Module, images: NDArray[np.float32]) -> Exported:
    """ONNX: (1, channels, H, W) float32 as `InputSize` says -> P(defect) (1, 1, H, W) and features (1, F).

    Args:
        network: trained, of two logits; a cascade goes in fewer operations.
        images: (N, channels, H, W) to compare on.

    Raises:
        BundleError: the export differs from the trained network.
    """
    quick = simplified(network) if isinstance(network, CASAE) else network
    return _export(_segmenter(quick), _segmenter(network), images, "segmenter", IMAGE_AXES)


def export_classifier(network: CompactCNN, crops: NDArray[np.float32]) -> Exported:
    """ONNX: crops (N, channels, 227, 227) float32 in 0..1 -> probabilities (N, classes) and features (N, F).

    See `export_segmenter`.
    """
    trained = _WithFeatures(network, network.levels, nn.Softmax(dim=1))
    return _export(trained, trained, crops, "classifier", {0: "batch"})


def _export(
    network: _WithFeatures, trained: _WithFeatures, examples: NDArray[np.float32], name: str, axes: dict[int, str]
) -> Exported:
    """Export a network that computes what a trained one does, which is proved."""
    made = {"output": axes, **({"features": {0: "batch"}} if trained.levels else {})}
    network.eval()
    trained.eval()
    stream = io.BytesIO()
    with warnings.catch_warnings():
        for category, said in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", said, category)
        torch.onnx.export(
            network,
            (torch.from_numpy(examples[:1]),),
            stream,  # type: ignore[arg-type]  # documented as a path, accepts a stream with dynamo=False
            input_names=["input"],
            output_names=list(made),
            dynamic_axes={"input": axes, **made},
            opset_version=OPSET,
            dynamo=False,
        )
    exact = stream.getvalue()
    for data in (_stored_in_16_bits(exact), exact):  # twice the file rather than another network
        difference = _difference(trained, Network(data, name), examples)
        if difference <= LARGEST_DIFFERENCE:
            return Exported(data, difference)
    raise BundleError(f"{name}: the exported network differs by {difference:.3g} from the trained one; report this")


def _difference(trained: _WithFeatures, exported: Network, examples: NDArray[np.float32]) -> float:
    """The largest of a probability, and of a feature in units of the largest one."""
    differences = []
    for example in examples:
        with torch.inference_mode():
            right = trained(torch.from_numpy(example[None]))
        said, features = right if isinstance(right, tuple) else (right, None)
        run, run_features = exported.with_features(example[None])
        differences.append(np.abs(said.numpy() - run).max())
        if features is not None:
            unit = max(float(features.abs().max()), np.finfo(np.float32).tiny)
            differences.append(np.abs(features.numpy() - run_features).max() / unit)
    return float(max(differences))


def _stored_in_16_bits(exact: bytes) -> bytes:
    """Keep large weights as int16 with a scale for each output channel, undone on loading: half the file.

    The computation stays float32. float16 would round each weight to 11 bits; over the depthwise blocks of an
    EfficientNet that added up to 0.027 of a probability, this to 0.005.
    """
    model = onnx.load_from_string(exact)
    undo, scales = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > LARGE:
            name = tensor.name
            scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / INT16_LARGEST
            scale = np.maximum(scale, np.finfo(np.float32).tiny)
            tensor.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int16), f"{name}_int16"))
            scales.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
            undo.append(helper.make_node("Cast", [f"{name}_int16"], [f"{name}_unscaled"], to=TensorProto.FLOAT))
            undo.append(helper.make_node("Mul", [f"{name}_unscaled", f"{name}_scale"], [name]))
    nodes = [*undo, *model.graph.node]
    model.graph.initializer.extend(scales)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    compact: bytes = model.SerializeToString()
    return compact
