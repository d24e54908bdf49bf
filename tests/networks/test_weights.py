import pytest
import torch

from casae.errors import UsageError
from casae.networks.cascade import CASAE, AutoEncoder
from casae.networks.weights import begin, write_weights
from casae.training.state import learned_by


def small() -> CASAE:
    return CASAE(AutoEncoder(4, norm=True), AutoEncoder(4, norm=True), residual=True)


def test_weights_come_back(tmp_path):
    first, second = small(), small()
    write_weights(first, tmp_path / "start.pt")
    begin(second, str(tmp_path / "start.pt"))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    assert all(value.dtype == torch.float32 for value in second.parameters())


def test_scratch_changes_nothing():
    casae = small()
    before = casae.first.head.weight.clone()
    begin(casae, "scratch")
    assert torch.equal(casae.first.head.weight, before)


def test_other_weights_are_refused(tmp_path):
    write_weights(CASAE.of_width(8), tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no weights")
    for name, rule in (("other", "another network"), ("text", "no start weights"), ("missing", "no start weights")):
        with pytest.raises(UsageError, match=rule):
            begin(small(), str(tmp_path / f"{name}.pt"))


def test_a_file_named_like_start_weights_is_no_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("scratch", "imagenet"):
        (tmp_path / f"{name}.learned").write_bytes(bytes(128))
        assert not len(learned_by(name))
