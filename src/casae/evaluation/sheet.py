"""Contact sheet of the worst cases: each image beside itself with found, wrongly found and missed pixels."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset, Sample
from casae.decoding import read_image
from casae.evaluation.scores import Evaluation, ImageScore
from casae.files import write_whole
from casae.image import encode, resize, scaled_shape
from casae.inspection.inspector import Inspector
from casae.inspection.overlay import FONT, to_rgb

CELL, COLUMNS, CASES, GAP, CAPTION = 246, 2, 12, 8, 22  # as wide as the training page
RIGHT, WRONG, MISSED = (0, 150, 60), (255, 210, 0), (120, 40, 255)  # also told apart by the colour-blind
INK, PAPER = (30, 40, 50), 255
LEGEND = "worst IoU first: image, then green found, yellow found wrongly, violet missed"


def write_sheet(file: Path, evaluation: Evaluation, inspector: Inspector, dataset: Dataset) -> None:
    """Write the sheet as PNG or JPEG.

    Raises:
        OutputError: the place cannot be written.
    """
    sheet = draw_sheet(evaluation, inspector, dataset)
    write_whole(file, encode(sheet, file.suffix if file.suffix in (".jpg", ".jpeg") else ".png"))


def draw_sheet(evaluation: Evaluation, inspector: Inspector, dataset: Dataset) -> NDArray[np.uint8]:
    """The images with the lowest IoU, worst first: (h, w, 3) uint8 RGB, `COLUMNS` in a row, each two pictures wide."""
    worst = sorted(evaluation.images, key=lambda score: (score.pixels.iou, -score.pixels.fp - score.pixels.fn))[:CASES]
    samples = {sample.name: sample for sample in dataset.samples}
    cells = [_cell(score, samples[score.name], inspector) for score in worst]
    rows = -(-len(cells) // COLUMNS)
    height, width = max(cell.shape[0] for cell in cells), cells[0].shape[1]
    sheet = np.full((rows * (height + GAP) + GAP + CAPTION, COLUMNS * (width + GAP) + GAP, 3), PAPER, np.uint8)
    _caption(sheet, LEGEND, (GAP, CAPTION - 6))
    for index, cell in enumerate(cells):
        row, column = divmod(index, COLUMNS)
        top, left = CAPTION + GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + cell.shape[0], left : left + width] = cell
    return sheet


def _cell(score: ImageScore, sample: Sample, inspector: Inspector) -> NDArray[np.uint8]:
    image = read_image(sample.image)
    truth = sample.draw(image.shape, len(inspector.manifest.classes)) > 0
    found = inspector.find(inspector.probability(image)).mask
    picture = to_rgb(inspector.in_full_scale(image))
    marked = picture.copy()
    for pixels, colour in ((found & truth, RIGHT), (found & ~truth, WRONG), (truth & ~found, MISSED)):
        marked[pixels] = (0.4 * marked[pixels] + 0.6 * np.array(colour)).astype(np.uint8)
    height, width = scaled_shape(picture.shape, CELL / max(picture.shape[:2]))
    cell = np.full((height + CAPTION, 2 * CELL + 2, 3), PAPER, np.uint8)
    for left, part in ((0, picture), (CELL + 2, marked)):
        cell[:height, left : left + width] = resize(part, height, width)
    _caption(cell, f"IoU {score.pixels.iou:.2f}  {sample.name}", (2, height + CAPTION - 7))
    return cell


def _caption(picture: NDArray[np.uint8], text: str, place: tuple[int, int]) -> None:
    cv2.putText(picture, text, place, FONT, 0.45, INK, 1, cv2.LINE_AA)
