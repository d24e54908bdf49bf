"""How good a model is on labelled images: pixels, regions, classes, each with a 95 % bootstrap interval over images."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError
from casae.image import Image, to_gray
from casae.inspection.classification import Named
from casae.inspection.inspector import Inspector
from casae.inspection.measurement import measure
from casae.inspection.regions import Region, find_regions
from casae.metrics import Counts, Interval, average_precision, bootstrap, proportion
from casae.statistics.detection import Detection, detection_probability

AREA_STEPS = (30, 100, 300, 1000, 3000)  # px, where `recall_by_size` cuts


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image, enough to derive every score from.

    Attributes:
        pixels: of the defect class.
        confidence: the n-th largest P(defect), n being the smallest reported area.
        true_regions: labelled regions, connected and of one class, at least as large as what is reported: area in px,
            and whether the found mask overlaps it.
        found_regions: reported regions.
        false_regions: those that overlap no labelled pixel, of whatever size.
        true_crops: (true class, named class) of each labelled region with a class, cut out by its label.
        found_crops: (true class, named class) of each reported region that overlaps a label with a class; what an
            inspection calls unknown counts as the class it is nearest to.
        novelty: how unlike learned pictures, in units of the limit; None where the model cannot tell.
        unknown: for each of `true_crops`, whether an inspection would call it unknown; empty where it cannot tell.
        learned: whether the model has learned this picture or a copy, as far as its file tells.
    """

    name: str
    pixels: Counts
    confidence: float
    true_regions: tuple[tuple[int, bool], ...]
    found_regions: int
    false_regions: int
    true_crops: tuple[tuple[int, int], ...]
    found_crops: tuple[tuple[int, int], ...]
    novelty: float | None = None
    unknown: tuple[bool, ...] = ()
    learned: bool = False

    @property
    def defective(self) -> bool:
        """Whether a pixel is labelled."""
        return self.pixels.tp + self.pixels.fn > 0

    @property
    def touched(self) -> int:
        """Labelled regions that the found mask overlaps."""
        return sum(touched for _, touched in self.true_regions)


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a split.

    Attributes:
        images: one score per image.
        classes: names in the order of the confusion matrix.
        failures: images that could not be read, and why.
    """

    images: tuple[ImageScore, ...]
    classes: tuple[str, ...]
    failures: dict[str, str] = field(default_factory=dict)

    def scores(self, seed: int = 0) -> dict[str, Interval]:
        """Every score with its interval, over the images that count for it; the order is that of the table."""
        pixels = [(s.pixels.tp, s.pixels.fp, s.pixels.fn) for s in self.images]
        labelled = pixels if any(s.defective for s in self.images) else []

        def share(rows: Iterable[tuple[float, float]]) -> Interval:
            counting = [row for row in rows if row[1]]
            return bootstrap(counting, lambda drawn: float(np.divide(*drawn.sum(0))), seed=seed)

        def counted(pairs: Iterable[tuple[int, int]]) -> Interval:
            known = list(pairs)
            hits, total = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
            return replace(share(known), hits=hits, total=total)

        def accuracy(crops: str) -> Interval:
            return counted((sum(a == b for a, b in getattr(s, crops)), len(getattr(s, crops))) for s in self.images)

        defective = [score for score in self.images if score.defective]
        good = [score for score in self.images if not score.defective]

        seen = [score.novelty > 1 for score in self.images if score.novelty is not None]
        unknown = [each for score in self.images for each in score.unknown]
        unlike = {"images_unlike_learned": seen, "regions_called_unknown": unknown}
        told = {name: proportion(sum(flags), len(flags)) for name, flags in unlike.items() if flags}

        return {
            "iou": share((tp, tp + fp + fn) for tp, fp, fn in labelled),
            "mean_image_iou": share((s.pixels.iou, s.defective) for s in self.images),
            "precision": share((tp, tp + fp) for tp, fp, _ in pixels),
            "recall": share((tp, tp + fn) for tp, _, fn in labelled),
            "f1": share((2 * tp, 2 * tp + fp + fn) for tp, fp, fn in labelled),
            "region_recall": counted((s.touched, len(s.true_regions)) for s in self.images),
            "false_regions_per_image": bootstrap(
                [(s.false_regions,) for s in self.images], lambda rows: float(rows.mean()), seed=seed, is_share=False
            ),
            "image_ap": bootstrap(
                [(s.confidence, s.defective) for s in self.images],
                lambda rows: average_precision(rows[:, 0], rows[:, 1]),
                seed=seed,
            ),
            "escaped_images": proportion(sum(not s.found_regions for s in defective), len(defective)),
            "rejected_good_images": proportion(sum(s.found_regions > 0 for s in good), len(good)),
            "accuracy_true_crops": accuracy("true_crops"),
            "accuracy_found_regions": accuracy("found_crops"),
            **told,
        }

    def recall_by_size(self) -> list[tuple[int, int | None, int, int]]:
        """(from area, below area, regions, touched) of labelled regions, in steps of `AREA_STEPS` px."""
        regions = [region for score in self.images for region in score.true_regions]
        rows = []
        for low, high in itertools.pairwise((0, *AREA_STEPS, None)):
            inside = [touched for area, touched in regions if area >= (low or 0) and (high is None or area < high)]
            rows.append((low or 0, high, len(inside), sum(inside)))
        return rows

    def detection(self) -> Detection:
        """From which area on, px, labelled regions are touched."""
        regions = [region for score in self.images for region in score.true_regions]
        return detection_probability([area for area, _ in regions], [touched for _, touched in regions])

    def confusion(self) -> NDArray[np.int64]:
        """Labelled regions by true class (row) and the class their crop is given (column), (classes, classes)."""
        size = len(self.classes)
        matrix = np.zeros((size, size), np.int64)
        for score in self.images:
            for true, named in score.true_crops:
                matrix[true, named] += 1
        return matrix


def evaluate(
    inspector: Inspector, dataset: Dataset, done: Callable[[ImageScore | None], object] = lambda score: None
) -> Evaluation:
    """Inspect every labelled image of a dataset and compare with its label.

    Args:
        inspector: with the threshold and smallest area to judge.
        dataset: already cut to the split to judge on.
        done: called after each image.

    Raises:
        DatasetError: the model's classes are not the dataset's, or nothing is labelled.
    """
    if dataset.classes != inspector.manifest.classes:
        theirs, ours = ", ".join(inspector.manifest.classes), ", ".join(dataset.classes)
        raise DatasetError(f"{dataset.name}: classes are {ours}, the model's are {theirs}; evaluate on its own classes")
    scores, failures = [], {}
    for sample in dataset.labelled.samples:
        try:
            score: ImageScore | None = score_image(inspector, sample)
        except (ImageError, DatasetError) as error:
            failures[sample.name], score = str(error), None
        scores.append(score)
        done(score)
    good = tuple(score for score in scores if score is not None)
    if not good:
        raise DatasetError(f"{dataset.name}: no labelled image in '{dataset.split_name}' could be judged; label some")
    return Evaluation(good, dataset.classes, failures)


def score_image(inspector: Inspector, sample: Sample) -> ImageScore:
    """Counts of one labelled image.

    Raises:
        ImageError: the image or its mask cannot be read.
        DatasetError: the mask does not fit the image.
    """
    classes = len(inspector.manifest.classes)
    image = read_image(sample.image)
    label = sample.draw(image.shape, classes)
    probability, novelty = inspector.look(image)
    mask, found, _ = inspector.find(probability)
    smallest = min(inspector.conditions.min_area_px, probability.size)
    true = true_regions(label, classes, inspector.conditions.min_area_px)
    named = [(value - 1, region) for value, region in true if value != UNCLASSED]
    matched = [(value - 1, r) for r in found if (value := _true_class(label, r)) not in (0, UNCLASSED)]
    true_crops = _named(inspector, image, named, label > 0)
    return ImageScore(
        name=sample.name,
        pixels=Counts.of(mask, label > 0),
        confidence=float(np.partition(probability, -smallest, axis=None)[-smallest]),
        true_regions=tuple((r.area, bool(mask[r.at].any())) for _, r in true),
        found_regions=len(found),
        false_regions=sum(not label[region.at].any() for region in found),
        true_crops=_classes(inspector, named, true_crops),
        found_crops=_classes(inspector, matched, _named(inspector, image, matched, mask)),
        novelty=novelty,
        unknown=tuple(each.novelty > 1 for each in true_crops if each.novelty is not None),
        learned=inspector.learned.knows(to_gray(image)),
    )


def true_regions(label: NDArray[np.uint8], classes: int, min_area: int) -> list[tuple[int, Region]]:
    """(label value, region) of every labelled region, class by class."""
    values = [*range(1, classes + 1), UNCLASSED]
    return [(value, region) for value in values for region in find_regions(label == value, min_area)]


def _true_class(label: NDArray[np.uint8], region: Region) -> int:
    """The label value that most defective pixels under a region have, 0 without any."""
    counts = np.bincount(label[region.at], minlength=256)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def _named(
    inspector: Inspector, image: Image, regions: Sequence[tuple[int, Region]], defective: NDArray[np.bool_]
) -> list[Named]:
    seen, shown = inspector.in_full_scale(image), [region for _, region in regions]
    gray = to_gray(seen)
    return inspector.name_regions(seen, shown, (measure(region, gray, defective) for region in shown))


def _classes(
    inspector: Inspector, regions: Sequence[tuple[int, Region]], named: Sequence[Named]
) -> tuple[tuple[int, int], ...]:
    """(true class, named class) of each region."""
    classes = inspector.manifest.classes
    return tuple((true, classes.index(each.name)) for (true, _), each in zip(regions, named, strict=True))
