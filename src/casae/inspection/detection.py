"""From P(defect) to the regions that are reported: two thresholds and a smallest area."""

import numpy as np
from numpy.typing import NDArray

from casae.config import InspectionSettings
from casae.inspection import segmentation
from casae.inspection.regions import Region, find_regions
from casae.models.bundle import Manifest


def reported(
    probability: NDArray[np.float32], gs: float, core_gs: float, min_area_px: int, roi: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], list[Region]]:
    """Mask (H, W) of the regions that are large enough and sure enough to report, and those regions.

    Two thresholds, hysteresis thresholding (Canny 1986): regions end where `gs` says, and one is reported if somewhere
    in it `core_gs` says defect too.
    """
    defective = segmentation.threshold(probability, gs)
    if roi is not None:  # where nothing was looked for, P is 0, which Gs 255 takes too
        defective &= roi
    regions = find_regions(defective, min_area_px)
    if core_gs < gs:
        regions = [region for region in regions if _has_core(probability, region, core_gs)]
    mask = np.zeros(probability.shape, np.bool_)
    for region in regions:
        mask[region.at] = True
    return mask, regions


def _has_core(probability: NDArray[np.float32], region: Region, core_gs: float) -> bool:
    return bool(segmentation.threshold(probability[region.at], core_gs).any())


def thresholds(manifest: Manifest, settings: InspectionSettings) -> tuple[float, float]:
    """Gs and core Gs in force: the model's, where the settings name none."""
    if settings.gs is None:
        gs, core = manifest.gs, manifest.core_gs if settings.core_gs is None else settings.core_gs
    else:
        gs, core = settings.gs, settings.core_gs
    return gs, gs if core is None else min(core, gs)
