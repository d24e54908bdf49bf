"""Labelled images in memory and endless random views of them.

Every view is a function of (seed, epoch, position) alone: the same seed gives the same training, with any number of
loader processes and across an interruption.
"""

import copy
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from casae.config import STRIDE, Fit
from casae.datasets.sample import UNCLASSED, Dataset, read_label
from casae.errors import DatasetError
from casae.image import Frame, Image, read_image, to_gray, to_unit
from casae.inspection.classification import classifier_input
from casae.inspection.regions import Rectangle, find_regions
from casae.training.augmentation import Augmentation

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A decoded sample: gray (H, W) in its own dtype, label values (H, W) uint8."""

    name: str
    gray: Image
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelledCrop:
    """A labelled defect: where it is, in which image, and its class counted from 0."""

    gray: Image
    rectangle: Rectangle
    defect_class: int


def load(dataset: Dataset) -> list[LabelledImage]:
    """Decode all labelled samples once."""
    images = []
    for sample in dataset.labelled.samples:
        gray = to_gray(read_image(sample.image))
        images.append(LabelledImage(sample.name, gray, read_label(sample, gray.shape, len(dataset.classes))))
    return images


def hold_out(dataset: Dataset, split: str, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Cut a split into a part to train on and a part to choose by; the two never overlap.

    A list `val` of the dataset is the second part. Without one, `share` of the split is held out, drawn by `seed`, at
    least one image of each class where the reader knows an image's class.

    Raises:
        DatasetError: no such split, or fewer than two labelled images in it.
    """
    part = dataset.split(split).labelled
    if len(part.samples) < 2:
        raise DatasetError(f"{dataset.name}: {len(part.samples)} labelled images in '{split}'; label at least two")
    if "val" in dataset.splits and split != "val":
        validation = dataset.split("val").labelled
    else:
        rng = np.random.default_rng(seed)
        groups: dict[int | None, list[str]] = {}
        for sample in part.samples:
            groups.setdefault(sample.mask_class, []).append(sample.name)
        held = {
            str(n) for group in groups.values() for n in rng.permutation(group)[: max(1, round(share * len(group)))]
        }
        held = set(sorted(held)[: len(part.samples) - 1])
        validation = part.only(held, f"validation part of {split}")
    outside = {sample.name for sample in part.samples} - {sample.name for sample in validation.samples}
    if not outside or not validation.samples:
        raise DatasetError(f"{dataset.name}: split '{split}' and list 'val' leave nothing to train on; separate them")
    return part.only(outside, split), validation


def input_size(images: Sequence[LabelledImage], size: int, fit: Fit) -> tuple[int, int]:
    """(height, width) of the network's input: `size` is the longer side, the shorter one follows the typical image."""
    if fit == "squeeze":
        return size, size
    ratio = float(np.median([image.gray.shape[0] / image.gray.shape[1] for image in images]))
    shorter = max(STRIDE, round(size * min(ratio, 1 / ratio) / STRIDE) * STRIDE)
    return (shorter, size) if ratio <= 1 else (size, shorter)


def input_target(label: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Label values (H, W) -> defect mask (height, width) uint8 of 0 and 1 in the network's input.

    What is thinner than one pixel of the input is widened to one, or it would vanish from what the network learns.
    """
    defect = (label > 0).astype(np.uint8)
    step = max(label.shape[0] / frame.content_height, label.shape[1] / frame.content_width)
    if step > 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(step / 2) + 1,) * 2)
        thin = defect & ~cv2.morphologyEx(defect, cv2.MORPH_OPEN, kernel)
        defect |= cv2.dilate(thin, kernel)
    covered = frame.put(defect.astype(np.float32))
    return (covered >= 0.5).astype(np.uint8)


class MaskViews(TorchDataset[Pair]):
    """Random views for the segmenter: gray (1, h, w) float32 in 0..1, defect (h, w) float32 of 0 and 1."""

    def __init__(
        self, images: Sequence[LabelledImage], height: int, width: int, fit: Fit, views: int, seed: int
    ) -> None:
        self.augmentation = Augmentation()
        self.seed, self.views = seed, max(views, len(images))
        self.pairs = []
        for image in images:
            frame = Frame.of(image.gray.shape, height, width, fit)
            pair = to_unit(frame.put(image.gray)), input_target(image.label, frame)
            turned = frame.height != height
            self.pairs.append((pair[0].T.copy(), pair[1].T.copy()) if turned else pair)

    def augmented(self, augmentation: Augmentation) -> "MaskViews":
        """The same images under another augmentation."""
        other = copy.copy(self)
        other.augmentation = augmentation
        return other

    def __len__(self) -> int:
        return self.views

    def __getitem__(self, position: int) -> Pair:
        index, rng = draw(position, self.views, len(self.pairs), self.seed)
        image, target = self.augmentation(*self.pairs[index], rng)
        return torch.from_numpy(image[None]), torch.from_numpy(target.astype(np.float32))


class CropViews(TorchDataset[Pair]):
    """Random views of defects for the compact CNN: crop (1, 227, 227) float32 in 0..1, class.

    The rectangle itself is disturbed, as a rectangle around a found region differs from that around a drawn one.
    """

    def __init__(self, crops: Sequence[LabelledCrop], views: int, seed: int) -> None:
        self.crops, self.views, self.seed = crops, views, seed
        self.augmentation = Augmentation()

    def __len__(self) -> int:
        return self.views

    def __getitem__(self, position: int) -> Pair:
        index, rng = draw(position, self.views, len(self.crops), self.seed)
        crop = self.crops[index]
        view = classifier_input(crop.gray, _disturbed(crop.rectangle, rng))
        view = view[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        view = self.augmentation.light(np.ascontiguousarray(view), rng)
        return torch.from_numpy(view[None]), torch.tensor(crop.defect_class)


class EpochSampler(Sampler[int]):
    """Positions that go on counting from epoch to epoch.

    Lightning's own `set_epoch` starts at 0 again after an interruption, so the epoch is counted here.
    """

    def __init__(self, length: int) -> None:
        self.length, self.epoch = length, 0

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.length
        self.epoch += 1
        return iter(range(start, start + self.length))

    def __len__(self) -> int:
        return self.length


def draw(position: int, views: int, count: int, seed: int) -> tuple[int, np.random.Generator]:
    """Which of `count` items a position shows, and the randomness of its view.

    Within `count` positions of one epoch every item comes once.
    """
    epoch, place = divmod(position, views)
    turn, step = divmod(place, count)
    order = np.random.default_rng([seed, epoch, turn]).permutation(count)
    return int(order[step]), np.random.default_rng([seed, epoch, turn, step, 1])


def labelled_crops(images: Sequence[LabelledImage], classes: int, min_area_px: int) -> list[LabelledCrop]:
    """Every region of every class, found by the same code that inspection uses; defects without class are left out."""
    return [
        LabelledCrop(image.gray, region.rectangle, value - 1)
        for image in images
        for value in range(1, min(classes + 1, UNCLASSED))
        for region in find_regions(image.label == value, min_area_px)
    ]


def loader(views: MaskViews | CropViews, batch: int) -> DataLoader[Pair]:
    """Batches prepared by one process beside the training."""
    cv2.setNumThreads(1)
    sampler = EpochSampler(len(views))
    return DataLoader(views, batch, sampler=sampler, num_workers=1, persistent_workers=True, worker_init_fn=_begin)


def _begin(worker: int) -> None:
    """Ctrl-C is for the training, which ends its step and still needs this process until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _disturbed(rectangle: Rectangle, rng: np.random.Generator) -> Rectangle:
    size = rng.uniform(0.85, 1.2, 2)
    shift = rng.uniform(-0.05, 0.05, 2) @ (rectangle.axes * [[rectangle.length], [rectangle.width]])
    return Rectangle(
        (rectangle.centre[0] + shift[0], rectangle.centre[1] + shift[1]),
        rectangle.length * size[0],
        rectangle.width * size[1],
        rectangle.angle + rng.uniform(-8, 8),
    )
