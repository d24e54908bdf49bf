from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from casae.inspection.measurement import measure
from casae.inspection.regions import find_regions
from casae.inspection.sizes import weigh
from casae.labelled.defects import LabelledCrop
from casae.labelled.images import LabelledImage
from casae.recipes import ENOUGH_DEFECTIVE, PRESETS
from casae.training.budget import Budget
from casae.training.classification import ClassificationTask, build, repeats, size_classes


def crops_of(images):
    spot = np.zeros((32, 32), bool)
    spot[4:12, 4:12] = spot[20:28, 4:12] = True
    return [
        LabelledCrop(image, r, 0)
        for image in (LabelledImage("a", spot.astype(np.uint8), spot.astype(np.uint8)) for _ in range(images))
        for r in find_regions(spot, 1)
    ]


def test_sizes_tell_classes_apart_that_look_alike_in_their_crops():
    rng = np.random.default_rng(0)
    crops = []
    for index in range(24):
        label = np.zeros((64, 64), np.uint8)
        side = int(rng.integers(4, 9) if index % 2 else rng.integers(20, 30))
        label[10 : 10 + side, 10 : 10 + side] = 1
        image = LabelledImage("a", np.where(label, 50, 200).astype(np.uint8), label)
        crops.append(LabelledCrop(image, find_regions(label > 0)[0], index % 2))
    sizes = size_classes(crops, 3)
    measures = [measure(crop.region, crop.gray, crop.image.label > 0) for crop in crops]
    named = weigh(sizes, np.full((24, 3), 1 / 3, np.float32), measures).argmax(1)
    assert named.tolist() == [index % 2 for index in range(24)]


def test_classes_that_differ_by_direction_alone_are_told_apart():
    rng = np.random.default_rng(0)
    crops = []
    for index in range(24):
        label = np.zeros((64, 64), np.uint8)
        label[10:14, 10 : 30 + int(rng.integers(9))] = 1
        label = np.ascontiguousarray(label.T) if index % 2 else label
        image = LabelledImage("a", np.where(label, 50, 200).astype(np.uint8), label)
        crops.append(LabelledCrop(image, find_regions(label > 0)[0], index % 2))
    measures = [measure(crop.region, crop.gray, crop.image.label > 0) for crop in crops]
    named = weigh(size_classes(crops, 2), np.full((24, 2), 0.5, np.float32), measures).argmax(1)
    assert named.tolist() == [index % 2 for index in range(24)]


def test_sizes_that_tell_nothing_do_not_overrule_the_cnn():
    rng = np.random.default_rng(0)
    crops = []
    for index in range(30):
        label = np.zeros((64, 64), np.uint8)
        height, width = rng.integers(4, 50, 2)
        label[5 : 5 + height, 5 : 5 + width] = 1
        gray = np.where(label, rng.integers(20, 150), 200).astype(np.uint8)
        crops.append(LabelledCrop(LabelledImage(str(index), gray, label), find_regions(label > 0)[0], index % 3))
    measures = [measure(crop.region, crop.gray, crop.image.label > 0) for crop in crops]
    named = weigh(size_classes(crops, 3), np.full((30, 3), (0.8, 0.1, 0.1), np.float32), measures).argmax(1)
    assert not named.any()


def test_a_piece_of_a_hairline_is_named_as_the_whole():
    """Scratches are long, spots short; what is found of a scratch is as short as a spot, but thin."""
    crops = []
    for index in range(16):
        label = np.zeros((64, 200), np.uint8)
        if index % 2:
            label[20:22, 10 : 100 + 5 * index] = 1
        else:
            label[20 : 30 + index, 50:60] = 1
        image = LabelledImage("a", np.where(label, 50, 200).astype(np.uint8), label)
        crops.append(LabelledCrop(image, find_regions(label > 0)[0], index % 2))
    piece = np.zeros((64, 200), bool)
    piece[20:22, 40:58] = True
    found = measure(find_regions(piece)[0], crops[1].gray, piece)
    assert weigh(size_classes(crops, 2), np.full((1, 2), 0.5, np.float32), [found]).argmax() == 1


@pytest.mark.parametrize(
    ("preset", "images", "decides"),
    [("fast", 0, False), ("fast", ENOUGH_DEFECTIVE - 1, False), ("fast", ENOUGH_DEFECTIVE, True), ("paper", 1, True)],
)
def test_few_held_out_images_do_not_choose_weights(preset, images, decides):
    """However many crops they hold; the paper's constant learning rate needs the choice."""
    settings = PRESETS[preset].classifier.model_copy(update={"width": 6})
    task = ClassificationTask(build(settings, 2), settings, Budget(steps=1), crops_of(1), crops_of(images), 2)
    assert len(task.validation) == 2 * images
    assert task.score_decides is decides


class Certain(nn.Module):
    """Says of every crop the same."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, crops):
        return self.logits.expand(len(crops), -1)


def test_a_class_that_never_occurs_is_not_what_the_commonest_one_is_called():
    settings = PRESETS["fast"].classifier
    crops = crops_of(1000)  # of class 0, none of 1

    def loss(*logits):
        task = ClassificationTask(Certain(logits), settings, Budget(steps=1), crops, [], 2)
        return float(task.loss((torch.zeros(8, 1, 227, 227), torch.zeros(8, dtype=torch.long))))

    assert loss(3.0, 0.0) < loss(0.5, 0.0) < loss(0.0, 1.0)
    even = torch.tensor([[0.5, -1.0]]).expand(8, -1)
    smoothed = nn.functional.cross_entropy(even, torch.zeros(8, dtype=torch.long), label_smoothing=settings.smoothing)
    assert loss(0.5, -1.0) == pytest.approx(float(smoothed))


def test_rare_classes_are_repeated_and_the_rest_is_weighted():
    crops = [
        replace(crop, defect_class=index)
        for index, count in ((0, 90), (1, 10), (2, 60))
        for crop in crops_of(1)[:1] * count
    ]
    settings = PRESETS["fast"].classifier.model_copy(update={"width": 6})
    task = ClassificationTask(build(settings, 3), settings, Budget(steps=1), crops, [], 3)
    assert repeats(crops, 3) == [1, 3, 1]
    assert task.weight.tolist() == pytest.approx([1, 1, 1.5**0.5])
    assert repeats([], 2) == [1, 1]


def test_a_rare_class_is_named_where_sizes_do_not_tell():
    """200 to 5, sizes drawn alike: how rare a class is, the CNN has weighed already."""
    rng = np.random.default_rng(0)
    crops = []
    for index in range(205):
        label = np.zeros((64, 64), np.uint8)
        label[10 : 10 + rng.integers(8, 30), 10 : 10 + rng.integers(8, 30)] = 1
        image = LabelledImage("a", np.where(label, 50, 200).astype(np.uint8), label)
        crops.append(LabelledCrop(image, find_regions(label > 0)[0], int(index >= 200)))
    measures = [measure(crop.region, crop.gray, crop.image.label > 0) for crop in crops]
    named = weigh(size_classes(crops, 2), np.full((205, 2), (0.05, 0.95), np.float32), measures).argmax(1)
    assert named.mean() > 0.6
