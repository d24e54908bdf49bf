"""The road of an image: probability -> mask -> regions -> classes -> measures -> verdict."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.calibration.calibration import Calibration
from casae.config import MAX_MEGAPIXELS, InspectionSettings
from casae.decoding import decode_image, is_transparent, read_file
from casae.errors import BundleError, ImageError, UsageError
from casae.image import Image, check_image, gray_levels, sharpness, to_gray
from casae.inspection import segmentation
from casae.inspection.brightness import in_full_scale, reviewed
from casae.inspection.classification import Named, classify, input_shapes
from casae.inspection.detection import Found, reported, thresholds
from casae.inspection.grain import Fingerprints
from casae.inspection.inspection import Conditions, Defect, Inspection, Part, Picture, new_id
from casae.inspection.joining import join
from casae.inspection.measurement import Measures, measure, rounded
from casae.inspection.novelty import Usual
from casae.inspection.regions import Region
from casae.inspection.rules import AcceptanceRules, check_names, check_scale, read_rules
from casae.inspection.sizes import weigh
from casae.inspection.verdict import judge
from casae.inspection.zones import Zones, read_zones
from casae.models.bundle import Bundle, Manifest, read_bundle
from casae.models.cache import CompiledNetworks
from casae.models.runtime import Network, Shape, load_openvino


class Inspector:
    """Inspects images with one model; reads it once. Several threads may share one; its networks then take turns.

    Args:
        model: a .casae file, or the name of a shipped model.
        settings: what may change between inspections; the defaults are the model's.
        rules: acceptance rules, or a file of them; by default no defect is accepted. May be set later.
        roi: region of interest, (H, W), or a file; nothing is found where it is darker than half of its brightest. None
            looks everywhere.
        zones: of the part, or a file of them; rules may name them.
        calibration: scale and lens, or their file; by default the model's own. Not beside `settings.mm_per_pixel`.
        straighten: free pictures from what the lens bends; a region of interest and zones are drawn in straight ones.

    Attributes:
        card: of the model, Markdown.
        conditions: what its inspections hang on, as it is now; each inspection keeps what it was then.
        learned: pictures that the model has learned; none where its file does not tell.

    Raises:
        BundleError: the model cannot be used.
        ImageError: the region of interest cannot be read or is no mask.
        UsageError: the rules cannot be read, or name a class or zone that is not known, or one is in millimetres and
            there is no scale, also where `rules` is set; zones or a calibration cannot be read; or the process was
            forked from one that has an inspector.
    """

    def __init__(
        self,
        model: str | Path,
        settings: InspectionSettings | None = None,
        rules: AcceptanceRules | str | Path | None = None,
        roi: Image | str | Path | None = None,
        zones: Zones | str | Path | None = None,
        calibration: Calibration | str | Path | None = None,
        straighten: bool = False,
    ) -> None:
        with ThreadPoolExecutor(1) as beside:  # unpacking and loading a library: neither waits for Python
            beside.submit(load_openvino)
            bundle = read_bundle(model)
        self.manifest: Manifest = bundle.manifest
        self.card = bundle.card
        self.learned = Fingerprints.read(bundle.learned)
        self.settings = settings or InspectionSettings()
        most = self.settings.max_megapixels
        self.roi = None if roi is None else region_of_interest(roi, most)
        self.zones = zones if zones is None or isinstance(zones, Zones) else read_zones(zones, most)
        kept = CompiledNetworks.of_user()
        network = _segmenter(bundle, str(model), self.settings, kept)
        self.segmenter = network
        size, usual = self.manifest.input, bundle.novelty
        self._usual_picture = Usual.known(usual.picture) if usual else None
        self._usual_crop = Usual.known(usual.crop) if usual and usual.crop else None
        looks = self.settings.looks or self.manifest.looks
        network.prepare((min(looks, len(segmentation.FLIPPED[4])), size.channels, size.height, size.width))
        self.classifier = None
        classifier_precision = None
        if bundle.classifier:
            precision = self.settings.precision if self.settings.precision != "int8" else "f32"
            count = len(self.manifest.classes)
            self.classifier = Network(
                bundle.classifier,
                f"{model}: classifier",
                self.settings.threads,
                precision,
                kept=kept,
                makes=lambda shape: (shape[0], count),
            )
            self.classifier.prepare(*input_shapes(size.channels))
            classifier_precision = self.classifier.precision
        known = self._calibration(calibration, straighten)
        gs, core_gs = thresholds(self.manifest, self.settings)
        self.conditions = Conditions(
            model=self.manifest.name,
            model_sha256=bundle.sha256,
            gs=gs,
            core_gs=core_gs,
            min_area_px=self.settings.min_area_px or self.manifest.min_area_px,
            join_px=self.manifest.join_px if self.settings.join_px is None else self.settings.join_px,
            mm_per_pixel=known.mm_per_pixel if known else self.settings.mm_per_pixel or self.manifest.mm_per_pixel,
            calibration=known,
            straightened=straighten,
            rules=AcceptanceRules(),
            roi_sha256=None if self.roi is None else _hash_of(self.roi),
            zones_sha256=None if self.zones is None else self.zones.sha256,
            looks=looks,
            precision=network.precision,
            classifier_precision=classifier_precision,
        )
        self.rules = AcceptanceRules() if rules is None else rules

    @property
    def rules(self) -> AcceptanceRules:
        """What is accepted."""
        return self.conditions.rules

    @rules.setter
    def rules(self, rules: AcceptanceRules | str | Path) -> None:
        zones = self.zones.names if self.zones else ()
        if not isinstance(rules, AcceptanceRules):
            rules = read_rules(rules, self.manifest.classes, zones)
        check_names(rules, self.manifest.classes, zones)
        check_scale(rules, self.conditions.mm_per_pixel)
        self.conditions = replace(self.conditions, rules=rules)

    def with_rules(self, rules: AcceptanceRules) -> "Inspector":
        """Another one, of the same networks, that judges by other rules. Raises as setting `rules` does."""
        other = copy.copy(self)
        other.rules = rules
        return other

    def inspect(
        self, image: Any, part: Part | None = None, lap: Callable[[str], object] = lambda stage: None
    ) -> Inspection:
        """Inspect one image.

        Args:
            image: a path, the bytes of an image file, an array (H, W) or (H, W, 3) RGB, an image of Pillow or torch, or
                a `Picture` that was read before.
            part: that it shows; by default what a `Picture` says.
            lap: called with the name of each stage when it is over; `casae benchmark` takes the time there.

        Raises:
            ImageError: it is no usable image, or has another size than the region of interest, zones or calibration.
        """
        conditions = self.conditions
        picture = image if isinstance(image, Picture) else Picture.of(image, self.settings.max_megapixels)
        shown, full_scale = in_full_scale(picture.image, self.manifest)
        if conditions.calibration is not None:
            conditions.calibration.check(shown.shape, picture.source)
            if conditions.straightened:
                shown = conditions.calibration.straightened(shown, picture.source)
        lap("read")
        gray = to_gray(shown)
        self._check_roi(gray, picture.source)
        if self.zones:
            self.zones.check(gray.shape, picture.source)
        probability, novelty = self._look(gray if self.manifest.input.channels == 1 else shown)
        lap("segment")
        found = self._find(probability, conditions)
        lap("regions")
        with ThreadPoolExecutor(1) as beside:  # measured while the classifier computes
            measuring = beside.submit(_measured, found, gray, conditions.mm_per_pixel)
            names = self.name_regions(shown, found.regions, chain.from_iterable(map(Future.result, [measuring])))
            lap("classify")
            sizes = dict(zip(found.regions, measuring.result(), strict=True))
        lap("measure")
        named = join([each.or_unknown() for each in names], conditions.join_px)
        defects = []
        for number, (name, sure, region, unlike, nearest) in enumerate(named, start=1):
            measures = sizes.get(region) or measure(region, gray, found.mask, conditions.mm_per_pixel)
            zones = self.zones.of(region, gray.shape) if self.zones else ()
            defects.append(Defect(number, name, sure, region, measures, zones, unlike, nearest))
        verdict = judge([defect.judged for defect in defects], conditions.rules, found.specks, novelty)
        brightness = gray_levels(gray)[0]
        return Inspection(
            id=new_id(),
            time=datetime.now().astimezone(),
            source=picture.source,
            sha256=picture.sha256,
            file=picture.file,
            part=part or picture.part,
            camera=picture.camera,
            taken_at=picture.taken_at,
            conditions=conditions,
            image=shown,
            full_scale=full_scale,
            probability=probability,
            mask=found.mask,
            defects=tuple(defects),
            specks=found.specks,
            novelty=novelty,
            brightness=brightness,
            sharpness=sharpness(gray),
            verdict=reviewed(verdict, brightness, self.manifest, shown),
        )

    def probability(self, image: Image) -> NDArray[np.float32]:
        """P(defect) of every pixel of an array (H, W) or (H, W, 3), float32 (H, W). Raises as `look`."""
        return self.look(image)[0]

    def look(self, image: Image) -> tuple[NDArray[np.float32], float | None]:
        """P(defect), see `probability`, and how unlike learned pictures an array is; None where that is not known.

        Raises:
            ImageError: the array is no usable image, or the region of interest has another size.
        """
        image = check_image(image)
        self._check_roi(image, "image")
        return self._look(self.in_full_scale(image))

    def features(self, image: Image) -> NDArray[np.float32]:
        """What the segmenter makes of a picture in full scale, (H, W) or (H, W, 3): (inputs that it saw, F)."""
        return segmentation.with_features(self.segmenter, image, self.manifest.input, self.roi)[1]

    def crop_features(self, image: Image, regions: Sequence[Region]) -> NDArray[np.float32]:
        """What the classifier makes of regions of a picture in full scale, (H, W) or (H, W, 3): (regions, F)."""
        return self._classified(image, regions)[1]

    def in_full_scale(self, image: Image) -> Image:
        """What the networks see of a camera whose 8 to 15 bits lie in 16: the same image in full scale."""
        return in_full_scale(image, self.manifest)[0]

    def find(self, probability: NDArray[np.float32]) -> Found:
        """The regions to report of an image (H, W); see `reported`."""
        return self._find(probability, self.conditions)

    def name_regions(self, image: Image, regions: Sequence[Region], measures: Iterable[Measures]) -> list[Named]:
        """The most probable class of each region, its probability with four digits, as verdicts and records see it.

        `measures` are only looked at where the model has `SizeClasses`.
        """
        classes = self.manifest.classes
        if self.classifier is None:
            return [Named(classes[0], 1.0, region) for region in regions]
        rows, features = self._classified(image, regions)
        if self.manifest.sizes and regions:
            rows = weigh(self.manifest.sizes, rows, list(measures))
        unlike: list[float | None] = [None] * len(regions)
        if self._usual_crop and regions:
            unlike = [rounded(distance) for distance in self._distances(self._usual_crop, features, "crops")]
        return [
            Named(classes[int(row.argmax())], round(float(row.max()), 4), region, novelty)
            for row, region, novelty in zip(rows, regions, unlike, strict=True)
        ]

    def _look(self, image: Image) -> tuple[NDArray[np.float32], float | None]:
        probability, features = segmentation.with_features(
            self.segmenter, image, self.manifest.input, self.roi, self.conditions.looks
        )
        if self._usual_picture is None or not len(features):
            return probability, None
        return probability, rounded(float(self._distances(self._usual_picture, features, "pictures").max()))

    def _distances(self, usual: Usual, features: NDArray[np.float32], what: str) -> NDArray[np.float64]:
        if features.shape[1] != len(usual.mean):
            rule = f"knows {len(usual.mean)} features of {what}, its network makes {features.shape[1]}"
            raise BundleError(f"{self.manifest.name}: {rule}; copy it again or train it anew")
        return usual.distances(features)

    def _classified(self, image: Image, regions: Sequence[Region]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Class probabilities (regions, classes) and features (regions, F)."""
        network, count = self.classifier, len(self.manifest.classes)
        if network is None or not regions:
            return np.zeros((len(regions), count), np.float32), np.zeros((len(regions), 0), np.float32)
        rectangles = [region.rectangle for region in regions]
        rows = classify(
            lambda crops: np.concatenate(network.with_features(crops), axis=1),
            image,
            rectangles,
            self.manifest.input.channels,
        )
        return rows[:, :count], rows[:, count:]

    def _find(self, probability: NDArray[np.float32], conditions: Conditions) -> Found:
        return reported(probability, conditions.gs, conditions.core_gs, conditions.min_area_px, self.roi)

    def _calibration(self, given: Calibration | str | Path | None, straighten: bool) -> Calibration | None:
        """The calibration in force; None where the scale is a number, or there is none."""
        scale = self.settings.mm_per_pixel
        if given is not None and scale is not None:
            raise UsageError("a calibration and mm_per_pixel both state the scale; leave one out")
        known = given if given is None or isinstance(given, Calibration) else Calibration.read(given)
        if known is None and scale is None:
            known = self.manifest.calibration
        if straighten and (known is None or known.lens is None):
            raise UsageError("straightening needs a calibration that knows the lens; see casae calibrate chessboard")
        return known

    def _check_roi(self, image: Image, name: str) -> None:
        roi = self.roi
        if roi is not None and roi.shape != image.shape[:2]:
            size = f"{image.shape[1]} x {image.shape[0]} px"
            its = f"{roi.shape[1]} x {roi.shape[0]}"
            raise ImageError(f"{name}: is {size}, the region of interest {its}; both must have one size")


def _measured(found: Found, gray: Image, mm_per_pixel: float | None) -> list[Measures]:
    return [measure(region, gray, found.mask, mm_per_pixel) for region in found.regions]


def _segmenter(bundle: Bundle, model: str, settings: InspectionSettings, kept: CompiledNetworks) -> Network:
    """The segmenter in the precision that is asked for."""
    wanted, name, int8 = settings.precision, f"{model}: segmenter", bundle.int8
    if wanted == "auto" and int8:
        wanted = "int8"
    if bundle.segmenter and wanted != "int8":
        return Network(bundle.segmenter, name, settings.threads, wanted, kept=kept, makes=_one_map)
    if int8 is None:
        raise BundleError(f"{model}: holds no int8 form; make one with: casae quantise {model} DATASET")
    return Network(int8.xml, name, settings.threads, wanted, int8.weights, kept, _one_map)


def _one_map(shape: Shape) -> Shape:
    return (shape[0], 1, *shape[2:])


def region_of_interest(roi: Image | str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.bool_]:
    """Where to look, (H, W): what is brighter than half of the brightest value.

    Args:
        roi: the mask (H, W) or (H, W, 3), or its file; 0 and 255, 0 and 1, and what a JPEG made of them mean the same.
        max_megapixels: larger files are refused.

    Raises:
        ImageError: it cannot be read, is partly transparent, or 0 everywhere.
    """
    if isinstance(roi, np.ndarray):
        image = check_image(roi.astype(np.uint8) if roi.dtype == np.bool_ else roi, "region of interest")
    else:
        data = read_file(roi, max_megapixels)
        image = decode_image(data, str(roi), max_megapixels)
        if is_transparent(data, image):
            raise ImageError(f"{roi}: is partly transparent; draw the area to inspect in white on black")
    gray = to_gray(image)
    brightest = gray.max()
    if not brightest:
        raise ImageError("region of interest: is 0 everywhere; draw the area to inspect in white")
    return np.ascontiguousarray(2 * gray.astype(np.float32) > brightest)


def _hash_of(roi: NDArray[np.bool_]) -> str:
    return hashlib.sha256(repr(roi.shape).encode() + roi.tobytes()).hexdigest()
