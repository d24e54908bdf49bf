"""The road of an image: probability -> mask -> regions -> classes -> measures -> verdict."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import DEFAULT_MODEL, InspectionSettings
from casae.errors import BundleError, ImageError
from casae.image import JPEG, Image, brightened, check_image, decode_image, is_transparent, read_file, to_gray
from casae.inspection import segmentation
from casae.inspection.classification import INPUT_SHAPES, classify
from casae.inspection.detection import reported, thresholds
from casae.inspection.inspection import Defect, Inspection, Picture
from casae.inspection.measurement import Measures, measure
from casae.inspection.regions import Region
from casae.inspection.sizes import weigh
from casae.inspection.verdict import AcceptanceRules, check_classes, check_scale, judge
from casae.models.bundle import Bundle, Manifest, read_bundle
from casae.models.cache import CompiledNetworks
from casae.models.runtime import Network, load_openvino


class Inspector:
    """Inspects images with one model; reads it once. Several threads may share one; its networks then take turns.

    Args:
        model: a .casae file, or the name of a shipped model.
        settings: what may change between inspections; the defaults are the model's.
        rules: acceptance rules; by default no defect is accepted. May be set later.
        roi: region of interest, (H, W), or a file; nothing is found where it is 0. None looks everywhere.

    Attributes:
        gs: threshold in force, where regions end; `core_gs` is the smaller one that a pixel of each passes too.
        min_area_px: smaller regions are not reported.
        mm_per_pixel: scale in force, None where there is none.
        precision: that the segmenter computes in; `classifier_precision` is the classifier's, None without one.

    Raises:
        BundleError: the model cannot be used.
        ImageError: the region of interest cannot be read or is no mask.
        UsageError: a rule is in millimetres, and the settings give no scale, or names a class that the model does not
            know, also where `rules` is set; or the process was forked from one that has an inspector.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        settings: InspectionSettings | None = None,
        rules: AcceptanceRules | None = None,
        roi: Image | str | Path | None = None,
    ) -> None:
        with ThreadPoolExecutor(1) as beside:  # unpacking and loading a library: neither waits for Python
            beside.submit(load_openvino)
            bundle = read_bundle(model)
        self.manifest: Manifest = bundle.manifest
        self.model_sha256 = bundle.sha256
        self.settings = settings or InspectionSettings()
        self.gs, self.core_gs = thresholds(self.manifest, self.settings)
        self.min_area_px = self.settings.min_area_px or self.manifest.min_area_px
        self.mm_per_pixel = self.settings.mm_per_pixel or self.manifest.mm_per_pixel
        self.rules = rules or AcceptanceRules()
        self.roi = None if roi is None else _mask(roi)
        threads = self.settings.threads
        kept = CompiledNetworks.of_user()
        network = _segmenter(bundle, str(model), self.settings, kept)
        self.segmenter: segmentation.Segmenter = network
        self.precision = network.precision
        network.prepare((1, 1, self.manifest.input.height, self.manifest.input.width))
        self.classifier, self.classifier_precision = None, None
        if bundle.classifier:
            precision = self.settings.precision if self.settings.precision != "int8" else "f32"
            self.classifier = Network(bundle.classifier, f"{model}: classifier", threads, precision, kept=kept)
            self.classifier_precision = self.classifier.precision
            self.classifier.prepare(*INPUT_SHAPES)

    @property
    def rules(self) -> AcceptanceRules:
        """What is accepted."""
        return self._rules

    @rules.setter
    def rules(self, rules: AcceptanceRules) -> None:
        check_classes(rules, self.manifest.classes)
        check_scale(rules, self.mm_per_pixel)
        self._rules = rules

    def inspect(
        self, image: Image | str | Path | Picture, lap: Callable[[str], object] = lambda stage: None
    ) -> Inspection:
        """Inspect one image: an array (H, W) or (H, W, 3) RGB, a file, or what was read before.

        Args:
            image: what to inspect.
            lap: called with the name of each stage when it is over; `casae benchmark` takes the time there.

        Raises:
            ImageError: the file or array is no usable image.
        """
        picture = image if isinstance(image, Picture) else Picture.of(image)
        rules, image = self.rules, self.lit(picture.image)
        lap("read")
        gray, scale = to_gray(image), self.mm_per_pixel
        self._check_roi(gray, picture.source)
        probability = self._probability(gray)
        lap("segment")
        mask, regions = self.find(probability)
        lap("regions")
        measures = [measure(region, gray, mask, scale) for region in regions]
        lap("measure")
        names = self.name_regions(gray, regions, measures)
        lap("classify")
        found = zip(names, regions, measures, strict=True)
        defects = tuple(Defect(i, *name, region, sizes) for i, (name, region, sizes) in enumerate(found, start=1))
        verdict = judge([(d.name, d.probability, d.measures) for d in defects], rules)
        made_by = (rules, self.manifest.name, self.model_sha256, self.gs, self.core_gs, datetime.now().astimezone())
        return Inspection(picture.source, picture.sha256, image, probability, mask, defects, verdict, *made_by)

    def probability(self, image: Image) -> NDArray[np.float32]:
        """P(defect) of every pixel, float32 (H, W).

        Raises:
            ImageError: the array is no usable image, or the region of interest has another size.
        """
        image = check_image(image)
        self._check_roi(image, "image")
        return self._probability(self.lit(image))

    def lit(self, image: Image) -> Image:
        """What the networks see of a camera whose 9 to 15 bits lie in 16: the same image in full scale."""
        return brightened(image, self.manifest.white)

    def _probability(self, image: Image) -> NDArray[np.float32]:
        return segmentation.defect_probability(self.segmenter, image, self.manifest.input, self.roi)

    def _check_roi(self, image: Image, name: str) -> None:
        roi = self.roi
        if roi is not None and roi.shape != image.shape[:2]:
            size = f"{image.shape[1]} x {image.shape[0]} px"
            its = f"{roi.shape[1]} x {roi.shape[0]}"
            raise ImageError(f"{name}: is {size}, the region of interest {its}; both must have one size")

    @cached_property
    def roi_sha256(self) -> str | None:
        """Hash of the region of interest in force."""
        if self.roi is None:
            return None
        return hashlib.sha256(repr(self.roi.shape).encode() + self.roi.tobytes()).hexdigest()

    def find(self, probability: NDArray[np.float32]) -> tuple[NDArray[np.bool_], list[Region]]:
        """Mask (H, W) of the regions to report, and those regions; see `reported`."""
        return reported(probability, self.gs, self.core_gs, self.min_area_px, self.roi)

    def name_regions(
        self, image: Image, regions: Sequence[Region], measures: Iterable[Measures]
    ) -> list[tuple[str, float]]:
        """Class name and probability of each region, the latter with four digits, as verdicts and records see it.

        `measures` are only looked at where the model has `SizeClasses`.
        """
        classes = self.manifest.classes
        if self.classifier is None:
            return [(classes[0], 1.0)] * len(regions)
        rows = classify(self.classifier, image, [region.rectangle for region in regions])
        if self.manifest.sizes and regions:
            rows = weigh(self.manifest.sizes, rows, list(measures))
        return [(classes[int(row.argmax())], round(float(row.max()), 4)) for row in rows]


def _segmenter(bundle: Bundle, model: str, settings: InspectionSettings, kept: CompiledNetworks) -> Network:
    """The segmenter in the precision that is asked for."""
    wanted, name, int8 = settings.precision, f"{model}: segmenter", bundle.int8
    if wanted == "auto" and int8:
        wanted = "int8"
    if bundle.segmenter and wanted != "int8":
        return Network(bundle.segmenter, name, settings.threads, wanted, kept=kept)
    if int8 is None:
        raise BundleError(f"{model}: holds no int8 form; make one with: casae quantise {model} DATASET")
    return Network(int8.xml, name, settings.threads, wanted, int8.weights, kept)


def _mask(roi: Image | str | Path) -> NDArray[np.bool_]:
    if isinstance(roi, np.ndarray):
        image, black = check_image(roi.astype(np.uint8) if roi.dtype == np.bool_ else roi), 0
    else:
        data = read_file(roi)
        image = decode_image(data, str(roi))
        if is_transparent(data, image):
            raise ImageError(f"{roi}: is partly transparent; draw the area to inspect in white on black")
        black = 127 if data.startswith(JPEG) else 0  # a JPEG is never quite black beside an edge
    mask = np.ascontiguousarray(to_gray(image) > black)
    if not mask.any():
        raise ImageError("region of interest: is 0 everywhere; draw the area to inspect in white")
    return mask
