import importlib.util
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from casae import InspectionSettings, Inspector
from casae.datasets.registry import open_dataset
from casae.errors import BundleError, DatasetError, MissingExtraError
from casae.models.bundle import Int8, read_bundle, write_bundle
from casae.models.runtime import core, load_openvino
from casae.networks.export import export_segmenter
from casae.recipes import settings_for
from casae.training import quantise as module
from casae.training.quantise import _int8, quantise
from casae.training.segmentation import build

nncf = pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs .[int8]")


def as_int8(path, dark_model) -> Int8:
    """The model's own network in the place of an int8 one, its input rounded to black and white."""
    openvino = load_openvino()
    network = core().read_model(model=read_bundle(dark_model).segmenter)
    image = network.input(0)
    readers = list(image.get_target_inputs())
    black, white = (openvino.opset13.constant(value, np.float32) for value in (0, 1))
    rounding = openvino.opset13.fake_quantize(image, black, white, black, white, 2)
    for reader in readers:
        reader.replace_source_output(rounding.output(0))
    openvino.save_model(network, path / "a.xml", compress_to_fp16=False)
    return Int8((path / "a.xml").read_bytes(), (path / "a.bin").read_bytes())


@nncf
def test_an_int8_form_is_kept_where_it_is_as_good_and_faster(dark_model, components, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_GAIN", 0)  # a toy network has nothing to gain
    part, out, steps = open_dataset(f"folder:{components}").split("all"), tmp_path / "b.casae", []
    result = quantise(dark_model, part, out, lambda: steps.append(1))
    assert result.refused is None
    assert result.int8.iou == pytest.approx(result.exact.iou, abs=0.005)
    assert len(steps) == 2 * len(part.labelled.samples)
    manifest = read_bundle(out).manifest
    assert manifest.scores["int8 on all"]["iou_int8"] == result.int8.iou
    assert Inspector(out, InspectionSettings(precision="int8")).conditions.precision == "int8"
    assert Inspector(out, InspectionSettings(precision="f32")).conditions.precision == "f32"


@nncf
@pytest.mark.parametrize(
    ("ious", "times", "why"),
    [
        ((0.80, 0.79), (10, 5), "the IoU drops by 0.0100"),
        ((0.80, 0.80), (5, 10), "it is 0.50 times as fast"),
        ((0.80, 0.81), (10, 5), None),
    ],
)
def test_worse_or_slower_is_refused_and_leaves_the_model_alone(
    dark_model, components, tmp_path, monkeypatch, ious, times, why
):
    measured, judge = iter(ious), module._iou

    def iou(*arguments):
        judge(*arguments)
        return next(measured)

    monkeypatch.setattr(module, "_iou", iou)
    monkeypatch.setattr(module, "_times", lambda *_: list(times))
    file = shutil.copy(dark_model, tmp_path / "dark.casae")
    refused = quantise(file, open_dataset(f"folder:{components}").split("all"), file).refused
    assert (refused and why in refused) if why else refused is None
    assert (file.read_bytes() == dark_model.read_bytes()) is (why is not None)


@pytest.fixture
def with_int8(dark_model, tmp_path):
    """A model with both forms."""
    both = tmp_path / "both.casae"
    write_bundle(replace(read_bundle(dark_model), int8=as_int8(tmp_path, dark_model)), both)
    return both


@pytest.fixture
def int8_alone(with_int8, tmp_path):
    alone = tmp_path / "alone.casae"
    write_bundle(replace(read_bundle(with_int8), segmenter=None), alone)
    return alone


@pytest.mark.parametrize("form", ["with_int8", "int8_alone"])
def test_an_int8_form_is_inspected_with(form, request):
    model = request.getfixturevalue(form)
    assert Inspector(model).conditions.precision == "int8"
    assert Inspector(model, InspectionSettings(precision="f32")).conditions.precision == "f32"


def test_an_int8_form_rounds_only_in_int8(dark_model, int8_alone):
    levels = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))

    def seen(model, precision):
        return Inspector(model, InspectionSettings(precision=precision)).inspect(levels).probability

    assert np.array_equal(seen(int8_alone, "f32"), seen(dark_model, "f32"))
    assert not np.array_equal(seen(int8_alone, "int8"), seen(dark_model, "f32"))


def test_a_model_without_any_segmenter_is_refused(dark_model, tmp_path):
    neither = tmp_path / "neither.casae"
    write_bundle(replace(read_bundle(dark_model), segmenter=None), neither)
    with pytest.raises(BundleError, match=r"should hold .*segmenter\.onnx"):
        read_bundle(neither)


@nncf
def test_a_form_that_stands_alone_cannot_be_quantised_again(dark_model, components, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_GAIN", 0)
    part, alone = open_dataset(f"folder:{components}").split("all"), tmp_path / "alone.casae"
    quantise(dark_model, part, alone, only=True)
    assert read_bundle(alone).segmenter is None
    with pytest.raises(BundleError, match="quantise the model that it was made from"):
        quantise(alone, part, alone)


def test_int8_is_refused_where_the_model_has_none(dark_model):
    with pytest.raises(BundleError, match="holds no int8 form; make one with: casae quantise"):
        Inspector(dark_model, InspectionSettings(precision="int8"))


def test_without_nncf_the_way_out_is_named(dark_model, components, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[int8\]'"):
        quantise(dark_model, open_dataset(f"folder:{components}").split("all"), dark_model)


@pytest.mark.parametrize(("images", "tiles", "kept"), [(3, 1, 3), (2, 10, 4), (10, 7, 4), (1, 3, 3)])
def test_every_image_has_its_share_of_the_calibration(monkeypatch, images, tiles, kept):
    monkeypatch.setattr(module, "CALIBRATED_PX", 4 * 16)
    inputs = module._Calibration(lambda values: values, images)
    for image in range(images):
        for tile in range(tiles):
            inputs(np.full((1, 1, 4, 4), 100 * image + tile, np.float32))
        inputs.next_image()
    numbers = [int(values[0, 0, 0, 0]) for values in inputs.kept]
    assert len(set(numbers)) == len(numbers) == kept
    assert len({number // 100 for number in numbers}) == min(images, kept)


@nncf
def test_int8_is_not_judged_on_good_parts_alone(dark_model, components):
    part = open_dataset(f"folder:{components}").split("all")
    clean = part.only([s.name for s in part.samples if not cv2.imread(str(s.label.files[0]), -1).any()], "clean")
    assert clean.samples
    with pytest.raises(DatasetError, match="no defect in 'clean'"):
        quantise(dark_model, clean, dark_model)


@nncf
def test_weights_stored_in_16_bits_do_not_stay_so():
    torch.manual_seed(0)
    settings = settings_for("scratch", width=8).segmenter
    exported = export_segmenter(build(settings).eval(), np.random.default_rng(0).random((1, 1, 64, 64), np.float32))
    form = _int8(exported.onnx, [np.zeros((1, 1, 64, 64), np.float32)])
    assert len(form.weights) < 0.7 * len(exported.onnx)
