import torch
from torch import nn

from casae.networks.cascade import CASAE, AutoEncoder
from casae.networks.efficientnet import SKIP_FEATURES, LiteAutoEncoder, LiteEncoder
from casae.networks.weights import begin


def test_parameters_and_shapes_of_efficientnet():
    encoder = LiteEncoder().eval()
    depthwise = [
        layer.kernel_size[0] for layer in encoder.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1
    ]
    assert depthwise == [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    classifier = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    colours = 2 * 32 * 3 * 3  # two of three kernels of the first layer
    assert sum(weight.numel() for weight in encoder.parameters()) == 4_652_008 - classifier - colours  # as published
    maps = encoder(torch.rand(1, 1, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (features, 64 >> level, 96 >> level) for level, features in enumerate(SKIP_FEATURES, start=1)
    ]


def cascade() -> CASAE:
    return CASAE(LiteAutoEncoder(), AutoEncoder(4, patch=2, norm=True), residual=True)


def test_the_shipped_weights_fit_standardised_images():
    """Their statistics were learned elsewhere: on an image of mean 0 and deviation 1 no layer dies or runs away."""
    casae = cascade()
    begin(casae, "imagenet")
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 1, 32, 32), scale_factor=4, mode="bilinear")
    with torch.inference_mode():
        maps = casae.first.encoder.eval()(smooth / smooth.std())
    assert all(0.2 < float(m.std()) < 20 for m in maps)
    assert casae.first.encoder.stem[1].running_mean.abs().max() > 0.01


def test_what_start_weights_know_is_kept():
    casae = cascade()
    begin(casae, "imagenet")
    encoder = casae.first.encoder
    casae.train()
    assert not any(layer.training for layer in encoder.modules())
    assert casae.first.fine.training
    learning = {name.split(".")[1] for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert learning == {str(index) for index in range(3, 16)}


def test_a_fresh_encoder_learns_everything():
    casae = cascade()
    begin(casae, "scratch")
    casae.train()
    assert all(layer.training for layer in casae.modules())
    assert all(weight.requires_grad for weight in casae.parameters())


def test_it_can_draw_a_map_for_each_of_many_classes():
    assert LiteAutoEncoder(classes=4).eval()(torch.rand(1, 1, 64, 32)).shape == (1, 4, 64, 32)
