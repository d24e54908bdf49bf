"""From P(defect) to the regions that are reported: two thresholds and a smallest area."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from casae.config import InspectionSettings
from casae.inspection import segmentation
from casae.inspection.regions import Components, Region
from casae.models.bundle import Manifest


class Found(NamedTuple):
    """What is found in an image.

    Attributes:
        mask: pixels of the regions, bool (H, W).
        regions: that are large enough and sure enough to report, largest first.
        specks: number of those that are sure enough, but smaller.
    """

    mask: NDArray[np.bool_]
    regions: list[Region]
    specks: int


def reported(
    probability: NDArray[np.float32], gs: float, core_gs: float, min_area_px: int, roi: NDArray[np.bool_] | None = None
) -> Found:
    """The regions of an image (H, W) to report.

    Two thresholds, hysteresis thresholding (Canny 1986): regions end where `gs` says, and one is reported if somewhere
    in it `core_gs` says defect too.
    """
    defective = segmentation.threshold(probability, gs)
    if roi is not None:  # where nothing was looked for, P is 0, which Gs 255 takes too
        defective &= roi
    components = Components(defective)
    sure = components.areas > 0
    if core_gs < gs:
        sure &= components.holding(segmentation.threshold(probability, core_gs))
    large = components.areas >= min_area_px
    regions = components.regions(sure & large)
    mask = np.zeros(probability.shape, np.bool_)
    for region in regions:
        mask[region.at] = True
    return Found(mask, regions, int((sure & ~large).sum()))


def thresholds(manifest: Manifest, settings: InspectionSettings) -> tuple[float, float]:
    """Gs and core Gs in force: the model's, where the settings name none."""
    if settings.gs is None:
        gs, core = manifest.gs, manifest.core_gs if settings.core_gs is None else settings.core_gs
    else:
        gs, core = settings.gs, settings.core_gs
    return gs, gs if core is None else min(core, gs)
