"""The one place that knows OpenVINO: bytes of an ONNX model -> a function on arrays."""

import functools
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.config import Precision
from casae.errors import BundleError

CPU_INFO, BF16_FLAGS = Path("/proc/cpuinfo"), ("avx512_bf16", "amx_bf16", "avx_ne_convert")
NO_FORMATS = {"BIN", "EXPORT_IMPORT"}  # capabilities that are no number formats of a network


@dataclass(frozen=True)
class Processor:
    """The processor as OpenVINO sees it: name, number formats it computes in, hardware threads we may use."""

    name: str
    features: tuple[str, ...]
    threads: int


@functools.cache
def processor() -> Processor:
    """The processor of the machine this runs on."""
    import openvino

    core = openvino.Core()
    features = set(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")) - NO_FORMATS
    if CPU_INFO.exists() and not any(flag in CPU_INFO.read_text() for flag in BF16_FLAGS):
        features.discard("BF16")  # OpenVINO names it where AVX-512 can imitate it, which is slower than f32
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Processor(str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip(), tuple(sorted(features)), allowed)


class Network:
    """A network ready to run on the CPU; one instance serves one thread of calls.

    Args:
        onnx: bytes of an ONNX model with one float32 input and one float32 output.
        name: stands in error messages.
        threads: processor threads to use, 0 for as many as there are.
        precision: of the arithmetic; "auto" is bf16 where the processor has it, else f32.
        weights: of a model in OpenVINO's own form, whose XML `onnx` then is.

    Attributes:
        precision: that was chosen.

    Raises:
        BundleError: OpenVINO does not accept the model.
    """

    def __init__(
        self, onnx: bytes, name: str, threads: int = 0, precision: Precision = "f32", weights: bytes = b""
    ) -> None:
        import openvino

        if precision == "auto":
            precision = "bf16" if "BF16" in processor().features else "f32"
        self.precision: Precision = precision

        self._core = openvino.Core()
        self._name = name
        self._config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": str(threads),
        }
        self._requests: dict[tuple[int, ...], Any] = {}
        self._preparing: threading.Thread | None = None
        try:
            self._model = self._core.read_model(model=onnx, **({"weights": weights} if weights else {}))
        except RuntimeError as error:
            raise BundleError(f"{name}: OpenVINO cannot read the network; train or export it again") from error

    def prepare(self, *shapes: tuple[int, ...]) -> None:
        """Compile for these shapes of input in the background; whoever calls earlier waits."""
        self._preparing = threading.Thread(target=self._try, args=shapes)
        self._preparing.start()

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run on an input whose shape the model allows; each new shape is compiled once."""
        if self._preparing:
            self._preparing.join()
            self._preparing = None
        request = self._requests.get(values.shape) or self._compile(values.shape)
        result: NDArray[np.float32] = request.infer([np.ascontiguousarray(values)])[0]
        return result

    def _try(self, *shapes: tuple[int, ...]) -> None:
        with suppress(BundleError):  # the call that needs the shape says so
            for shape in shapes:
                self._compile(shape)

    def _compile(self, shape: tuple[int, ...]) -> Any:
        try:
            model = self._model.clone()
            model.reshape(list(shape))
            request = self._core.compile_model(model, "CPU", self._config).create_infer_request()
        except RuntimeError as error:
            raise BundleError(f"{self._name}: does not accept an input of {shape}; check size in model.json") from error
        self._requests[shape] = request
        return request
