"""Readers and networks of other packages, made here as packages lie on the disk."""

import sys

import cv2
import numpy as np
import pytest
import torch

from casae.datasets.registry import open_dataset
from casae.errors import CasaeError, DatasetError, UsageError
from casae.labelled.check import check
from casae.labelled.images import load
from casae.networks import registry
from casae.networks.registry import first_network
from casae.recipes import SegmenterSettings

READER = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casae.datasets.sample import Dataset, Sample


@dataclass(frozen=True)
class Spots:
    files: tuple[Path, ...]
    value: None = None

    def present(self, classes):
        return {1}

    def draw(self, shape, classes):
        mask = np.zeros(SHAPE or shape[:2], np.uint8)
        mask[4:8, 4:8] = VALUE
        return mask


def read(root):
    """Pictures with their spots in tables."""
    samples = [Sample(NAME or f.stem, f, Spots(TABLES(f))) for f in sorted((root / "images").iterdir())]
    return Dataset("", ("spot",), tuple(samples))


def fails(root):
    raise KeyError("spots")


def nothing(root):
    return None
'''
TABLES = "lambda f: (f.parent.parent / 'spots' / f'{f.stem}.csv',)"
PLAIN = {"SHAPE": "None", "VALUE": "1", "NAME": "None", "TABLES": TABLES}

NETWORK = """
from torch import nn


class Tiny(nn.Module):
    stride = {stride}

    def __init__(self, maps):
        super().__init__()
        self.conv = nn.Conv2d(1, maps, 3, padding=1, stride={step})

    def forward(self, image):
        return self.conv(image)


def tiny(settings, standardise, classes):
    return Tiny({maps})
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lay a package of one module, with its entry points, where Python looks for packages."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def put(code: str, group: str, **points: str) -> None:
        info = tmp_path / "site" / "others-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {target}" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
        (tmp_path / "site" / "others_module.py").write_text(code)

    yield put
    sys.modules.pop("others_module", None)


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "spots").mkdir()
    for number in range(3):
        drawn = np.random.default_rng(number).integers(0, 255, (32, 32), np.uint8)
        cv2.imwrite(str(tmp_path / "data" / "images" / f"{number}.png"), drawn)
        (tmp_path / "data" / "spots" / f"{number}.csv").write_text("6,6,2\n")
    return tmp_path / "data"


def reader(**changes: str) -> str:
    """The code of the reader with its constants."""
    return READER + "".join(f"\n{name} = {value}" for name, value in (PLAIN | changes).items())


def test_a_reader_of_another_package_is_checked_and_learned_from(install, pictures):
    install(reader(), "casae.datasets", spotted="others_module:read")
    dataset = open_dataset(f"spotted:{pictures}")
    assert dataset.classes == ("spot",)
    findings = check(dataset)
    assert findings.problems == []
    assert findings.class_pixels[1] == 3 * 16
    assert [np.count_nonzero(image.label) for image in load(dataset)] == [16] * 3


def test_labels_that_no_file_holds_are_checked(install, pictures):
    install(reader(TABLES="lambda f: ()"), "casae.datasets", spotted="others_module:read")
    assert check(open_dataset(f"spotted:{pictures}")).class_images[1] == 3


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"SHAPE": "(8, 32)"}, "mask is 32 x 8 px, its image 32 x 32"), ({"VALUE": "3"}, "value 3 names no class")],
)
def test_labels_of_other_packages_are_held_to_image_and_classes(install, pictures, changes, rule):
    install(reader(**changes), "casae.datasets", spotted="others_module:read")
    with pytest.raises(DatasetError, match=rule):
        load(open_dataset(f"spotted:{pictures}"))


@pytest.mark.parametrize(
    ("point", "changes", "rule"),
    [
        ("others_module:fails", {}, "the reader 'spotted' failed .KeyError: 'spots'"),
        ("others_module:nothing", {}, "the reader 'spotted' returned no Dataset"),
        ("others_module:absent", {}, r"others \(others_module:absent\) cannot be imported"),
        ("no_such_module:read", {}, r"others \(no_such_module:read\) cannot be imported"),
        ("others_module:read", {"NAME": "'a'"}, "1 names stand for several images, such as a"),
    ],
)
def test_what_goes_wrong_in_a_reader_names_it(install, pictures, point, changes, rule):
    install(reader(**changes), "casae.datasets", spotted=point)
    with pytest.raises(DatasetError, match=rule):
        open_dataset(f"spotted:{pictures}")


def test_a_name_of_casae_cannot_be_taken(install, pictures):
    install(reader(), "casae.datasets", folder="others_module:read")
    with pytest.raises(DatasetError, match="registers a name that casae has itself"):
        open_dataset(f"folder:{pictures}")


def network(**changes: int) -> str:
    return NETWORK.format(**({"stride": 2, "step": 1, "maps": "classes"} | changes))


def test_a_network_of_another_package_is_network_1(install):
    install(network(), "casae.networks", tiny="others_module:tiny")
    built = first_network(SegmenterSettings(encoder="tiny"), False, 2)
    assert built(torch.zeros(1, 1, 64, 96)).shape == (1, 2, 64, 96)
    assert built.training


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"maps": 1}, r"makes \(1, 1, 64, 96\) where \(1, 2, 64, 96\) is due"),
        ({"step": 2}, r"makes \(1, 2, 32, 48\)"),
        ({"stride": 48}, "has the stride 48, which does not divide 32"),
        ({"maps": "wanted"}, "NameError"),
    ],
)
def test_a_network_that_breaks_a_rule_is_refused_before_training(install, changes, rule):
    install(network(**changes), "casae.networks", tiny="others_module:tiny")
    with pytest.raises(UsageError, match=rule):
        first_network(SegmenterSettings(encoder="tiny"), False, 2)


def test_an_unknown_network_is_answered_by_the_known_ones(install):
    install(network(), "casae.networks", tiny="others_module:tiny")
    with pytest.raises(CasaeError, match="there are atrous, efficientnet-lite0, fcn8, tiny"):
        first_network(SegmenterSettings(encoder="none"), False, 2)


def test_a_network_that_a_notebook_enters_is_held_to_the_contract_too(monkeypatch):
    monkeypatch.setattr(registry, "FACTORIES", registry.FACTORIES | {"flat": lambda *_: torch.nn.Conv2d(1, 2, 3)})
    with pytest.raises(UsageError, match="encoder flat: has the stride"):
        first_network(SegmenterSettings(encoder="flat"), False, 2)
