import csv
import math
import re
from dataclasses import replace

import cv2
import numpy as np

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Sample
from casae.evaluation.charts import line_chart
from casae.evaluation.looks import Looking
from casae.evaluation.page import Training, learning_curves, most_doubtful, rejected_good, write_page
from casae.evaluation.scores import evaluate
from casae.evaluation.thresholds import Cost, choose, cost_curve
from conftest import two_classes


def test_a_chart_shows_its_lines_and_escapes_names():
    svg = line_chart({"a < b": [(0, 0), (10, 2)], "flat": [(0, 1), (10, 1)]}, "epoch", mark=5)
    assert svg.count("<polyline") == 2
    assert "a &lt; b" in svg
    assert 'class="mark"' in svg
    first = re.search(r'points="([^"]+)"', svg)[1]
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in first.split())
    assert x1 > x0
    assert y1 < y0  # upwards on the page
    assert "nothing" in line_chart({}, "epoch")


def test_the_page_says_how_good_the_model_is(components, dark_model, tmp_path):
    dataset = open_dataset(f"folder:{two_classes(components, tmp_path / 'data')}").split("test")
    (tmp_path / "network-1").mkdir()
    with (tmp_path / "network-1" / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "loss", "val_iou"), (0, 0.9, 0.2), (1, 0.5, ""), (2, 0.4, 0.6)])
    inspector = Inspector(dark_model)
    costs = cost_curve(inspector, dataset)
    chosen, why = choose(costs, None)
    result = evaluate(inspector, dataset)
    looks = [Looking(1, 0.0, 0.0, 20, 0.53), Looking(2, 0.012, 0.004, 41, 0.31), Looking(4, 0.01, math.inf, 80, 0.3)]
    training = Training(inspector, dataset, result, costs, chosen, why, tmp_path, 1.5, looks=looks, looks_why="2, so")
    write_page(tmp_path / "part.html", training, dataset.samples[:2])
    html = (tmp_path / "part.html").read_text()
    assert f"{result.scores()['iou'].value:.3f}" in html
    assert "in 1.5 minutes" in html
    assert "It takes 2, so." in html
    assert all(f'<td class="n">{text}</td>' in html for text in ("+1.2 ± 0.4", "+1.0", "0.31", "41"))
    assert "What to label next" in html
    assert html.count("<svg viewBox") == 3  # loss and score on axes of their own, thresholds
    assert "Is it good enough?" in html
    assert f"{chosen.passed} of {chosen.defective}" in html
    assert html.count("<figure>") == 2
    assert "http" not in html.replace("http://www.w3.org", "")


def test_a_stage_without_log_has_no_curve(tmp_path):
    assert learning_curves(tmp_path) == []


def test_the_image_at_the_threshold_is_the_most_doubtful(dark_model, tmp_path):
    for name, level in (("sure", 10), ("unsure", 76)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, 64), level, np.uint8))
    (tmp_path / "broken.png").write_text("no image")
    samples = [Sample(name, tmp_path / f"{name}.png") for name in ("sure", "broken", "unsure")]
    ranked, looked_at = most_doubtful(Inspector(dark_model), samples)
    assert looked_at == 2
    assert [each.name for each in ranked] == ["unsure", "sure"]
    assert ranked[0].spots > 0.7 > 0.1 > ranked[1].spots


def test_the_outline_of_a_large_sure_defect_is_no_doubt(dark_model, tmp_path):
    surface = np.full((64, 64), 200, np.uint8)
    soft, faint = surface.copy(), surface.copy()
    cv2.circle(soft, (32, 32), 20, 10, -1)
    cv2.circle(faint, (32, 32), 4, 76, -1)
    for name, image in (("soft", cv2.GaussianBlur(soft, (0, 0), 4)), ("faint", faint)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    samples = [Sample(name, tmp_path / f"{name}.png") for name in ("soft", "faint")]
    ranked, _ = most_doubtful(Inspector(dark_model), samples)
    assert [each.name for each in ranked] == ["faint", "soft"]
    framed = (ranked[0].thumbnail == (255, 210, 0)).all(-1)
    assert framed.any()
    assert not framed[28:37, 28:37].any()  # and not hidden


def test_what_the_held_out_images_chose_is_said(components, dark_model, tmp_path):
    part = open_dataset(f"folder:{two_classes(components, tmp_path / 'data')}").split("test")
    inspector = Inspector(dark_model)
    few = evaluate(inspector, part)
    many = replace(few, images=tuple(image for image in few.images if image.defective) * 8)

    def said(result, gs, folds, core=25.0, always=False):
        cost = Cost(gs, core)
        training = Training(inspector, part, result, [], cost, "", tmp_path, 1.0, folds, always_by_score=always)
        return training.chosen_by_them

    assert [said(few, 100.0, {}), said(few, 80.0, {}), said(few, 80.0, {"mean": {}})] == ["", "thresholds", ""]
    assert [said(many, 100.0, {}), said(many, 80.0, {})] == ["weights", "weights and thresholds"]
    assert said(few, 100.0, {}, core=100.0) == "thresholds"
    assert said(few, 100.0, {}, always=True) == "weights"


def test_a_single_epoch_is_a_dot_with_one_number_below():
    chart = line_chart({"loss": [(1, 0.5)]}, "epoch")
    assert chart.count("<circle") == 1
    assert chart.count('text-anchor="middle">1</text>') == 1
    assert "<circle" not in line_chart({"loss": [(1, 0.5), (2, 0.4)]}, "epoch")


def test_numbers_of_few_epochs_stand_below_their_points():
    svg = line_chart({"loss": [(1, 0.5), (2, 0.4), (3, 0.3)]}, "epoch")
    across = [point.split(",")[0] for point in re.search(r'points="([^"]+)"', svg)[1].split()]
    numbers = re.findall(r'<text x="([0-9.]+)" y="[0-9.]+" text-anchor="middle">([123])</text>', svg)
    assert numbers == [(x, str(epoch)) for epoch, x in enumerate(across, start=1)]


def test_good_parts_that_are_rejected_are_shown_the_surest_first(dark_model, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "good").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]')
    for name, level, wide in (("faint", 72, 20), ("dark", 10, 20), ("clean", 10, 0)):
        image = np.full((64, 64), 200, np.uint8)
        image[20:40, 20 : 20 + wide] = level
        cv2.imwrite(str(tmp_path / "good" / f"{name}.png"), image)
    cv2.imwrite(str(tmp_path / "images" / "bad.png"), np.full((64, 64), 20, np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "bad.png"), np.full((64, 64), 1, np.uint8))
    part = open_dataset(f"folder:{tmp_path}")
    inspector = Inspector(dark_model)
    shown = rejected_good(inspector, part, evaluate(inspector, part))
    assert [each.name.rsplit("/", 1)[-1] for each in shown] == ["dark", "faint"]
    red, blue = shown[0].thumbnail[..., 0].astype(int), shown[0].thumbnail[..., 2].astype(int)
    assert (red - blue).max() > 50  # framed
