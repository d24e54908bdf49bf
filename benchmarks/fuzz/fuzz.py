"""Damage inputs at random and see that each is read, or refused in a sentence.

    python benchmarks/fuzz/fuzz.py --seconds 600 --seed 0
    python benchmarks/fuzz/fuzz.py images --seconds 60

A finding is an exception that is no `CasaeError`, more than `MEMORY` bytes, or more than `LONGEST` seconds for one
input. Every input follows from the seed and its number, which are printed with a finding.
"""

import argparse
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from casae.errors import CasaeError

MEMORY = 6 * 2**30  # of the address space beyond what the process has
LONGEST = 20  # s
Seeds = dict[str, bytes]


@dataclass
class Result:
    """What became of the inputs."""

    read: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with one to four kinds of damage."""
    buffer = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not buffer:
            break
        at = int(rng.integers(len(buffer))) if rng.random() < 0.5 else int(rng.integers(min(len(buffer), 256)))
        size = int(2 ** rng.uniform(0, 10))
        match rng.integers(6):
            case 0:
                buffer[at] ^= int(rng.integers(1, 256))
            case 1:
                del buffer[at:]
            case 2:
                buffer[at : at + size] = bytes(min(size, len(buffer) - at))
            case 3:
                buffer[at : at + 4] = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])).to_bytes(4, "big")
            case 4:
                del buffer[at : at + size]
            case 5:
                buffer[at:at] = buffer[at : at + size]
    return bytes(buffer)


def images() -> tuple[Seeds, Callable[[bytes], object]]:
    """Image files of every format, read as `casae inspect` does."""
    from casae.decoding import decode_image

    rng = np.random.default_rng(0)
    gray = rng.integers(0, 255, (48, 64), np.uint8)
    colour = rng.integers(0, 255, (48, 64, 3), np.uint8)
    seeds = {name: bytes(cv2.imencode(name, colour)[1]) for name in (".png", ".jpg", ".bmp", ".webp", ".ppm")}
    seeds[".pgm"] = bytes(cv2.imencode(".pgm", gray)[1])
    seeds["16 bits"] = bytes(cv2.imencode(".png", gray.astype(np.uint16) * 257)[1])
    kinds: dict[str, dict[str, Any]] = {
        "none": {},
        "lzw": {"compression": "lzw"},
        "deflate": {"compression": "deflate"},
        "packbits": {"compression": "packbits"},
        "jpeg": {"compression": "jpeg"},
        "tiles": {"tile": (16, 16), "compression": "deflate"},
    }
    for name, options in kinds.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, gray, photometric="minisblack", **options)
        seeds[f"tiff {name}"] = stream.getvalue()
    return seeds, lambda data: decode_image(data, "part")


def masks() -> tuple[Seeds, Callable[[bytes], object]]:
    """Masks as gray values and as palettes."""
    from casae.datasets.masks import label_values

    mask = np.zeros((40, 40), np.uint8)
    mask[5:20, 5:20] = 1
    mask[25:30] = 2
    palette = io.BytesIO()
    from PIL import Image

    picture = Image.fromarray(mask, "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(palette, "PNG")
    file = Path(tempfile.mkdtemp()) / "mask.png"

    def read(data: bytes) -> object:
        file.write_bytes(data)
        return label_values(file, None, 2)

    return {"gray": bytes(cv2.imencode(".png", mask)[1]), "palette": palette.getvalue()}, read


def settings() -> tuple[Seeds, Callable[[bytes], object]]:
    """`dataset.toml` and rules."""
    from casae.datasets.registry import open_dataset
    from casae.inspection.rules import read_rules

    folder = Path(tempfile.mkdtemp())
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((9, 9), np.uint8))
    dataset = b'classes = ["scratch", "dent"]\nmm_per_pixel = 0.01\nlicence = "mine"\n'
    rules = b'review_below = 0.6\n[[rule]]\nclass = "dent"\nmax_count = 3\n[[rule]]\nmax_area_mm2 = 0.5\n'

    def read(data: bytes) -> object:
        (folder / "dataset.toml").write_bytes(data)
        (folder / "rules.toml").write_bytes(data)
        try:
            return open_dataset(f"folder:{folder}")
        except CasaeError:
            return read_rules(folder / "rules.toml")

    deep = b"a = " + b"[" * 4000
    return {"dataset": dataset, "rules": rules, "deep": deep, "long": b"mm_per_pixel = " + b"9" * 6000}, read


def bundles() -> tuple[Seeds, Callable[[bytes], object]]:
    """Models: the numbers of `model.json`, and bytes of the networks with hashes made to fit."""
    from casae.inspection.inspector import Inspector
    from casae.models.bundle import (
        Bundle,
        InputSize,
        Manifest,
        Origin,
        Recipe,
        SizeClasses,
        shipped_models,
        write_bundle,
    )

    folder = Path(tempfile.mkdtemp())
    file = folder / "model.casae"
    sizes = SizeClasses(mean=(0,) * 6, deviation=(1,) * 6, weights=((0,) * 12,) * 2, bias=(0, 0))
    manifest = Manifest(
        name="small",
        input=InputSize(height=64, width=64, fit="letterbox"),
        classes=("stain", "glare"),
        gs=100,
        sizes=sizes,
        width=4,
        dataset=Origin(name="none", sha256="0" * 64, split="all", images=0, validation_images=0, licence="none"),
        seed=0,
        training=Recipe(preset="fast", command="none"),
        scores={"validation": {"iou": 1.0}},
        versions={"casae": "0"},
    )
    write_bundle(Bundle(manifest, _dark_segmenter(), _brightness_classifier(), "# small\n"), folder / "small.casae")
    seeds: Seeds = {}
    for model in (folder / "small.casae", shipped_models()["component"]):
        with zipfile.ZipFile(model) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        seeds[f"{model.stem} whole"] = _zipped(parts)
        seeds |= {f"{model.stem} {name}": _packed(name, parts) for name in parts}
    image = np.full((120, 160), 120, np.uint8)
    image[20:60, 20:60] = 10

    def read(data: bytes) -> object:
        file.write_bytes(data)
        return Inspector(file).inspect(image)

    return seeds, read


def _dark_segmenter() -> bytes:
    from onnx import helper

    nodes = [
        helper.make_node("Sub", ["level", "input"], ["below"]),
        helper.make_node("Mul", ["below", "steep"], ["evidence"]),
        helper.make_node("Sigmoid", ["evidence"], ["output"]),
    ]
    shape = ["n", 1, "h", "w"]
    return _onnx(nodes, {"level": 0.3, "steep": 200.0}, (shape, shape))


def _brightness_classifier() -> bytes:
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["rest", "mean"], ["output"], axis=1),
    ]
    return _onnx(nodes, {"one": 1.0}, (["n", 1, 227, 227], ["n", 2]))


def _onnx(nodes: list[Any], constants: dict[str, float], shapes: tuple[list[Any], list[Any]]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    tensors = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    begin, end = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("input", "output"), shapes, strict=True)
    )
    graph = helper.make_graph(nodes, "small", [begin], [end], tensors)
    opset = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def _packed(name: str, parts: dict[str, bytes]) -> bytes:
    """Marked, for `bundle_input` to damage one part and make the rest fit."""
    return b"PART" + json.dumps(name).encode() + b"\0" + _zipped(parts)


def _zipped(parts: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def bundle_input(data: bytes, rng: np.random.Generator) -> bytes:
    """A damaged bundle: any bytes of it, or one part with its size and hash in `model.json` made to fit."""
    import hashlib

    if not data.startswith(b"PART"):
        return mutated(data, rng)
    head, _, zipped = data.partition(b"\0")
    name = json.loads(head[4:])
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    if name == "model.json":
        content = json.loads(parts[name])
        _change(content, rng)
        parts[name] = json.dumps(content).encode()
        return _zipped(parts)
    parts[name] = mutated(parts[name], rng)
    content = json.loads(parts["model.json"])
    content["files"][name] = {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
    parts["model.json"] = json.dumps(content).encode()
    return _zipped(parts)


def _change(content: Any, rng: np.random.Generator) -> None:
    """Another value somewhere in a tree of JSON."""
    places = [*_places(content)]
    owner, key = places[int(rng.integers(len(places)))]
    odd: list[Any] = [0, -1, 1, 1e308, 2**62, 8192, None, "", "x" * 9999, [], {}, True, 1e-300, [1] * 7, "\x1b[31m"]
    owner[key] = odd[int(rng.integers(len(odd)))]


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = range(len(content)) if isinstance(content, list) else content if isinstance(content, dict) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


def states() -> tuple[Seeds, Callable[[bytes], object]]:
    """Weights to start from, and the states of interrupted stages."""
    import torch

    from casae.networks.weights import read_weights
    from casae.training.state import read_identity, read_stage

    folder = Path(tempfile.mkdtemp())
    weights = io.BytesIO()
    torch.save({"a.weight": torch.zeros(4, 4), "b": torch.zeros(3)}, weights)
    stage = io.BytesIO()
    torch.save({"weights": {"a": torch.zeros(3)}, "optimiser": {"state": {}}, "spent": 1.0, "step": 3}, stage)
    identity = json.dumps({"settings": {"start": "scratch"}, "training": "0" * 64}).encode()

    def read(data: bytes) -> object:
        for name in ("weights.pt", "last.pt", "identity.json"):
            (folder / name).write_bytes(data)
        try:
            read_weights(str(folder / "weights.pt"))
        except CasaeError:
            read_identity(folder)
        return read_stage(folder / "last.pt")

    return {"weights": weights.getvalue(), "stage": stage.getvalue(), "identity": identity}, read


TARGETS = {"images": images, "masks": masks, "settings": settings, "bundles": bundles, "states": states}


def fuzz(target: str, seconds: float, seed: int, number: int | None = None) -> Result:
    """Damaged inputs of a target for so long; of `number` alone where it is given."""
    seeds, read = TARGETS[target]()
    names, result, began = sorted(seeds), Result(), time.monotonic()
    count = number or 0
    while time.monotonic() - began < seconds:
        rng = np.random.default_rng([seed, count])
        name = names[int(rng.integers(len(names)))]
        data = bundle_input(seeds[name], rng) if target == "bundles" else mutated(seeds[name], rng)
        try:
            _bounded(read, data)
            result.read += 1
        except CasaeError as error:
            result.refused += 1
            if "\n" in str(error):
                result.findings.append(f"{target} seed {seed} number {count} ({name}): several lines: {error}")
        except BaseException as error:  # whatever it is, it is what we look for
            where = traceback.extract_tb(error.__traceback__)[-1]
            result.findings.append(
                f"{target} seed {seed} number {count} ({name}): {type(error).__name__}: {str(error)[:200]} "
                f"({Path(where.filename).name}:{where.lineno})"
            )
            if isinstance(error, KeyboardInterrupt):
                raise
        count += 1
        if number is not None:
            break
    return result


def _bounded(read: Callable[[bytes], object], data: bytes) -> None:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        read(data)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Let an input that wants more than `MEMORY` end in a MemoryError instead of the machine."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="this input alone")
    wanted = parser.parse_args()
    os.environ.setdefault("CASAE_CACHE", "")
    found = 0
    for target in wanted.targets:
        TARGETS[target]()  # imports before the limit
        limit_memory()
        result = fuzz(target, wanted.seconds, wanted.seed, wanted.number)
        print(f"{target}: {result.read} read, {result.refused} refused, {len(result.findings)} findings", flush=True)
        for finding in result.findings[:20]:
            print(f"  {finding}")
        found += len(result.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
