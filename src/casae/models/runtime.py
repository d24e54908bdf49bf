"""The one place that knows OpenVINO: bytes of an ONNX model -> a function on arrays."""

import functools
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.config import Precision
from casae.errors import BundleError, UsageError
from casae.models.cache import CompiledNetworks, key_of

CPU_INFO, BF16_FLAGS = Path("/proc/cpuinfo"), ("avx512_bf16", "amx_bf16", "avx_ne_convert")
NO_FORMATS = {"BIN", "EXPORT_IMPORT"}  # capabilities that are no number formats of a network

NOTHING_KEPT = CompiledNetworks(None)
REPEATING = {"Loop", "TensorIterator", "If"}  # operations that a model may make last for ever
LARGEST_MAP = 4 * 2**30  # bytes between two layers; the largest of the paper's has 64 MB at 512 px

BROKEN = (RuntimeError, ValueError, UnicodeDecodeError, TypeError)  # what OpenVINO raises of a damaged network

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Processor:
    """The processor as OpenVINO sees it: name, number formats it computes in, hardware threads we may use."""

    name: str
    features: tuple[str, ...]
    threads: int


@contextmanager
def without(module: str) -> Iterator[None]:
    """Let the import of a module fail meanwhile."""
    hidden = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]  # Python's own way
    try:
        yield
    finally:
        sys.modules.pop(module, None)
        if hidden:
            sys.modules[module] = hidden


@functools.cache
def load_openvino() -> Any:
    """Import OpenVINO without its model converter, as it does itself where that is missing.

    The converter takes a third of the time, and its import is reported to Google Analytics, under an identifier that it
    leaves in the user's home folder, without asking. Whoever needs it imports `openvino.tools.ovc` afterwards.
    """
    with without("openvino.tools.ovc"):
        import openvino
    return openvino


@functools.cache
def core() -> Any:
    """OpenVINO, once a process and until its end.

    With the last `Core`, OpenVINO unloads its CPU plugin and frees the stack that it put in for the signals of the
    thread that made the first one. Where another thread drops the last, the next signal ends the process.
    """
    return load_openvino().Core()


@functools.cache
def processor() -> Processor:
    """The processor of the machine this runs on."""
    features = set(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")) - NO_FORMATS
    if CPU_INFO.exists() and not any(flag in CPU_INFO.read_text() for flag in BF16_FLAGS):
        features.discard("BF16")  # OpenVINO names it where AVX-512 can imitate it, which is slower than f32
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Processor(str(core().get_property("CPU", "FULL_DEVICE_NAME")).strip(), tuple(sorted(features)), allowed)


@functools.cache
def _owner() -> int:
    """The process that first asked, which a forked one remembers."""
    return os.getpid()


def _check_process() -> None:
    if _owner() != os.getpid():  # OpenVINO's threads were not copied, and a call would wait for them for ever
        rule = "this process was forked after a model was read, which OpenVINO does not survive"
        raise UsageError(f"{rule}; use multiprocessing.get_context('spawn'), or make the Inspector only in the child")


class Network:
    """A network on the CPU, compiled when it is first needed; calls of several threads take turns.

    Args:
        onnx: bytes of an ONNX model with a float32 input and a float32 output; a second one, (N, F), are features.
        name: stands in error messages.
        threads: processor threads to use, 0 for as many as there are.
        precision: of the arithmetic; "auto" is bf16 where the processor has it, else f32.
        weights: of a quantised model in OpenVINO's own form, whose XML `onnx` then is. In another precision than int8
            its weights stay rounded, and what they are multiplied with is not.
        kept: what other processes compiled; by default nothing is kept.
        makes: shape of the input -> that of the output, which is checked; None does not check it.

    Attributes:
        precision: that was chosen.

    Raises:
        BundleError: from a call, if OpenVINO does not accept the model.
        UsageError: also from a call: the process was forked from one in which networks were made.
    """

    def __init__(
        self,
        onnx: bytes,
        name: str,
        threads: int = 0,
        precision: Precision = "f32",
        weights: bytes = b"",
        kept: CompiledNetworks = NOTHING_KEPT,
        makes: Callable[[Shape], Shape] | None = None,
    ) -> None:
        _check_process()
        if precision == "auto":
            precision = "bf16" if "BF16" in processor().features else "f32"
        self.precision: Precision = precision

        self._name, self._kept, self._makes = name, kept, makes
        self._config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
            "INFERENCE_NUM_THREADS": str(threads),
            "ENABLE_CPU_PINNING": False,  # or several processes sit on the same cores, openvino #32444
        }
        parts = (
            (onnx, weights, precision, self._config, load_openvino().get_version(), processor()) if kept.folder else ()
        )
        self._identity = key_of(parts)
        self._requests: dict[tuple[int, ...], Any] = {}
        self._turn = threading.Lock()  # a request has one place for what goes in and one for what comes out
        self._preparing: threading.Thread | None = None
        self._keeping = ThreadPoolExecutor(1)  # beside the inspection; what it raises concerns nobody
        self._parts = onnx, weights

    def prepare(self, *shapes: tuple[int, ...]) -> None:
        """Compile for these shapes of input in the background; whoever calls earlier waits."""
        self._preparing = threading.Thread(target=self._try, args=shapes)
        self._preparing.start()

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run on an input whose shape the model allows; each new shape is compiled once."""
        return self.with_features(values)[0]

    def with_features(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a call says, and features of the input: (N, F); F is 0 where the model makes none."""
        _check_process()
        with self._turn:
            if self._preparing:
                self._preparing.join()
                self._preparing = None
            request = self._requests.get(values.shape) or self._compile(values.shape)
            try:
                results = request.infer([np.ascontiguousarray(values)])
            except BROKEN as error:
                raise BundleError(f"{self._name}: cannot be run; train or export it again") from error
        features = results[1] if len(results) > 1 else np.zeros((len(values), 0), np.float32)
        return results[0], features

    def _try(self, *shapes: tuple[int, ...]) -> None:
        with suppress(BundleError):  # the call that needs the shape says so
            for shape in shapes:
                self._compile(shape)

    def _compile(self, shape: tuple[int, ...]) -> Any:
        key = key_of([self._identity, shape])
        compiled = self._known(key)
        try:
            if compiled is None:
                model = self._model.clone()
                model.reshape(list(shape))
                self._check_sizes(model)
                compiled = core().compile_model(model, "CPU", self._config)
                self._keep(key, compiled)
            request = compiled.create_infer_request()
        except BROKEN as error:
            raise BundleError(f"{self._name}: does not accept an input of {shape}; check size in model.json") from error
        self._check_output(compiled, shape)
        self._requests[shape] = request
        return request

    @functools.cached_property
    def _model(self) -> Any:
        """Read only where it must be compiled."""
        onnx, weights = self._parts
        try:
            model = core().read_model(model=onnx, **({"weights": weights} if weights else {}))
            self._check_network(model)
        except BROKEN as error:
            rule = "OpenVINO cannot read the network; train or export it again"
            raise BundleError(f"{self._name}: {rule}") from error
        if self.precision != "int8":
            for rounding in [each for each in model.get_ops() if each.get_type_name() == "FakeQuantize"]:
                rounding.output(0).replace(rounding.input_value(0))
        return model

    def _check_network(self, model: Any) -> None:
        """One input and one or two outputs of float32, and nothing that repeats itself, which could take for ever.

        Raises:
            BundleError: it is otherwise.
        """
        ends = [*model.inputs, *model.outputs]
        if len(model.inputs) != 1 or len(model.outputs) not in (1, 2):
            rule = f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one, and one or two are used"
            raise BundleError(f"{self._name}: {rule}; export it again")
        if any(end.get_element_type().get_type_name() != "f32" for end in ends):
            kinds = " and ".join(end.get_element_type().get_type_name() for end in ends)
            raise BundleError(f"{self._name}: inputs and outputs are {kinds}, all must be f32; export it again")
        repeated = sorted({op.get_type_name() for op in model.get_ops()} & REPEATING)
        if repeated:
            raise BundleError(
                f"{self._name}: holds {', '.join(repeated)}, which inspections do not run; export it again"
            )

    def _check_sizes(self, model: Any) -> None:
        """Whether every map of a network of known input fits into memory.

        Raises:
            BundleError: one does not.
        """
        for op in model.get_ops():
            for output in op.outputs():
                shape = output.get_partial_shape()
                size = float(np.prod([float(n) for n in shape.to_shape()])) if shape.is_static else 0.0
                if size * output.get_element_type().size > LARGEST_MAP:
                    rule = f"a map of {size * output.get_element_type().size / 1e9:.1f} GB"
                    raise BundleError(f"{self._name}: needs {rule} for one image; train it with a smaller input")

    def _check_output(self, compiled: Any, shape: Shape) -> None:
        """Whether what comes out has the shape that it must have.

        Raises:
            BundleError: it has another.
        """
        if self._makes is None:
            return
        result, *features = (output.get_partial_shape() for output in compiled.outputs)
        wanted = self._makes(shape)
        if result.is_dynamic or tuple(result.to_shape()) != wanted:
            raise BundleError(f"{self._name}: makes {result} of {shape} instead of {wanted}; export it again")
        if any(each.is_dynamic or len(each) != 2 or each[0].get_length() != shape[0] for each in features):
            raise BundleError(f"{self._name}: makes features {features[0]} of {shape}, not (N, F); export it again")

    def _known(self, key: str) -> Any:
        """What was compiled earlier, None where nothing usable is kept."""
        network = self._kept.read(key)
        if network is not None:
            with suppress(Exception):  # of whatever kind: it is compiled anew
                return core().import_model(io.BytesIO(network), "CPU", self._config)
        return None

    def _keep(self, key: str, compiled: Any) -> None:
        """Write a compiled network beside the inspection."""
        if self._kept.folder:
            with suppress(RuntimeError):  # no thread to be had, or the program is ending
                self._keeping.submit(lambda: self._kept.write(key, compiled.export_model().getvalue()))
