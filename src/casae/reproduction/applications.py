"""Figures 8 and 9: the whole system on other surfaces, nanofibres and textured backgrounds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset, Sample
from casae.decoding import read_image
from casae.evaluation.scores import evaluate
from casae.inspection.inspector import Inspector
from casae.labelled.holdout import hold_out
from casae.metrics import roc_auc
from casae.models.bundle import read_bundle
from casae.recipes import TrainingSettings
from casae.reproduction.charts import mosaic, painted
from casae.reproduction.experiment import Experiment, Row
from casae.training.train import train

FIGURE_ROWS = 5
FINE_LEVELS = 4096  # of P(defect), for the pixel AUC
TITLES = {
    ("figure8", "nanotwice"): "Figure 8: nanofibres (NanoTWICE), learned from ten images",
    ("figure9", "dagm"): "Figure 9: textured backgrounds (DAGM)",
}
COLUMNS = ("iou", "region_recall", "false_regions_per_image", "image_ap")


def application(
    experiment: Experiment, dataset: Dataset, split: str, test: str, settings: TrainingSettings, seeds: int
) -> None:
    """Train on one list and judge on another for every seed; writes NAME.md, NAME.json and a picture NAME.png."""
    part, clean = dataset.split(test), _unlisted_clean(dataset, split)
    parts = hold_out(dataset, split, settings.hold_out_share, 0)
    experiment.claim()
    rows = []
    for seed in range(seeds):
        experiment.reporter.overall(seed, seeds, f"seed {seed}")

        def work(folder: Path, seed: int = seed) -> Row:
            file = folder / "model.casae"
            wanted = settings.model_copy(update={"seed": seed})
            train(dataset, file, wanted, split=split, resume=True, reporter=experiment.reporter)
            return _judged(Inspector(file), part, clean)

        rows.append(experiment.row("casae", seed, work))
    experiment.reporter.overall(seeds, seeds, "done")
    _publish(experiment, rows, parts, part, settings)
    inspector = Inspector(experiment.rows / "casae-0" / "model.casae")
    experiment.picture(_pictures(inspector, part))


def _unlisted_clean(dataset: Dataset, split: str) -> Dataset:
    """Images known to have no defect that stand in no list, as those of NanoTWICE, and are not in `split`."""
    lists = {name for name in dataset.splits if name != "train" or not dataset.train_is_rest}
    listed = {name for each in lists for name in dataset.splits[each]} | set(dataset.splits[split])
    names = {sample.name for sample in dataset.samples if sample.known_good} - listed
    return dataset.only(names, "images without defect")


def _judged(inspector: Inspector, part: Dataset, clean: Dataset) -> Row:
    result = evaluate(inspector, part)
    scored = [*result.images, *(evaluate(inspector, clean).images if clean.samples else ())]
    alarms = [score.found_regions > 0 for score in scored if not score.defective]
    defect, background = np.zeros(FINE_LEVELS, np.int64), np.zeros(FINE_LEVELS, np.int64)
    for sample in part.labelled.samples:
        level, truth = _levels(inspector, sample, len(part.classes))
        defect += np.bincount(level[truth], minlength=FINE_LEVELS)
        background += np.bincount(level[~truth], minlength=FINE_LEVELS)
    scores = result.scores()
    return {
        **{name: scores[name].value for name in COLUMNS},
        "pixel_auc": roc_auc(defect, background),
        "clean_images": len(alarms),
        "clean_images_with_alarm": sum(alarms),
    }


def _levels(inspector: Inspector, sample: Sample, classes: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    image = read_image(sample.image)
    level = np.rint(inspector.probability(image) * (FINE_LEVELS - 1)).astype(np.int64)
    return level, sample.draw(image.shape, classes) > 0


def _publish(
    experiment: Experiment,
    rows: Sequence[Row],
    parts: tuple[Dataset, Dataset],
    part: Dataset,
    settings: TrainingSettings,
) -> None:
    table = [["seed", "IoU", "defects touched", "false regions an image", "image AP", "pixel AUC", "alarms, no defect"]]
    for row in rows:
        cells = [_text(row[name]) for name in (*COLUMNS, "pixel_auc")]
        table.append([str(row["seed"]), *cells, f"{row['clean_images_with_alarm']} of {row['clean_images']}"])
    learned, held = (len(each.samples) for each in parts)
    manifest = read_bundle(experiment.rows / "casae-0" / "model.casae").manifest
    core = "" if manifest.core_gs is None else f", core {manifest.core_gs:g}"
    notes = [
        f"Learned from {learned} images of list '{parts[0].split_name}' and {held} held out, judged on the "
        f"{len(part.labelled.samples)} of '{part.split_name}', Gs {manifest.gs:g}{core}; alarms on images without "
        f"defect there and outside all lists. Preset {settings.preset}, {settings.minutes:g} minutes."
    ]
    reader, _, path = part.name.partition(":")
    title = TITLES.get((experiment.name, reader), f"{experiment.name}: {Path(path).name}")
    experiment.publish(title, table, rows, notes)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _pictures(inspector: Inspector, part: Dataset) -> NDArray[np.uint8]:
    samples = [s for s in part.labelled.samples if not s.known_good] or list(part.labelled.samples)
    rows = []
    for index in np.linspace(0, len(samples) - 1, min(FIGURE_ROWS, len(samples))).round().astype(int):
        image = read_image(samples[index].image)
        truth = samples[index].draw(image.shape, len(part.classes)) > 0
        found = inspector.find(inspector.probability(image)).mask
        rows.append([painted(image, mask) for mask in (np.zeros_like(truth), truth, found)])
    return mosaic(rows, ["image", "label", "CASAE"])
