"""The one place that knows OpenVINO: bytes of an ONNX model -> a function on arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.errors import BundleError


class Network:
    """A network ready to run on the CPU; one instance serves one thread of calls.

    Args:
        onnx: bytes of an ONNX model with one float32 input and one float32 output.
        name: stands in error messages.
        threads: processor threads to use, 0 for as many as there are.

    Raises:
        BundleError: OpenVINO does not accept the model.
    """

    def __init__(self, onnx: bytes, name: str, threads: int = 0) -> None:
        import openvino

        self._core = openvino.Core()
        self._name = name
        self._config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(threads),
        }
        self._requests: dict[tuple[int, ...], Any] = {}
        try:
            self._model = self._core.read_model(model=onnx)
        except RuntimeError as error:
            raise BundleError(f"{name}: OpenVINO cannot read the network; train or export it again") from error

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run on an input whose shape the model allows; each new shape is compiled once."""
        request = self._requests.get(values.shape) or self._compile(values.shape)
        result: NDArray[np.float32] = request.infer([np.ascontiguousarray(values)])[0]
        return result

    def _compile(self, shape: tuple[int, ...]) -> Any:
        try:
            model = self._model.clone()
            model.reshape(list(shape))
            request = self._core.compile_model(model, "CPU", self._config).create_infer_request()
        except RuntimeError as error:
            raise BundleError(f"{self._name}: does not accept an input of {shape}; check size in model.json") from error
        self._requests[shape] = request
        return request
