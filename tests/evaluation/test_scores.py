import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.errors import DatasetError
from casae.evaluation.scores import evaluate
from casae.evaluation.sheet import write_sheet


@pytest.fixture
def folder(tmp_path, spotted):
    """One image: the bar is labelled 'glare', a bright area 'stain', the dark spot is no defect."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    label = np.zeros(spotted.shape, np.uint8)
    label[10:14, 30:50] = 2
    label[20:26, 40:60] = 1
    cv2.imwrite(str(tmp_path / "images" / "a.png"), spotted)
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), label)
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]')
    return tmp_path


def test_everything_is_counted(dark_model, folder):
    result = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))
    (score,) = result.images
    assert (score.pixels.tp, score.pixels.fp, score.pixels.fn) == (80, 36, 120)
    assert (len(score.true_regions), score.touched, score.found_regions, score.false_regions) == (2, 1, 2, 1)
    assert score.found_crops == ((1, 1),)
    assert sorted(score.true_crops) == [(0, 1), (1, 1)]
    scores = result.scores()
    assert list(scores) == [
        "iou",
        "mean_image_iou",
        "precision",
        "recall",
        "f1",
        "region_recall",
        "false_regions_per_image",
        "image_ap",
        "escaped_images",
        "rejected_good_images",
        "accuracy_true_crops",
        "accuracy_found_regions",
    ]
    assert scores["iou"].value == pytest.approx(80 / 236)
    assert scores["region_recall"].value == 0.5
    assert scores["false_regions_per_image"].value == 1
    assert scores["accuracy_true_crops"].value == 0.5
    assert scores["accuracy_found_regions"].value == 1
    assert scores["image_ap"].value is None  # no image without defect
    assert (scores["escaped_images"].value, scores["rejected_good_images"].value) == (0, None)
    assert result.confusion().tolist() == [[0, 1], [0, 1]]


def test_images_without_defect_count_for_the_image_score(dark_model, folder):
    for name, gray in (("clean", 200), ("dirty", 20)):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.full((64, 96), gray, np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), np.zeros((64, 96), np.uint8))
    result = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))
    a, clean, dirty = (score.confidence for score in result.images)
    assert clean < 0.5 < min(a, dirty)
    scores = result.scores()
    assert scores["image_ap"].value == 0.5  # as sure of the false alarm as of the defect
    assert (scores["escaped_images"].value, scores["rejected_good_images"].value) == (0, 0.5)


def test_where_nothing_is_found_no_score_is_perfect(dark_model, folder):
    cv2.imwrite(str(folder / "images" / "a.png"), np.full((48, 64), 200, np.uint8))
    cv2.imwrite(str(folder / "images" / "clean.png"), np.full((48, 64), 200, np.uint8))
    cv2.imwrite(str(folder / "masks" / "clean.png"), np.zeros((48, 64), np.uint8))
    scores = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}")).scores()
    assert scores["precision"].value is None
    assert [scores[name].value for name in ("iou", "mean_image_iou", "recall", "f1", "region_recall")] == [0] * 5


def test_without_a_defect_nothing_is_perfect_either(dark_model, folder):
    cv2.imwrite(str(folder / "masks" / "a.png"), np.zeros((48, 64), np.uint8))
    result = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))
    unknown = {name for name, score in result.scores().items() if score.value is None}
    assert {"iou", "mean_image_iou", "recall", "f1", "region_recall", "escaped_images"} <= unknown


def test_few_images_that_count_have_no_interval(dark_model, folder):
    for index in range(8):
        cv2.imwrite(str(folder / "images" / f"good{index}.png"), np.full((48, 64), 200, np.uint8))
        cv2.imwrite(str(folder / "masks" / f"good{index}.png"), np.zeros((48, 64), np.uint8))
    scores = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}")).scores()
    for name in ("iou", "recall", "f1", "region_recall"):
        assert scores[name].value is not None
        assert scores[name].low is None
    rejected, escaped = scores["rejected_good_images"], scores["escaped_images"]
    assert (rejected.counted, rejected.value, rejected.low) == ("0 of 8", 0, 0)
    assert rejected.high == pytest.approx(1 - 0.025 ** (1 / 8))  # exact: none of eight may still be three of ten
    assert escaped.total == 1
    assert escaped.high == pytest.approx(0.975)


def test_a_bad_file_is_reported_and_the_rest_judged(dark_model, folder):
    (folder / "images" / "b.png").write_text("no image")
    (folder / "masks" / "b.png").write_text("no mask")
    result = evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))
    assert len(result.images) == 1
    assert "b.png" in result.failures["b"]


def test_other_classes_and_missing_labels_are_explained(dark_model, folder):
    (folder / "dataset.toml").write_text('classes = ["rust", "dent"]')
    with pytest.raises(DatasetError, match="classes are rust, dent, the model's are stain, glare"):
        evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))
    (folder / "dataset.toml").write_text('classes = ["stain", "glare"]')
    (folder / "masks" / "a.png").unlink()
    with pytest.raises(DatasetError, match="no labelled image"):
        evaluate(Inspector(dark_model), open_dataset(f"folder:{folder}"))


def test_the_sheet_shows_right_wrong_and_missed(dark_model, folder, tmp_path):
    inspector, dataset = Inspector(dark_model), open_dataset(f"folder:{folder}")
    write_sheet(tmp_path / "out" / "sheet.png", evaluate(inspector, dataset), inspector, dataset)
    sheet = read_image(tmp_path / "out" / "sheet.png").astype(int)
    red, green, blue = (sheet[..., channel] for channel in range(3))
    assert ((green - red > 60) & (green - blue > 30)).sum() > 100  # found
    assert ((red - blue > 60) & (green - blue > 60)).sum() > 100  # found wrongly: yellow
    assert ((blue - green > 60) & (red - green > 30)).sum() > 100  # missed: violet
