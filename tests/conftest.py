"""Fixtures: a model whose behaviour is known by construction, generated datasets, and real data where it is at hand."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from casae.inspection.novelty import Usual
from casae.models.bundle import Bundle, InputSize, Manifest, Novelty, Origin, write_bundle
from casae.synthetic.components import write_components


def onnx_model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shapes: tuple[list, list]) -> bytes:
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(("input", "output"), shapes, strict=True)
    ]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def dark_segmenter() -> bytes:
    """P(defect) = 1 where a pixel is darker than 0.3, 0 where it is brighter; steep in between."""
    nodes = [
        helper.make_node("Sub", ["level", "input"], ["below"]),
        helper.make_node("Mul", ["below", "steep"], ["evidence"]),
        helper.make_node("Sigmoid", ["evidence"], ["output"]),
    ]
    shape = ["n", 1, "h", "w"]
    return onnx_model(nodes, {"level": 0.3, "steep": 200.0}, (shape, shape))


def brightness_classifier() -> bytes:
    """Two classes: P(second) = mean brightness of the crop."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["rest", "mean"], ["output"], axis=1),
    ]
    return onnx_model(nodes, {"one": 1.0}, (["n", 1, 227, 227], ["n", 2]))


def telling(maker: Callable[[], bytes]) -> bytes:
    """The model of `maker`, that also makes two features: mean gray, and mean square."""
    model = onnx.load_from_string(maker())
    model.graph.node.extend(
        [
            helper.make_node("Mul", ["input", "input"], ["square"]),
            helper.make_node("Concat", ["input", "square"], ["both"], axis=1),
            helper.make_node("ReduceMean", ["both"], ["features"], axes=[2, 3], keepdims=0),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 2]))
    return model.SerializeToString()


def dark_manifest(**changes: object) -> Manifest:
    values = {
        "name": "dark",
        "input": InputSize(height=64, width=64, fit="letterbox"),
        "classes": ("stain", "glare"),
        "gs": 100.0,
        "width": 4,
        "dataset": Origin(
            name="none", sha256="0" * 64, split="all", images=0, validation_images=0, licence="made for tests"
        ),
        "seed": 0,
        "training": {"preset": "fast", "command": "none"},
        "scores": {"validation": {"iou": 1.0, "accuracy_true_crops": None}},
        "versions": {"casae": "0"},
    }
    return Manifest.model_validate(values | changes)


def two_classes(components: Path, folder: Path) -> Path:
    """A copy of the components with the classes of the dark model."""
    shutil.copytree(components, folder)
    (folder / "dataset.toml").write_text('classes = ["stain", "glare"]')
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), np.minimum(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED), 2))
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests and the programs they start keep compiled networks in a folder that goes with them."""
    os.environ["CASAE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def dark_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that marks dark pixels."""
    file = tmp_path_factory.mktemp("model") / "dark.casae"
    write_bundle(Bundle(dark_manifest(), dark_segmenter(), brightness_classifier(), "# dark\n"), file)
    return file


@pytest.fixture(scope="session")
def telling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dark model, which also knows that pictures are bright, and crops of defects not too dark."""
    pictures = Usual.of(np.random.default_rng(0).normal((0.75, 0.6), 0.05, (20, 2)))
    crops = Usual.of(np.random.default_rng(1).normal((0.6, 0.4), 0.05, (20, 2)))
    novelty = Novelty(picture=replace(pictures, limit=3.0).familiar, crop=replace(crops, limit=3.0).familiar)
    file = tmp_path_factory.mktemp("model") / "telling.casae"
    bundle = Bundle(
        dark_manifest(name="telling"), telling(dark_segmenter), telling(brightness_classifier), "# telling\n"
    )
    write_bundle(replace(bundle, novelty=novelty), file)
    return file


@pytest.fixture
def spotted() -> np.ndarray:
    """A bright 48 x 64 image with a dark bar of 20 x 4 px and a dark spot of 6 x 6 px."""
    image = np.full((48, 64), 200, np.uint8)
    image[10:14, 30:50] = 10
    image[30:36, 5:11] = 20
    return image


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes three bytes of a file and no more."""
    write = Path.write_bytes

    def full(file: Path, content: bytes) -> None:
        write(file, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.fixture(scope="session")
def components(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic components, 256 x 192, in the folder: format."""
    folder = tmp_path_factory.mktemp("components")
    list(write_components(folder, 12, seed=3, height=192, width=256))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public datasets."""
    folder = os.environ.get("CASAE_DATA")
    if not folder:
        pytest.skip("CASAE_DATA is not set: the public datasets are not at hand")
    return Path(folder)
