import pytest
import torch

from casae.networks.fcn import FCN8
from casae.recipes import PRESETS
from casae.training.segmentation import build


def test_the_output_has_the_size_of_the_input_at_any_multiple_of_32():
    network = FCN8(4, norm=True, standardise=True).eval()
    assert network(torch.rand(2, 1, 64, 96)).shape == (2, 2, 64, 96)
    with pytest.raises(ValueError, match="64 x 96 works"):
        network(torch.rand(1, 1, 60, 96))


def test_parameters_of_vgg16_with_its_convolutional_layers_at_width_64():
    network = FCN8(64)
    convolutions = sum(w.numel() for w in network.blocks.parameters())
    assert convolutions == 14_714_688 - 2 * 64 * 9  # VGG16's, with one input map instead of three
    assert network.classifier[0].weight.shape == (4096, 512, 7, 7)
    assert network.classifier[3].weight.shape == (4096, 4096, 1, 1)


def test_all_three_depths_reach_the_output():
    network = FCN8(4)
    network(torch.rand(1, 1, 64, 64)).sum().backward()
    for score in (network.score_3, network.score_4, network.classifier[-1]):
        assert score.weight.grad is not None
        assert score.weight.grad.abs().sum() > 0


def test_settings_build_it_as_network_1():
    settings = PRESETS["scratch"].segmenter.model_copy(update={"encoder": "fcn8", "width": 4})
    assert isinstance(build(settings).first, FCN8)
