import contextlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from casae import Inspector
from casae.errors import BundleError, OutputError
from casae.inspection.novelty import Usual
from casae.models.bundle import Bundle, read_bundle, shipped_models, write_bundle
from conftest import brightness_classifier, dark_manifest, dark_segmenter


@pytest.fixture
def bundle():
    return Bundle(dark_manifest(), dark_segmenter(), brightness_classifier(), "# card\n")


def rewritten(source, target, change):
    """Copy a bundle, giving each part to `change(name, data)`; None leaves it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def manifest_change(**changes):
    def change(name, data):
        return json.dumps(json.loads(data) | changes) if name == "model.json" else data

    return change


def test_what_is_written_is_read(bundle, tmp_path):
    sha256 = write_bundle(bundle, tmp_path / "deep" / "a.casae")
    read = read_bundle(tmp_path / "deep" / "a.casae")
    assert read.sha256 == sha256
    assert read.segmenter == bundle.segmenter
    assert read.classifier == bundle.classifier
    assert read.card == "# card\n"
    assert read.manifest.classes == ("stain", "glare")


def test_the_same_content_is_the_same_file(bundle, tmp_path):
    assert write_bundle(bundle, tmp_path / "a.casae") == write_bundle(bundle, tmp_path / "b.casae")


def test_one_class_needs_no_classifier(tmp_path):
    write_bundle(Bundle(dark_manifest(classes=("dent",)), dark_segmenter(), None, ""), tmp_path / "a.casae")
    assert read_bundle(tmp_path / "a.casae").classifier is None


def test_a_changed_part_is_noticed(dark_model, tmp_path):
    def flip(name, data):
        return data[:-1] + bytes([data[-1] ^ 1]) if name == "segmenter.onnx" else data

    with pytest.raises(BundleError, match=r"segmenter\.onnx does not match its hash"):
        read_bundle(rewritten(dark_model, tmp_path / "a.casae", flip))


def test_a_shortened_part_is_noticed(dark_model, tmp_path):
    def cut(name, data):
        return data[:-1] if name == "card.md" else data

    with pytest.raises(BundleError, match=r"card\.md has another size"):
        read_bundle(rewritten(dark_model, tmp_path / "a.casae", cut))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (manifest_change(schema_version=2), "schema version 2"),
        (manifest_change(gs=300), "not understood at gs"),
        (manifest_change(surprise=1), "not understood at surprise"),
        (lambda name, data: b"{" if name == "model.json" else data, "not understood"),
        (lambda name, data: b"[]" if name == "model.json" else data, "schema version None"),
        (lambda name, data: None if name == "model.json" else data, "no casae model"),
        (lambda name, data: None if name == "classifier.onnx" else data, "should hold"),
    ],
)
def test_what_is_not_understood_is_refused(dark_model, tmp_path, change, rule):
    with pytest.raises(BundleError, match=rule):
        read_bundle(rewritten(dark_model, tmp_path / "a.casae", change))


def test_a_file_that_is_no_bundle_is_named(tmp_path):
    (tmp_path / "a.casae").write_bytes(b"PK no zip at all")
    with pytest.raises(BundleError, match=r"a\.casae: not a whole \.casae file"):
        read_bundle(tmp_path / "a.casae")


def test_damage_anywhere_is_told_in_a_sentence(dark_model, tmp_path):
    whole = dark_model.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / "a.casae").write_bytes(damaged)
        with contextlib.suppress(BundleError):
            read_bundle(tmp_path / "a.casae")


def test_an_unknown_name_lists_the_shipped_models():
    with pytest.raises(BundleError, match="nonsense: no such model file"):
        read_bundle("nonsense")


def test_a_place_that_cannot_be_written_is_named(bundle, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(bundle, tmp_path / "file" / "a.casae")


def test_shipped_models_are_small_and_whole():
    models = shipped_models()
    assert set(models) == {"component", "strip-steel"}
    for name, file in models.items():
        assert file.stat().st_size < 10_000_000
        bundle = read_bundle(name)
        assert bundle.manifest.name == name
        assert bundle.manifest.dataset.licence in bundle.card
        assert bundle.manifest.training.command in bundle.card


def test_novelty_is_kept_and_its_parts_must_fit_each_other(telling_model, tmp_path):
    bundle = read_bundle(telling_model)
    assert (len(bundle.novelty.picture.mean), len(bundle.novelty.crop.mean)) == (2, 2)
    short = bundle.novelty.picture.model_copy(update={"mean": (0.5,)})
    write_bundle(replace(bundle, novelty=bundle.novelty.model_copy(update={"picture": short})), tmp_path / "x.casae")
    with pytest.raises(BundleError, match="not a whole"):
        read_bundle(tmp_path / "x.casae")


def test_features_have_as_many_values_as_were_learned(telling_model, tmp_path):
    bundle = read_bundle(telling_model)
    other = Usual.of(np.random.default_rng(0).normal(size=(20, 3))).familiar
    write_bundle(replace(bundle, novelty=bundle.novelty.model_copy(update={"picture": other})), tmp_path / "x.casae")
    with pytest.raises(BundleError, match=r"knows 3 features of pictures, its network makes 2"):
        Inspector(tmp_path / "x.casae").inspect(np.zeros((64, 64), np.uint8))
