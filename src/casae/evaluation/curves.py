"""What each threshold Gs costs: defects that escape against good regions and parts that are rejected."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casae.config import DEFAULT_GS
from casae.datasets.sample import Dataset, Sample, read_label
from casae.errors import DatasetError, UsageError
from casae.evaluation.scores import true_regions
from casae.image import read_image
from casae.inspection.inspector import Inspector
from casae.inspection.regions import Region
from casae.metrics import Counts, ratio

GS_GRID = (*range(5, 100, 5), DEFAULT_GS, *range(105, 251, 5))
NO_PIXELS = Counts(0, 0, 0, 0)
EQUAL_F1 = 0.002  # less is no difference: the paper's Gs is kept, or left by as little as possible
FEW = 8  # defective images; with fewer, the best F1 is luck


@dataclass(frozen=True)
class Cost:
    """What one threshold costs on labelled images.

    Attributes:
        gs: the threshold.
        pixels: counts of the defect class.
        regions, escaped: labelled regions, and those that nothing found touches.
        false_regions: found regions without a labelled pixel.
        defective, passed: images with a labelled region, and those where nothing is found.
        good, rejected: images without, and those where something is found.
    """

    gs: float
    pixels: Counts = NO_PIXELS
    regions: int = 0
    escaped: int = 0
    false_regions: int = 0
    defective: int = 0
    passed: int = 0
    good: int = 0
    rejected: int = 0

    @property
    def region_recall(self) -> float:
        """Share of the labelled regions that are touched; 1 without any."""
        return ratio(self.regions - self.escaped, self.regions)

    @property
    def images(self) -> int:
        """Images judged."""
        return self.defective + self.good

    def summary(self) -> dict[str, float | None]:
        """The figures a card shows; None where there is nothing to count."""
        return {
            "gs": self.gs,
            "pixel_f1": self.pixels.f1,
            "escaped_regions": self.escaped / self.regions if self.regions else None,
            "false_regions_per_image": self.false_regions / self.images,
            "escaped_images": self.passed / self.defective if self.defective else None,
            "rejected_good_images": self.rejected / self.good if self.good else None,
        }


def cost_curve(inspector: Inspector, dataset: Dataset, so_far: Sequence[Cost] = ()) -> list[Cost]:
    """The cost of every Gs of `GS_GRID` on the labelled images of a dataset, in rising order.

    Args:
        inspector: with the model to judge.
        dataset: images that it did not learn from.
        so_far: the curve of another fold, whose images are counted in.

    Raises:
        DatasetError: nothing is labelled.
        ImageError: an image cannot be read.
    """
    samples = dataset.labelled.samples
    if not samples:
        raise DatasetError(f"{dataset.name}: no labelled image in '{dataset.split_name}'; label some")
    costs = list(so_far) or [Cost(float(gs)) for gs in GS_GRID]
    for sample in samples:
        costs = _with_image(costs, inspector, sample)
    return costs


def check_target(target: str | None) -> float | None:
    """The share that "recall=R" asks for, None for "f1", "keep" and None.

    Raises:
        UsageError: another target.
    """
    if target in (None, "f1", "keep"):
        return None
    recall = re.fullmatch(r"recall=(0?\.\d+|1(?:\.0+)?)", str(target))
    if not recall:
        raise UsageError(f"--target {target}: say recall=0.99 or another share up to 1, f1, or keep")
    return float(recall[1])


def choose_gs(costs: Sequence[Cost], target: str | None) -> tuple[Cost, str]:
    """The threshold for a target, and why in words.

    Args:
        costs: of `cost_curve`.
        target: "recall=R" takes the smallest Gs that touches the share R of the labelled regions; "f1" the best F1
            over pixels, "keep" the paper's. None is "f1" where enough defective images are held out, else "keep".

    Raises:
        UsageError: another target.
    """
    wanted = check_target(target)
    kept = next(cost for cost in costs if cost.gs == DEFAULT_GS)
    if not kept.regions:
        return kept, "no defect among the held-out images: the paper's Gs is kept"
    if wanted is not None:
        reached = [cost for cost in costs if cost.region_recall >= wanted]
        if reached:
            return reached[0], f"smallest Gs that touches {wanted:g} of the held-out defects"
        best = max(costs, key=lambda cost: (cost.region_recall, -cost.gs))
        return best, f"no Gs touches {wanted:g} of the held-out defects; this one touches {best.region_recall:.3f}"
    if target == "keep" or (target is None and kept.defective < FEW):
        return kept, "the paper's Gs" if target else f"the paper's Gs: only {kept.defective} defective images held out"
    best_f1 = max(cost.pixels.f1 for cost in costs)
    equal = [cost for cost in costs if cost.pixels.f1 >= best_f1 - EQUAL_F1]
    return min(equal, key=lambda cost: abs(cost.gs - DEFAULT_GS)), "best F1 on the held-out images"


def _with_image(costs: Sequence[Cost], inspector: Inspector, sample: Sample) -> list[Cost]:
    """The costs after one more image."""
    image = read_image(sample.image)
    label = read_label(sample, image.shape, len(inspector.manifest.classes))
    true = [r for _, r in true_regions(label, len(inspector.manifest.classes), inspector.settings.min_area_px)]
    probability = inspector.probability(image)
    return [_counted(cost, *inspector.find(probability, cost.gs), label > 0, true) for cost in costs]


def _counted(
    cost: Cost, mask: NDArray[np.bool_], found: Sequence[Region], truth: NDArray[np.bool_], true: Sequence[Region]
) -> Cost:
    return replace(
        cost,
        pixels=cost.pixels + Counts.of(mask, truth),
        regions=cost.regions + len(true),
        escaped=cost.escaped + sum(not mask[region.window][region.mask].any() for region in true),
        false_regions=cost.false_regions + sum(not truth[region.window][region.mask].any() for region in found),
        defective=cost.defective + bool(true),
        passed=cost.passed + bool(true and not found),
        good=cost.good + (not true),
        rejected=cost.rejected + bool(not true and found),
    )
