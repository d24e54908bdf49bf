import shutil

import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError, UsageError
from casae.training.state import IDENTITY, check_folds, claim, folder_of, started_from


def test_what_would_end_a_fold_is_said_before_the_first_training(components, tmp_path):
    files = [tmp_path / "part-fold-1.casae", tmp_path / "part-fold-2.casae"]
    part = open_dataset(f"folder:{components}").split("all")
    check_folds(part, files, resume=False)
    folder_of(files[1]).mkdir()
    (folder_of(files[1]) / IDENTITY).touch()
    with pytest.raises(UsageError, match="part-fold-2-training: holds an interrupted training; add --resume"):
        check_folds(part, files, resume=False)
    check_folds(part, files, resume=True)
    twice = tmp_path / "twice"
    shutil.copytree(components, twice)
    for kind in ("images", "masks"):
        shutil.copy(twice / kind / "component-0000.png", twice / kind / "again.png")
    with pytest.raises(DatasetError, match=r"component-0000\.png: is again\.png again; keep one"):
        check_folds(open_dataset(f"folder:{twice}").split("all"), files, resume=True)


def test_a_folder_tells_what_its_training_started_from(tmp_path):
    assert started_from(tmp_path / "part-training") is None
    claim(tmp_path / "part-training", {"settings": {"start": "w1/weights.pt"}})
    assert started_from(tmp_path / "part-training") == "w1/weights.pt"
