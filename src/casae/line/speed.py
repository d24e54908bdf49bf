"""How long an inspection takes, from file to recorded result: each stage, the whole, and several streams at once."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casae.config import InspectionSettings
from casae.decoding import read_image
from casae.inspection.inspection import Inspection
from casae.inspection.inspector import Inspector
from casae.line.run import inspect_files
from casae.metrics import Counts
from casae.models.runtime import processor
from casae.results.folder import ResultsFolder

WARM_UP = 3  # rounds that do not count
WHOLE = "file to record"


@dataclass(frozen=True)
class Timing:
    """Milliseconds: median, 95th and 99th percentile."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Timing":
        """Percentiles of single times."""
        return cls(*(float(value) for value in np.percentile(milliseconds, [50, 95, 99])))


@dataclass(frozen=True)
class Speed:
    """What `measure_speed` found.

    Attributes:
        stages: times of each stage, the whole last.
        images_per_second: number of streams -> rate.
        defects: found in the image.
        precision: that the segmenter computes in.
        mask_agreement: IoU of the mask with that of single precision; None where that is the precision.
        threads: of a single stream.
        peak_mb: most memory the process ever had, None where the system does not say.
        processor: its name; `features` that matter to a network.
    """

    stages: dict[str, Timing]
    images_per_second: dict[int, float]
    defects: int
    precision: str
    mask_agreement: float | None
    threads: int
    peak_mb: float | None
    processor: str
    features: tuple[str, ...]


def measure_speed(
    model: str | Path,
    image: Path,
    settings: InspectionSettings,
    rounds: int,
    streams: Sequence[int],
    done: Callable[[], object] = lambda: None,
) -> Speed:
    """Inspect one image many times, into a results folder that is thrown away.

    Args:
        model: a .casae file, or a shipped model.
        image: file that every round reads.
        settings: `threads` are those of a single stream; several streams share them.
        rounds: timed inspections, and of each stream too.
        streams: how many results folders are filled at once, each by an inspector of its own that reads and writes
            while it inspects.
        done: called after each inspection that counts, and after two more of each stream.

    Raises:
        ImageError: the image cannot be read.
        BundleError: the model cannot be used.
    """
    inspector = Inspector(model, settings)
    with tempfile.TemporaryDirectory() as folder, ResultsFolder(Path(folder)) as results:
        times: dict[str, list[float]] = {}
        for index in range(WARM_UP + rounds):
            inspection, laps = _timed(inspector, image, results)
            if index >= WARM_UP:
                for stage, milliseconds in laps.items():
                    times.setdefault(stage, []).append(milliseconds)
                done()
    cpu = processor()
    threads = settings.threads or cpu.threads
    rates = {}
    for count in streams:
        shared = settings.model_copy(update={"threads": max(1, threads // count)})
        rates[count] = _rate([Inspector(model, shared) for _ in range(count)], image, rounds, done)
    return Speed(
        stages={stage: Timing.of(values) for stage, values in times.items()},
        images_per_second=rates,
        defects=len(inspection.defects),
        precision=inspector.conditions.precision,
        mask_agreement=_agreement(model, settings, inspector, inspection),
        threads=threads,
        peak_mb=_peak_mb(),
        processor=cpu.name,
        features=cpu.features,
    )


def _timed(inspector: Inspector, image: Path, results: ResultsFolder) -> tuple[Inspection, dict[str, float]]:
    """One inspection and the milliseconds of its stages, `WHOLE` among them."""
    laps: dict[str, float] = {}
    began = last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        laps[stage] = (now - last) * 1e3
        last = now

    inspection = inspector.inspect(image, lap=lap)
    results.add(inspection)
    lap("record")
    laps[WHOLE] = (last - began) * 1e3
    return inspection, laps


def _rate(inspectors: Sequence[Inspector], image: Path, rounds: int, done: Callable[[], object]) -> float:
    """Images a second of several streams, each with a results folder of its own."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(inspectors)) as pool:

        def work(stream: int) -> float:
            place = Path(folder, str(stream))
            place.mkdir()
            copies = [place / f"{index}{image.suffix}" for index in range(2 + rounds)]
            for copy in copies:
                shutil.copyfile(image, copy)
            recorded: list[float] = []

            def one(*_: object) -> None:
                recorded.append(time.perf_counter())
                done()

            inspect_files(inspectors[stream], copies, place / "results", one)
            return rounds / (recorded[-2] - recorded[0])  # the last one waits for no inspection

        return sum(pool.map(work, range(len(inspectors))))


def _agreement(
    model: str | Path, settings: InspectionSettings, inspector: Inspector, inspection: Inspection
) -> float | None:
    if inspector.conditions.precision == "f32":
        return None
    exact = Inspector(model, settings.model_copy(update={"precision": "f32"}))
    mask = exact.find(exact.probability(read_image(inspection.source))).mask
    return Counts.of(mask, inspection.mask).iou


def _peak_mb() -> float | None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kB elsewhere
