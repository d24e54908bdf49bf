"""Several processes that train one network, begun as `torchrun` begins them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from casae.errors import UsageError
from casae.labelled.holdout import Fold
from casae.training import crew
from casae.training.views import EpochSampler

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from torch.utils.data import Dataset
from casae.training import crew, loop
from casae.training.budget import Budget
from casae.training.progress import Reporter
from casae.training.views import loader

crew.has_bf16 = lambda device: False  # whose digits hide what is shared

class Views(Dataset):
    seed = 0
    def __len__(self): return 12
    def __getitem__(self, position):
        rng = torch.Generator().manual_seed(position)
        x = torch.randn(3, generator=rng)
        return x, (x.sum() > 0).float()

class Line(loop.Task):
    def __init__(self):
        torch.manual_seed(7 + crew.rank())  # processes begin unlike, and are brought together
        super().__init__(torch.nn.Linear(3, 1), Budget(steps=20), 0.05, True)
    def loss(self, batch):
        return torch.nn.functional.binary_cross_entropy_with_logits(self.trained(batch[0])[:, 0], batch[1])
    def score(self):
        return 1.0 + self.budget.step
    def optimiser(self):
        return torch.optim.AdamW(self.trained.parameters(), 0.05)

folder = Path(sys.argv[1])
task = Line()
score = loop.fit(task, loader(Views(), 4), folder / "stage", Reporter(), device="cpu")
told = {"score": score, "weights": task.trained.weight[0].tolist()}
(folder / f"said-{crew.count()}-{crew.rank()}.json").write_text(json.dumps(told))
"""


def run(folder: Path, processes: int) -> list[dict]:
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    together = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-addr", "127.0.0.1"]
    command = [sys.executable, *(together if processes > 1 else []), str(folder / "script.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / f"said-{processes}-{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    (alone,) = run(tmp_path / "one", 1)
    first, second = run(tmp_path / "two", 2)
    assert first["weights"] == second["weights"]
    assert first["score"] == second["score"] == alone["score"]
    assert first["weights"] == pytest.approx(alone["weights"], abs=1e-5)


def test_processes_share_the_views_of_an_epoch():
    alone = EpochSampler(8)
    shares = [EpochSampler(8, 2, place) for place in range(2)]
    for _ in range(3):
        first, second = map(list, shares)
        assert sorted(first + second) == list(alone)
        assert len(first) == len(second)
    uneven = EpochSampler(7, 2, 1)
    assert (len(uneven), list(uneven), list(uneven)) == (3, [1, 3, 5], [8, 10, 12])


def test_batches_that_cannot_be_shared_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="3 processes cannot share batches of 8 images"):
        crew.share_of(8)
    assert crew.share_of(6) == 2


@pytest.mark.slow
def test_a_model_and_its_folds_are_trained_at_once(components, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    out = tmp_path / "part.casae"
    command = ["train", f"folder:{components}", "--out", out, "--epochs-1", "1", "--epochs-2", "1"]
    more = ["--size", "64", "--set", "classifier.iterations=20", "--folds", "2", "--ray", "local"]
    done = subprocess.run(
        [sys.executable, "-m", "casae", *map(str, command), *more], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 folds" in done.stdout
    assert [(tmp_path / f"part-fold-{fold.index + 1}.casae").is_file() for fold in (Fold(0, 2), Fold(1, 2))] == [
        True
    ] * 2
    assert out.is_file()
