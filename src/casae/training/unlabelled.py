"""Learn from images that nobody labelled: the first network labels them, and what it is sure of is learned as well.

A finished teacher looks at every image several times, turned and mirrored, and the mean counts (Zoph et al. 2020,
arXiv:2006.06882; Xie et al. 2020, arXiv:1911.04252). A student that begins anew learns from labelled and from such
images in turn, and becomes as good at one look.
"""

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from casae.config import DEFAULT_GS, Looks
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError
from casae.files import find_images
from casae.image import as_seen, brightened
from casae.inspection import segmentation as inspection
from casae.labelled.images import LabelledImage
from casae.models.bundle import InputSize
from casae.networks.cascade import probability_of
from casae.training.budget import Budget
from casae.training.progress import Reporter
from casae.training.stop import Stop

LOOKS: Looks = 4  # of the teacher at each image
MOST_PIXELS = 500_000_000  # of all images together: 0.5 GB, and as much again for their masks


def unlabelled_images(folder: Path, dataset: Dataset, split: str, seed: int) -> list[Path]:
    """Images under `folder` in an order drawn by `seed`, without labelled ones of a split and of lists `val`, `test`.

    Raises:
        DatasetError: no folder.
    """
    if not folder.is_dir():
        raise DatasetError(f"--unlabelled {folder}: no such folder; name one with images")
    lists = [dataset.split(name) for name in ("val", "test") if name in dataset.splits]
    parts = [dataset.split(split).labelled, *lists]
    taken = {_content(sample.image) for part in parts for sample in part.samples}
    sizes = {size for size, _ in taken}
    files = [file for file in find_images(folder) if file.stat().st_size not in sizes or _content(file) not in taken]
    return [files[index] for index in np.random.default_rng([seed, 2]).permutation(len(files))]


def _content(file: Path) -> tuple[int, str]:
    """Of a file and its copies in other folders."""
    data = file.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


def identity_of(files: Sequence[Path]) -> str:
    """Changes when a file is added, removed or resized."""
    known = "\n".join(sorted(f"{file.name} {file.stat().st_size}" for file in files))
    return hashlib.sha256(known.encode()).hexdigest()


def pseudo_labelled(
    network: nn.Module,
    files: Sequence[Path],
    size: InputSize,
    reporter: Reporter,
    stop: Stop,
    seconds: float | None = None,
    white: float = 1.0,
) -> list[LabelledImage]:
    """Images with the defects that a network sees in them.

    Args:
        network: images (N, channels, H, W) -> logits (N, 2, H, W).
        files: looked at in this order; unreadable ones are named and left out.
        size: of the network's input.
        reporter: shows how far it is.
        stop: no further image is looked at once it is requested.
        seconds: time after which no further image is looked at.
        white: of 16-bit images, see `casae.image.brightened`.
    """
    budget, began = Budget(steps=len(files)), time.monotonic()
    found: list[LabelledImage] = []
    looked_at = 0
    network.eval()
    look = partial(inspection.averaged, partial(_said, network), looks=LOOKS)
    for file in files:
        budget.advance()
        if stop.requested or looked_at > MOST_PIXELS or (seconds and time.monotonic() - began > seconds):
            break
        try:
            pixels = brightened(as_seen(read_image(file), size.channels), white)
        except ImageError as error:
            reporter.say(f"left out: {error}")
            continue
        looked_at += pixels.size
        probability = inspection.defect_probability(look, pixels, size)
        label = inspection.threshold(probability, DEFAULT_GS).astype(np.uint8)
        found.append(LabelledImage(file.stem, pixels, label))
        reporter.step(budget)
    return found


def _said(network: nn.Module, values: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return probability_of(network(torch.from_numpy(values))).float().numpy()
