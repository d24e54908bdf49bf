"""Table 3 (IoU of the segmentation methods) and Figure 6 (their masks in a row)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import DEFAULT_GS
from casae.inspection.segmentation import threshold
from casae.labelled.images import LabelledImage
from casae.metrics import Counts
from casae.recipes import SegmenterSettings
from casae.reproduction.baselines import kittler, otsu
from casae.reproduction.charts import bars, mosaic, painted
from casae.reproduction.experiment import Experiment, Row, mean_and_spread, seeds_of, too_short
from casae.reproduction.segmenters import KINDS, Kind, Parts, learned_row, predictor, train_kind

THRESHOLDS = {"otsu": otsu, "kittler": kittler}
TITLES = {"otsu": "Otsu", "kittler": "Kittler (minimum error)"} | {key: kind.title for key, kind in KINDS.items()}
PAPERS_VIEWS = 30 * 3000 + 20 * 3000  # section 4.2: epochs of network 1 and 2
FIGURE_ROWS = 6  # images, as in the paper


def table3(experiment: Experiment, parts: Parts, settings: SegmenterSettings, views: int, seeds: int) -> None:
    """Every row for every seed; writes table3.md, table3.json and table3.png."""
    experiment.claim()
    rows = [experiment.row(key, 0, lambda _, key=key: _classic_row(key, parts.judged)) for key in THRESHOLDS]  # type: ignore[misc]
    total = seeds * len(KINDS)
    for index in range(total):
        seed, (key, kind) = index // len(KINDS), list(KINDS.items())[index % len(KINDS)]
        experiment.reporter.overall(index, total, f"{kind.title}, seed {seed}")

        def work(folder: Path, kind: Kind = kind, seed: int = seed) -> Row:
            return learned_row(experiment, kind, parts, settings, views, seed, folder)

        rows.append(experiment.row(key, seed, work))
    experiment.reporter.overall(total, total, "done")
    _publish(experiment, rows, settings, views, parts)


def figure6(experiment: Experiment, parts: Parts, settings: SegmenterSettings, views: int) -> Path:
    """Image, Kittler, Otsu, FCN and CASAE of six test images in rows, defects green; returns figure6.png."""
    experiment.claim()
    chosen = [parts.judged[i] for i in np.linspace(0, len(parts.judged) - 1, FIGURE_ROWS).round().astype(int)]
    columns: dict[str, Sequence[NDArray[np.bool_]]] = {
        "Kittler": [kittler(image.gray) for image in chosen],
        "Otsu": [otsu(image.gray) for image in chosen],
    }
    for key, title in (("fcn", "FCN"), ("casae", "CASAE")):
        folder = experiment.rows / f"{key}-0"
        casae = train_kind(experiment, KINDS[key], parts, settings, views, 0, folder)
        predict = predictor(casae if KINDS[key].cascade else casae.first, parts.size)
        columns[title] = [threshold(predict(image.gray), DEFAULT_GS) for image in chosen]
    pictures = [
        [
            painted(image.gray, np.zeros(image.gray.shape, np.bool_)),
            *(painted(image.gray, c[i]) for c in columns.values()),
        ]
        for i, image in enumerate(chosen)
    ]
    return experiment.picture(mosaic(pictures, ["image", *columns]), "figure6")


def _classic_row(key: str, images: Sequence[LabelledImage]) -> Row:
    method = THRESHOLDS[key]
    counts = sum((Counts.of(method(image.gray), image.label > 0) for image in images), Counts(0, 0, 0, 0))
    return {"iou": counts.iou, "precision": counts.precision, "recall": counts.recall}


def _publish(
    experiment: Experiment, rows: Sequence[Row], settings: SegmenterSettings, views: int, parts: Parts
) -> None:
    headings = ["IoU, Gs 100", "IoU, best Gs on validation", "best Gs", "its network 1 alone", "published", "minutes"]
    table = [["method", *headings]]
    chart: dict[str, list[float]] = {}
    for key, title in TITLES.items():
        of_key = [row for row in rows if row["row"] == key]
        chart[title] = [row["iou"] for row in of_key]
        cells = [title, mean_and_spread(chart[title])]
        if key in KINDS:
            published = KINDS[key].published
            gs = ", ".join(str(row["gs"]) for row in of_key)
            minutes = sum(row["seconds"] for row in of_key) / len(of_key) / 60
            best = mean_and_spread([row["iou_best_gs"] for row in of_key])
            alone = mean_and_spread([row["iou_network_1"] for row in of_key]) if KINDS[key].cascade else "-"
            cells += [best, gs, alone, f"{published / 100:.4f}" if published else "-", f"{minutes:.1f}"]
        else:
            cells += ["-", "-", "-", "-", "-"]
        table.append(cells)
    size = parts.size
    notes = [
        *too_short(views, PAPERS_VIEWS, "views"),
        f"{len(parts.learned)} images learned from, {len(parts.validation)} to choose weights and Gs by, "
        f"{len(parts.judged)} judged. Every network: width {settings.width}, input {size.width} x {size.height} px, "
        f"patch {settings.patch} (the FCN sees single pixels), {views} augmented views, of which a cascade gives 60 % "
        f"to network 1, loss {settings.loss}, {settings.optimiser}. Mean and standard deviation over seeds "
        f"{seeds_of(rows)}; network 1 alone at Gs 100. The "
        "published values are of the paper's own images, which are not public.",
    ]
    experiment.publish("Table 3: IoU of the segmentation methods", table, rows, notes)
    values = {TITLES[key]: kind.published / 100 for key, kind in KINDS.items() if kind.published}
    experiment.picture(bars({"IoU, Gs 100": chart}, "IoU", values))
