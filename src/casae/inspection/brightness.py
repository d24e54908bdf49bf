"""How bright a picture is, beside those that a model has learned: camera depths, and pictures that nobody may judge.

A file of 16 bits does not say how many of them the camera fills. What the model has learned tells: the depth of its own
16-bit pictures; where it has learned from 8 bits alone, that depth which makes the picture about as bright as those.
"""

import math

import numpy as np

from casae.image import Image, brightened, gray_levels, to_gray
from casae.inspection.verdict import Verdict
from casae.models.bundle import Manifest

DEPTHS = range(8, 17)  # bits of a camera
HOT = 1e-4  # of the pixels of an image may be brighter than a camera's white
SAMPLED_PX = 1_000_000  # that tell the brightest value
FACTOR = 2.0  # times darker than the darkest learned picture, or as much nearer to white than the brightest


def full_scale_of(image: Image, manifest: Manifest) -> float:
    """The value that counts as white, in units of the largest of the image's dtype; 1 where it is that itself."""
    if image.dtype != np.uint16:
        return 1.0
    if manifest.white is not None:
        return manifest.white
    known = manifest.brightness
    if known is None:
        return 1.0
    gray = to_gray(image)
    step = max(1, math.isqrt(gray.size // SAMPLED_PX))
    brightest = int(np.quantile(gray[::step, ::step], 1 - HOT, method="lower"))
    mean = gray_levels(gray)[0]
    wanted = math.sqrt(known.darkest * known.brightest)
    possible = [2.0 ** (depth - 16) for depth in DEPTHS if brightest < 2**depth]
    return min(possible, key=lambda white: abs(math.log(max(mean, 1e-6) / white / wanted)))


def has_colour(image: Image) -> bool:
    """Whether a picture shows colours: not one that is gray, also where that is kept as RGB."""
    if image.ndim == 2:
        return False
    step = max(1, math.isqrt(image.size // SAMPLED_PX))
    return any(bool((part[..., :1] != part[..., 1:]).any()) for part in (image[::step, ::step], image))


def in_full_scale(image: Image, manifest: Manifest) -> tuple[Image, float]:
    """The image as the networks see it, and its `full_scale_of`."""
    white = full_scale_of(image, manifest)
    return brightened(image, white), white


def reviewed(verdict: Verdict, brightness: float, manifest: Manifest, image: Image | None = None) -> Verdict:
    """The verdict, or REVIEW instead of OK where a picture of this mean gray is unlike what was learned.

    That is far darker or brighter, or an image without colour where the networks look at colours.
    """
    if verdict.decision != "OK" and verdict.kind != "novelty":  # which says less than why it is unlike
        return verdict
    if manifest.input.channels > 1 and (image is None or not has_colour(image)):
        return Verdict("REVIEW", "no colour")
    known = manifest.brightness
    if known is None:
        return verdict
    mean = round(brightness, 4)
    lowest = round(known.darkest / FACTOR, 4)
    highest = round(1 - (1 - known.brightest) / FACTOR, 4)
    if lowest <= mean <= highest:
        return verdict
    return Verdict("REVIEW", "brightness", value=mean, limit=lowest if mean < lowest else highest)
