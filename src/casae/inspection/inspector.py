"""The road of an image: probability -> mask -> regions -> classes -> measures -> verdict."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import DEFAULT_MODEL, InspectionSettings
from casae.errors import ImageError
from casae.image import Image, check_image, decode_image, to_gray
from casae.inspection import segmentation
from casae.inspection.bundle import Manifest, read_bundle
from casae.inspection.classification import classify
from casae.inspection.measurement import Measures, measure
from casae.inspection.regions import Region, find_regions
from casae.inspection.runtime import Network
from casae.inspection.verdict import AcceptanceRules, Verdict, judge


@dataclass(frozen=True, eq=False)
class Defect:
    """One defect of an image.

    Attributes:
        number: 1 is the largest.
        name: class.
        probability: of that class, by the compact CNN; 1 where the model knows a single class.
        region: pixels, contours and minimum enclosing rectangle.
        measures: sizes, position, contrast.
    """

    number: int
    name: str
    probability: float
    region: Region
    measures: Measures


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in one image.

    Attributes:
        source: path of the file; "array" for an array.
        sha256: of the file's bytes; of the array's bytes for an array.
        image: the picture itself, (H, W) or (H, W, 3) RGB.
        probability: P(defect), float32 (H, W).
        mask: defective pixels of the reported regions, bool (H, W).
        defects: largest first.
        verdict: whether the part passes.
        model: name of the model.
        model_sha256: of its file.
        gs: threshold that was applied.
    """

    source: str
    sha256: str
    image: Image
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    defects: tuple[Defect, ...]
    verdict: Verdict
    model: str
    model_sha256: str
    gs: float


class Inspector:
    """Inspects images with one model; reads it once.

    Args:
        model: a .casae file, or the name of a shipped model.
        settings: what may change between inspections; the defaults are the model's.
        rules: acceptance rules; by default no defect is accepted.

    Raises:
        BundleError: the model cannot be used.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        settings: InspectionSettings | None = None,
        rules: AcceptanceRules | None = None,
    ) -> None:
        bundle = read_bundle(model)
        self.manifest: Manifest = bundle.manifest
        self.model_sha256 = bundle.sha256
        self.settings = settings or InspectionSettings()
        self.rules = rules or AcceptanceRules()
        self.gs = self.manifest.gs if self.settings.gs is None else self.settings.gs
        threads = self.settings.threads
        self.segmenter: segmentation.Segmenter = Network(bundle.segmenter, f"{model}: segmenter", threads)
        self.classifier = Network(bundle.classifier, f"{model}: classifier", threads) if bundle.classifier else None

    def inspect(self, image: Image | str | Path) -> Inspection:
        """Inspect one image: an array (H, W) or (H, W, 3) RGB, or a file.

        Raises:
            ImageError: the file or array is no usable image.
        """
        source, sha256, image = _open(image)
        probability = self.probability(image)
        mask, regions = self.find(probability)
        names = self.name_regions(image, regions)
        gray, scale = to_gray(image), self.settings.mm_per_pixel
        measures = [measure(region, gray, mask, scale) for region in regions]
        found = zip(names, regions, measures, strict=True)
        defects = tuple(Defect(i, *name, region, sizes) for i, (name, region, sizes) in enumerate(found, start=1))
        verdict = judge([(d.name, d.probability, d.measures) for d in defects], self.rules)
        made_by = (self.manifest.name, self.model_sha256, self.gs)
        return Inspection(source, sha256, image, probability, mask, defects, verdict, *made_by)

    def probability(self, image: Image) -> NDArray[np.float32]:
        """P(defect) of every pixel, float32 (H, W)."""
        size = self.manifest.input
        return segmentation.defect_probability(self.segmenter, image, size.height, size.width, size.fit)

    def find(self, probability: NDArray[np.float32], gs: float | None = None) -> tuple[NDArray[np.bool_], list[Region]]:
        """Mask (H, W) of the regions that are large enough to report, and those regions; `gs` is the inspector's."""
        cut = segmentation.threshold(probability, self.gs if gs is None else gs)
        regions = find_regions(cut, self.settings.min_area_px)
        mask = np.zeros(probability.shape, np.bool_)
        for region in regions:
            mask[region.window] |= region.mask
        return mask, regions

    def name_regions(self, image: Image, regions: list[Region]) -> list[tuple[str, float]]:
        """Class name and probability of each region."""
        classes = self.manifest.classes
        if self.classifier is None:
            return [(classes[0], 1.0)] * len(regions)
        rows = classify(self.classifier, image, [region.rectangle for region in regions])
        return [(classes[int(row.argmax())], float(row.max())) for row in rows]


def _open(image: Image | str | Path) -> tuple[str, str, Image]:
    if isinstance(image, np.ndarray):
        checked = check_image(image)
        return "array", hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), checked
    try:
        data = Path(image).read_bytes()
    except OSError as error:
        raise ImageError(f"{image}: cannot be read ({error.strerror}); check the path and its permissions") from error
    return str(image), hashlib.sha256(data).hexdigest(), decode_image(data, str(image))
