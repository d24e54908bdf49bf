import pytest
import torch
from torch import nn

from casae.networks.cascade import CASAE, AutoEncoder, probability_of
from casae.networks.efficientnet import LiteAutoEncoder
from casae.networks.fcn import FCN8
from casae.networks.fuse import simplified

NETWORKS = {
    "fast": lambda: CASAE(LiteAutoEncoder(), AutoEncoder(4, patch=2, norm=True), residual=True),
    "patch 4": lambda: CASAE(LiteAutoEncoder(patch=4), AutoEncoder(4, patch=4), residual=True),
    "scratch": lambda: CASAE(AutoEncoder(4, patch=2, norm=True), AutoEncoder(4, patch=2, norm=True), residual=True),
    "paper": lambda: CASAE.of_width(4),
    "sees the image": lambda: CASAE(
        AutoEncoder(4), AutoEncoder(4, inputs=2, max_width=8, last_convs=2), sees_image=True
    ),
    "fcn": lambda: CASAE(FCN8(4), AutoEncoder(4), residual=True),
}


def trained(name: str) -> CASAE:
    """A cascade none of whose weights and statistics are those of a fresh one."""
    torch.manual_seed(0)
    casae = NETWORKS[name]()
    for layer in casae.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.weight, layer.bias):
                values.data.normal_(0.5, 0.2)
            layer.running_var.uniform_(0.5, 2)
    nn.init.normal_(casae.second.head.weight, std=0.1)
    return casae.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_simplified_cascade_computes_the_same(name):
    casae, image = trained(name), torch.rand(2, 1, 64, 128)
    quick = simplified(casae)
    with torch.inference_mode():
        logits, evidence = casae(image), quick(image)
    assert logits.shape[1] == 2
    assert float(logits.std()) > 0.01
    assert torch.allclose(probability_of(evidence), probability_of(logits), atol=1e-6)


def test_the_trained_cascade_stays_as_it_was():
    casae = trained("fast")
    before = {name: values.clone() for name, values in casae.state_dict().items()}
    simplified(casae)
    after = casae.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_no_map_is_enlarged_before_it_is_convolved():
    quick = simplified(trained("fast"))
    shapes = [tuple(layer.kernel_size) for layer in quick.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert shapes == [(4, 4)] * 7
    assert quick.first.head.out_channels == 4
