"""Scores of a segmenter that has no model file yet: those of `casae evaluate` on pixels, regions and images."""

import numpy as np
import torch

from casae.config import CORE_GS, DEFAULT_GS
from casae.evaluation.scores import Evaluation, ImageScore, true_regions
from casae.inspection.detection import reported
from casae.labelled.defects import smallest_region
from casae.labelled.images import LabelledImage
from casae.metrics import Counts
from casae.training.segmentation import SegmentationTask

HEADINGS = "defects touched | false regions an image | image AP | defective that escape | good rejected"
SHOWN = ("region_recall", "false_regions_per_image", "image_ap", "escaped_images", "rejected_good_images")


def judged(task: SegmentationTask, learned: list[LabelledImage]) -> str:
    """The scores of `HEADINGS`, as a row of a table, of `task` on its validation images, at the usual thresholds.

    As `casae train` does, `learned` decides from which size regions are reported.
    """
    smallest = smallest_region(learned)
    classes = max(int(image.label.max()) for image in task.validation)
    task.eval()
    with torch.inference_mode():
        images = tuple(_score(task, image, smallest, classes) for image in task.validation)
    scores = Evaluation(images, ()).scores()
    values = [scores[name].value for name in SHOWN]
    return " | ".join("" if value is None else f"{value:.3f}" for value in values)


def _score(task: SegmentationTask, image: LabelledImage, smallest: int, classes: int) -> ImageScore:
    probability = task.probability(image)
    mask, found, _ = reported(probability, DEFAULT_GS, CORE_GS, smallest)
    return ImageScore(
        name=image.name,
        pixels=Counts.of(mask, image.label > 0),
        confidence=float(np.partition(probability, -smallest, axis=None)[-smallest]),
        true_regions=tuple(
            (region.area, bool(mask[region.at].any())) for _, region in true_regions(image.label, classes, smallest)
        ),
        found_regions=len(found),
        false_regions=sum(not image.label[region.at].any() for region in found),
        true_crops=(),
        found_crops=(),
    )
