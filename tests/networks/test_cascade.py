import pytest
import torch
from torch import nn

from casae.networks.cascade import CASAE, AutoEncoder, probability_of
from casae.networks.compact_cnn import CompactCNN
from casae.networks.efficientnet import LiteAutoEncoder
from casae.networks.registry import FACTORIES, _broken_rule
from casae.recipes import settings_for


def conv(before: int, after: int, side: int = 3) -> int:
    """Weights and biases of one convolution."""
    return before * after * side * side + after


# Figure 3, worked out by hand: two convolutions a level, then 2 x 2 up-sampling, concatenation, convolutions, 1 x 1.
ENCODER = (
    conv(1, 64) + conv(64, 64) + conv(64, 128) + conv(128, 128) + conv(128, 256) + conv(256, 256)
    + conv(256, 512) + conv(512, 512) + conv(512, 1024) + conv(1024, 1024)
)  # fmt: skip
UP = conv(1024, 512, 2) + conv(512, 256, 2) + conv(256, 128, 2) + conv(128, 64, 2)
DECODER = (
    conv(1024, 512) + conv(512, 512) + conv(512, 256) + conv(256, 256) + conv(256, 128) + conv(128, 128) + conv(128, 64)
)
HEAD = conv(64, 2, 1)
# Table 2
CNN = (
    conv(1, 96, 11) + conv(96, 128, 5) + conv(128, 256) + conv(256, 256) + conv(256, 128)
    + 2 * 96 + 2 * 128  # batch normalisation
    + 128 * 5 * 5 * 1000 + 1000 + 1000 * 256 + 256 + 256 * 3 + 3
)  # fmt: skip


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network: nn.Module, image: torch.Tensor, *kinds: type) -> list[tuple[int, ...]]:
    """Output shapes, without the batch, of all layers of some kinds in the order of the calculation."""
    seen: list[tuple[int, ...]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, given, result: seen.append(tuple(result.shape[1:])))
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    with torch.inference_mode():
        network(image)
    for hook in hooks:
        hook.remove()
    return seen


def test_parameters_of_the_paper():
    assert ENCODER + UP + DECODER + HEAD == 30_993_730
    assert count(AutoEncoder()) == ENCODER + UP + DECODER + HEAD
    assert count(CASAE.of_width(64)) == 2 * count(AutoEncoder())
    assert count(CompactCNN(3)) == CNN
    assert count(AutoEncoder(last_convs=2)) == count(AutoEncoder()) + conv(64, 64)


def test_every_shape_of_figure_3():
    with torch.device("meta"):
        network = AutoEncoder(64)
        seen = shapes(network, torch.zeros(1, 1, 512, 512), nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)
    assert seen == [
        (64, 512, 512), (64, 512, 512), (64, 256, 256),
        (128, 256, 256), (128, 256, 256), (128, 128, 128),
        (256, 128, 128), (256, 128, 128), (256, 64, 64),
        (512, 64, 64), (512, 64, 64), (512, 32, 32),
        (1024, 32, 32), (1024, 32, 32),
        (512, 64, 64), (512, 64, 64), (512, 64, 64),
        (256, 128, 128), (256, 128, 128), (256, 128, 128),
        (128, 256, 256), (128, 256, 256), (128, 256, 256),
        (64, 512, 512), (64, 512, 512),
        (2, 512, 512),
    ]  # fmt: skip


def test_concatenation_doubles_the_features():
    decoder = AutoEncoder(64).decoder
    assert [level[0].in_channels for level in decoder] == [1024, 512, 256, 128]


def test_atrous_factors_of_table_1():
    encoder = AutoEncoder(4).encoder
    layers = [layer for level in encoder for layer in level if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation[0] for layer in layers] == [1, 1, 2, 1, 2, 1, 4, 1, 4, 1]
    assert all(layer.padding == layer.dilation for layer in layers)
    plain = AutoEncoder(4, atrous=False).encoder
    assert {layer.dilation for level in plain for layer in level if isinstance(layer, nn.Conv2d)} == {(1, 1)}


def test_every_shape_of_table_2():
    seen = shapes(CompactCNN(3).eval(), torch.zeros(1, 1, 227, 227), nn.Conv2d, nn.MaxPool2d, nn.Linear)
    assert seen == [
        (96, 55, 55), (96, 27, 27), (128, 23, 23), (128, 11, 11),
        (256, 11, 11), (256, 11, 11), (128, 11, 11), (128, 5, 5),
        (1000,), (256,), (3,),
    ]  # fmt: skip
    normalised = [layer.num_features for layer in CompactCNN(3).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert normalised == [96, 128]


VARIANTS = [
    {},
    {"atrous": False},
    {"norm": True},
    {"patch": 2},
    {"patch": 2, "norm": True, "standardise": True, "max_width": 16},
    {"last_convs": 2},
]


def networks():
    for options in VARIANTS:
        name = " ".join(options)
        yield pytest.param(lambda options=options: AutoEncoder(4, **options), id=f"AE {name}")
        both = {name: value for name, value in options.items() if name != "standardise"}
        yield pytest.param(
            lambda one=options, two=both: CASAE(AutoEncoder(4, **one), AutoEncoder(4, **two)), id=f"CASAE {name}"
        )
    yield pytest.param(LiteAutoEncoder, id="lite")
    yield pytest.param(lambda: LiteAutoEncoder(patch=4), id="lite patch")
    yield pytest.param(lambda: CASAE(LiteAutoEncoder(), AutoEncoder(4, patch=2), residual=True), id="CASAE lite")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FACTORIES)
def test_the_contract_of_every_network_that_is_named(name, channels):
    torch.manual_seed(0)
    settings = settings_for("scratch").segmenter.model_copy(update={"encoder": name, "channels": channels, "width": 4})
    network = FACTORIES[name](settings, True, 3).eval()
    assert _broken_rule(network, settings, 3) == ""
    stride = network.stride
    with pytest.raises(ValueError, match=f"multiples of {stride}"):
        network(torch.rand(1, channels, stride + 1, stride))


@pytest.mark.parametrize("build", list(networks()))
def test_the_contract_of_every_network(build):
    torch.manual_seed(0)
    built = build().eval()
    image = torch.rand(2, 1, built.stride * 2, built.stride * 3)
    logits = built(image)
    assert logits.shape == (2, 2, *image.shape[2:])
    assert torch.isfinite(logits).all()
    assert torch.allclose(built(image[:1]), logits[:1], atol=1e-5)
    with pytest.raises(ValueError, match=rf"multiples of {built.stride}; {built.stride} x {built.stride} works"):
        built(torch.rand(1, 1, built.stride - 1, built.stride))


def test_the_second_network_sees_the_mask_alone():
    torch.manual_seed(0)
    casae = CASAE.of_width(4).eval()
    seen = []
    casae.second.register_forward_hook(lambda layer, given, result: seen.append(given[0]))
    image = torch.rand(1, 1, 32, 32)
    casae(image)
    assert torch.equal(seen[0], probability_of(casae.first(image)))


def test_a_residual_cascade_starts_where_the_first_network_ended():
    torch.manual_seed(0)
    casae = CASAE(AutoEncoder(4), AutoEncoder(4), residual=True).eval()
    image = torch.rand(1, 1, 32, 32)
    assert torch.equal(casae(image), casae.first(image))


def test_standardising_takes_the_lamp_out():
    torch.manual_seed(0)
    network = AutoEncoder(4, standardise=True).eval()
    image = torch.rand(1, 1, 32, 32)
    assert torch.allclose(network(image), network(image * 0.5 + 0.2), atol=1e-2)
    assert torch.isfinite(network(torch.full_like(image, 0.5))).all()


def test_probability_of_defect_is_the_softmax():
    logits = torch.randn(2, 2, 3, 3)
    assert torch.allclose(probability_of(logits)[:, 0], logits.softmax(1)[:, 1], atol=1e-6)


def test_a_second_network_may_see_the_image_too():
    torch.manual_seed(0)
    casae = CASAE(AutoEncoder(4), AutoEncoder(4, inputs=2), sees_image=True).eval()
    logits, image = torch.randn(1, 2, 64, 64), torch.rand(1, 1, 64, 64)
    assert not torch.equal(casae.refine(logits, image), casae.refine(logits, image + 0.5))


def test_neither_network_sees_the_lamp_where_the_first_standardises():
    torch.manual_seed(0)
    first = AutoEncoder(4, standardise=True)
    casae = CASAE(first, AutoEncoder(4, inputs=2), sees_image=True).eval()
    logits, image = torch.randn(1, 2, 64, 64), torch.rand(1, 1, 64, 64)
    assert torch.allclose(casae.refine(logits, image), casae.refine(logits, 0.5 * image + 0.2), atol=1e-2)
