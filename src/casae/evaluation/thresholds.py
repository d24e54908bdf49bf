"""What thresholds cost: defects that escape against good regions and parts that are rejected."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from casae.config import CORE_GS, DEFAULT_GS
from casae.datasets.sample import Dataset, Sample
from casae.decoding import read_image
from casae.errors import DatasetError, UsageError
from casae.evaluation.scores import true_regions
from casae.inspection.inspector import Inspector
from casae.inspection.regions import Region, find_regions
from casae.inspection.segmentation import threshold
from casae.metrics import Counts, ratio
from casae.recipes import ENOUGH_DEFECTIVE

GS_GRID = tuple(float(gs) for gs in (*range(5, 100, 5), DEFAULT_GS, *range(105, 251, 5)))
CORE_GRID = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, CORE_GS, 35.0, 50.0, 75.0)  # P(defect) 0.996 to 0.706
THRESHOLDS = tuple((gs, core) for gs in GS_GRID for core in (*(core for core in CORE_GRID if core < gs), gs))
TARGET = r"^(?:f1|keep|(recall|images|good)=(0?\.[0-9]+|1(?:\.0+)?))$"
Kind = Literal["recall", "images", "good"]
NO_PIXELS = Counts(0, 0, 0, 0)
EQUAL_F1 = 0.002  # less is no difference: the paper's Gs is kept, or left by as little as possible
LOST_TO_CORE = 0.1  # of the held-out defects that are touched without one, at most


@dataclass(frozen=True)
class Cost:
    """What one pair of thresholds costs on labelled images.

    Attributes:
        gs: where regions end; `core_gs` is what a pixel of each passes too.
        pixels: counts of the defect class.
        regions, escaped: labelled regions, and those that nothing found touches.
        false_regions: found regions without a labelled pixel.
        defective, passed: images with a labelled pixel, and those where nothing is found.
        good, rejected: images without, and those where something is found.
    """

    gs: float
    core_gs: float
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
        return ratio(self.touched, self.regions)

    @property
    def touched(self) -> int:
        """Labelled regions that are touched."""
        return self.regions - self.escaped

    @property
    def images(self) -> int:
        """Images judged."""
        return self.defective + self.good

    def summary(self) -> dict[str, float | None]:
        """The figures a card shows; None where there is nothing to count."""
        return {
            "gs": self.gs,
            "core_gs": self.core_gs,
            "pixel_f1": self.pixels.f1 if self.defective else None,
            "escaped_regions": self.escaped / self.regions if self.regions else None,
            "false_regions_per_image": self.false_regions / self.images,
            "escaped_images": self.passed / self.defective if self.defective else None,
            "rejected_good_images": self.rejected / self.good if self.good else None,
        }


def cost_curve(
    inspector: Inspector,
    dataset: Dataset,
    so_far: Sequence[Cost] = (),
    done: Callable[[], object] = lambda: None,
) -> list[Cost]:
    """The cost of each pair of `THRESHOLDS` on the labelled images of a dataset, in that order.

    Args:
        inspector: with the model to judge.
        dataset: images that it did not learn from.
        so_far: the curve of another fold, whose images are counted in.
        done: called after each image.

    Raises:
        DatasetError: nothing is labelled.
        ImageError: an image cannot be read.
    """
    samples = dataset.labelled.samples
    if not samples:
        raise DatasetError(f"{dataset.name}: no labelled image in '{dataset.split_name}'; label some")
    costs = list(so_far) or [Cost(gs, core) for gs, core in THRESHOLDS]
    for sample in samples:
        costs = _with_image(costs, inspector, sample)
        done()
    return costs


def sensitivity(costs: Sequence[Cost], gs: float) -> list[Cost]:
    """The costs from the surest findings to all: regions that end at `gs`, by rising core, then at a larger Gs."""
    return [cost for cost in costs if cost.gs == gs or (cost.core_gs == cost.gs > gs)]


class Share(NamedTuple):
    """A target: touch `share` of the labelled regions, find something in as many of the defective images, or nothing in
    as many of the good ones.
    """

    kind: Kind
    share: float

    def of(self, cost: Cost) -> tuple[int, int]:
        """How many these thresholds get right, and of how many."""
        return {
            "recall": (cost.touched, cost.regions),
            "images": (cost.defective - cost.passed, cost.defective),
            "good": (cost.good - cost.rejected, cost.good),
        }[self.kind]

    def reached(self, cost: Cost) -> float:
        """What these thresholds reach; 1 where there is nothing to count."""
        return ratio(*self.of(cost))

    @property
    def does(self) -> str:
        """What is done to which of them."""
        return {
            "recall": "touch {} held-out defects",
            "images": "find something in {} held-out defective images",
            "good": "find nothing in {} held-out good images",
        }[self.kind]


def check_target(target: str | None) -> Share | None:
    """What "recall=R", "images=R" or "good=R" asks for, None for "f1", "keep" and None.

    Raises:
        UsageError: another target.
    """
    if target in (None, "f1", "keep"):
        return None
    asked = re.fullmatch(TARGET, str(target))
    if not asked:
        rule = "say recall=0.99, images=0.99, good=0.95 or another share up to 1, f1, or keep"
        raise UsageError(f"--target {target}: {rule}")
    return Share(cast("Kind", asked[1]), float(asked[2]))


class Aim(NamedTuple):
    """A constraint and an objective: of the costs that reach `need`, or as near to it as any, the one to take."""

    reached: Callable[[Cost], float]
    need: float
    objective: Callable[[Sequence[Cost]], Cost]

    def of(self, costs: Sequence[Cost]) -> Cost:
        """The choice among `costs`, one at least."""
        need = min(self.need, max(map(self.reached, costs)))
        return self.objective([cost for cost in costs if self.reached(cost) >= need])


def choose(costs: Sequence[Cost], target: str | None, core_gs: float | None = CORE_GS) -> tuple[Cost, str]:
    """The thresholds for a target, and why in words: the Gs first, then its core, then what a share asks for.

    Args:
        costs: of `cost_curve`.
        target: "f1" takes the Gs with the best F1 over pixels, but none that loses defects as a core must not, "keep"
            the paper's, each with the usual core; None is "f1" where enough defective images are held out, else "keep".
            "recall=R" takes the surest core at that Gs that touches the share R of the labelled regions, "images=R" the
            surest that finds something in the share R of the defective images, each none surer than the usual one
            where there are so few that missing one is missing R; where no core does, the smallest larger Gs. "good=R"
            takes, of those that find nothing in the share R of the good images, the ones that touch most defects, and
            of these the nearest to the usual; none more sensitive than that where there are so few. A core that costs
            more than `LOST_TO_CORE` of the defects gives way to one that does not.
        core_gs: the usual core, one of `CORE_GRID`; None cuts once, as the paper does.

    Raises:
        UsageError: another target.
    """
    wanted = check_target(target)
    usual = [cost for cost in costs if cost.core_gs == (cost.gs if core_gs is None else min(core_gs, cost.gs))]
    kept = next(cost for cost in usual if cost.gs == DEFAULT_GS)
    if not kept.regions and not (wanted and wanted.kind == "good"):
        return kept, "no defect among the held-out images: the paper's Gs is kept"
    most = {gs: max(cost.touched for cost in costs if cost.gs == gs) for gs in {cost.gs for cost in costs}}
    needed = _least(most[DEFAULT_GS])
    if target == "keep":
        outline, why = kept, "the paper's Gs"
    elif target != "f1" and kept.defective < ENOUGH_DEFECTIVE:
        images = "image" if kept.defective == 1 else "images"
        outline, why = kept, f"the paper's Gs: only {kept.defective} defective {images} held out"
    else:
        outline = Aim(lambda cost: most[cost.gs], needed, _best_f1).of(usual)
        why = "best F1 on the held-out images"
    cores = [cost for cost in costs if cost.gs == outline.gs and cost.core_gs >= outline.core_gs]
    chosen = Aim(lambda cost: cost.touched, max(needed, _least(most[outline.gs])), _surest).of(cores)
    if wanted:
        return _with_share(costs, chosen, wanted)
    if chosen is not outline:
        why += f"; the core is larger than usual, which would cost over {LOST_TO_CORE:.0%} of the held-out defects"
    return chosen, why


def _with_share(costs: Sequence[Cost], usual: Cost, wanted: Share) -> tuple[Cost, str]:
    """The surest thresholds that reach a share of the defects, or those that touch most and do of the good images: by
    the core at the Gs of `usual` first, then by larger Gs.
    """
    share, total, good = wanted.share, wanted.of(usual)[1], wanted.kind == "good"
    if not total:
        return usual, "no good image is held out: thresholds as usual"
    curve, few = sensitivity(costs, usual.gs), ""
    if round(total * (1 - share), 6) < 1:
        allowed = operator.le if good else operator.ge
        curve = [cost for cost in curve if allowed(cost.core_gs, usual.core_gs)]
        few = f", which are too few to be {'more sensitive' if good else 'surer'} than usual"
    chosen = Aim(wanted.reached, share, partial(_most_touched, usual) if good else _surest).of(curve)
    reached, does = wanted.reached(chosen), wanted.does.format(f"{share:g} of the {total}")
    if reached < share:
        return chosen, f"none {does}; these reach {reached:.3f}"
    return chosen, f"{'of those' if good else 'the surest'} that {does}{few}{', those that touch most' * good}"


def _surest(costs: Sequence[Cost]) -> Cost:
    return min(costs, key=lambda cost: (cost.gs, cost.core_gs))


def _most_touched(usual: Cost, costs: Sequence[Cost]) -> Cost:
    """Of those that touch most, the one next to the usual."""
    return min(costs, key=lambda each: (-each.touched, abs(each.gs - usual.gs), abs(each.core_gs - usual.core_gs)))


def _best_f1(costs: Sequence[Cost]) -> Cost:
    """Of those with the best F1, or as good as the best, the one next to the paper's Gs."""
    best = max(cost.pixels.f1 for cost in costs)
    return min(
        (cost for cost in costs if cost.pixels.f1 >= best - EQUAL_F1), key=lambda cost: abs(cost.gs - DEFAULT_GS)
    )


def _least(most: int) -> float:
    """How many defects must still be touched where `most` could be; one alone may be luck."""
    return min(most, max(1.0, most - max(1.0, LOST_TO_CORE * most)))


def _with_image(costs: Sequence[Cost], inspector: Inspector, sample: Sample) -> list[Cost]:
    """The costs after one more image."""
    image = read_image(sample.image)
    classes, smallest = len(inspector.manifest.classes), inspector.conditions.min_area_px
    label = sample.draw(image.shape, classes)
    true = [region for _, region in true_regions(label, classes, smallest)]
    probability = inspector.probability(image)
    findings = {
        gs: _Findings.of(find_regions(threshold(probability, gs), smallest), probability, label > 0, true)
        for gs in {cost.gs for cost in costs}
    }
    return [findings[cost.gs].added_to(cost) for cost in costs]


@dataclass(frozen=True)
class _Findings:
    """Regions of one image at one Gs; what is kept of them at a core hangs on their surest pixels alone.

    Attributes:
        surest: P(defect) of the surest pixel of each found region.
        areas, hits: their pixels, and how many of these are labelled.
        surest_on_true: the same P(defect) for each labelled region, of what touches it; 0 where nothing does.
        labelled, size: pixels of the image.
    """

    surest: NDArray[np.float32]
    areas: NDArray[np.int64]
    hits: NDArray[np.int64]
    surest_on_true: NDArray[np.float32]
    labelled: int
    size: int

    @classmethod
    def of(
        cls,
        found: Sequence[Region],
        probability: NDArray[np.float32],
        truth: NDArray[np.bool_],
        true: Sequence[Region],
    ) -> Self:
        surest = np.array([probability[r.at].max() for r in found], np.float32)
        drawn = np.zeros(probability.shape, np.float32)
        for region, value in zip(found, surest, strict=True):
            drawn[region.at] = value
        return cls(
            surest,
            np.array([r.area for r in found], np.int64),
            np.array([np.count_nonzero(truth[r.at]) for r in found], np.int64),
            np.array([drawn[r.at].max() for r in true], np.float32),
            int(np.count_nonzero(truth)),
            truth.size,
        )

    def added_to(self, cost: Cost) -> Cost:
        kept = threshold(self.surest, cost.core_gs)
        hits, area = int(self.hits[kept].sum()), int(self.areas[kept].sum())
        touched = threshold(self.surest_on_true, cost.core_gs) & (self.surest_on_true > 0)
        true, found, good = len(touched), bool(kept.any()), not self.labelled
        false, missed = area - hits, self.labelled - hits
        return replace(
            cost,
            pixels=cost.pixels + Counts(hits, false, missed, self.size - hits - false - missed),
            regions=cost.regions + true,
            escaped=cost.escaped + true - int(touched.sum()),
            false_regions=cost.false_regions + int((self.hits[kept] == 0).sum()),
            defective=cost.defective + (not good),
            passed=cost.passed + (not good and not found),
            good=cost.good + good,
            rejected=cost.rejected + (good and found),
        )
