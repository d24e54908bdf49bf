"""The road of an image: probability -> mask -> regions -> classes -> measures -> verdict."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import DEFAULT_MODEL, InspectionSettings
from casae.errors import BundleError, ImageError
from casae.image import JPEG, Image, brightened, check_image, decode_image, is_transparent, read_file, to_gray
from casae.inspection import segmentation
from casae.inspection.bundle import Bundle, Manifest, read_bundle
from casae.inspection.classification import INPUT_SHAPES, classify
from casae.inspection.compiled import CompiledNetworks
from casae.inspection.measurement import Measures, measure
from casae.inspection.regions import Region, find_regions
from casae.inspection.runtime import Network, load_openvino
from casae.inspection.verdict import AcceptanceRules, Verdict, check_classes, check_scale, judge


@dataclass(frozen=True, eq=False)
class Defect:
    """One defect of an image.

    Attributes:
        number: 1 is the largest.
        name: class.
        probability: of that class, by the compact CNN and, where the model has them, `SizeClasses`; 1 where it knows a
            single class.
        region: pixels, contours and minimum enclosing rectangle.
        measures: sizes, position, contrast.
    """

    number: int
    name: str
    probability: float
    region: Region
    measures: Measures


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image and where it came from: source and sha256 as of `Inspection`."""

    source: str
    sha256: str
    image: Image

    @classmethod
    def of(cls, image: Image | str | Path) -> "Picture":
        """Read a file, or check an array (H, W) or (H, W, 3) RGB.

        Raises:
            ImageError: the file or array is no usable image.
        """
        if isinstance(image, np.ndarray):
            checked = check_image(image)
            return cls("array", hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), checked)
        data = read_file(image)
        return cls(str(image), hashlib.sha256(data).hexdigest(), decode_image(data, str(image)))


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in one image.

    Attributes:
        source: path of the file; "array" for an array.
        sha256: of the file's bytes; of the array's bytes for an array.
        image: the picture itself, (H, W) or (H, W, 3) RGB, in full scale.
        probability: P(defect), float32 (H, W).
        mask: defective pixels of the reported regions, bool (H, W).
        defects: largest first.
        verdict: whether the part passes.
        rules: that decided.
        model: name of the model.
        model_sha256: of its file.
        gs: threshold that was applied; `core_gs` is what a pixel of every region passed as well.
        time: when it ended, with the offset from UTC.
    """

    source: str
    sha256: str
    image: Image
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    defects: tuple[Defect, ...]
    verdict: Verdict
    rules: AcceptanceRules
    model: str
    model_sha256: str
    gs: float
    core_gs: float
    time: datetime


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
            rows = self.manifest.sizes.weigh(rows, list(measures))
        return [(classes[int(row.argmax())], round(float(row.max()), 4)) for row in rows]


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
        mask[region.window] |= region.mask
    return mask, regions


def _has_core(probability: NDArray[np.float32], region: Region, core_gs: float) -> bool:
    core = segmentation.threshold(probability[region.window], core_gs)
    return bool(core[region.mask].any())


def thresholds(manifest: Manifest, settings: InspectionSettings) -> tuple[float, float]:
    """Gs and core Gs in force: the model's, where the settings name none."""
    if settings.gs is None:
        gs, core = manifest.gs, manifest.core_gs if settings.core_gs is None else settings.core_gs
    else:
        gs, core = settings.gs, settings.core_gs
    return gs, gs if core is None else min(core, gs)


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
