"""One file NAME.casae: everything an inspection needs, and where it came from.

A bundle is a zip of `model.json`, `segmenter.onnx`, `classifier.onnx` (absent with a single class), `novelty.json`
(absent where it was not learned), `learned.bin` (absent in models of before) and `card.md`.
After `casae quantise`, `segmenter-int8.xml` and `segmenter-int8.bin` hold an int8 form for OpenVINO, beside
`segmenter.onnx` or, with `--only`, in its place.
Reading one runs nothing from it: sizes and hashes are checked, and what is not understood is refused.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from casae.calibration.calibration import Calibration
from casae.config import LARGEST_SCALE, LARGEST_SIDE, MIN_AREA_PX, SMALLEST_SCALE, Fit, Frozen, Looks, first_problem
from casae.errors import BundleError
from casae.files import without_controls, write_whole

SCHEMA_VERSION = 1
SUFFIX = ".casae"
MANIFEST, SEGMENTER, CLASSIFIER, CARD = "model.json", "segmenter.onnx", "classifier.onnx", "card.md"
NOVELTY, LEARNED = "novelty.json", "learned.bin"
INT8_XML, INT8_WEIGHTS = "segmenter-int8.xml", "segmenter-int8.bin"
MAX_BYTES = 512 * 2**20  # of one part, unpacked
MAX_FEATURES = 10_000  # of a picture or crop that tell how unlike others it is
MAX_CLASSES = 254  # label values, of which 0 is background and 255 a defect without class
SIZE_FEATURES = 6  # see `casae.inspection.sizes.features`

Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
Side = Annotated[int, Field(ge=16, le=LARGEST_SIDE)]
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
SizeWeights = Annotated[tuple[Finite, ...], Field(min_length=2 * SIZE_FEATURES, max_length=2 * SIZE_FEATURES)]

ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same content gives the same file


def _plain(text: str) -> str:
    if without_controls(text) != text or not text.strip():
        raise ValueError("must be text without control characters")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]


class InputSize(Frozen):
    """The segmenter's input in pixels, and how an image is brought there.

    Attributes:
        scale: that an image is brought to before it is cut into tiles; otherwise `fit` says it all.
        standardised: tiles come as (gray - mean) / deviation of the whole image, instead of gray in 0..1.
        centred: whole images come less their mean, for a network that takes it away itself: bfloat16 has 8 digits,
            which a bright image of little contrast in 16 bits would lose.
        channels: 1 for gray, 3 for RGB; the classifier sees as many.
        coarse: (height, width) in which an image that is cut into tiles is seen as a whole too, for defects larger than
            those; of both looks the larger probability counts.
    """

    height: Side
    width: Side
    fit: Fit
    scale: float = Field(default=1, gt=0, le=1)
    standardised: bool = False
    centred: bool = False
    channels: Literal[1, 3] = 1
    coarse: tuple[Side, Side] | None = None


class Origin(Frozen):
    """What the model learned from."""

    name: str
    sha256: str
    split: str
    images: int = Field(ge=0)
    validation_images: int = Field(ge=0)
    unlabelled_images: int = Field(default=0, ge=0)
    licence: str


class Recipe(Frozen):
    """What a model was trained with: settings by name, of which some stand in its card."""

    model_config = ConfigDict(extra="allow")

    preset: str
    command: str = ""
    start: str = "scratch"


class Part(Frozen):
    """Size and hash of one file in the bundle."""

    bytes: int = Field(ge=0, le=MAX_BYTES)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Brightness(Frozen):
    """Mean gray of the darkest and of the brightest picture that was learned from, in units of full scale."""

    darkest: float = Field(gt=0, le=1)
    brightest: float = Field(gt=0, le=1)


class SizeClasses(Frozen):
    """What sizes tell of classes: a logistic regression on standardised features and their squares.

    `casae.inspection.sizes` computes the features and applies it.

    Attributes:
        mean: of each feature; `deviation` likewise.
        weights: for each class one for each feature, then one for each square.
        bias: of each class.
    """

    mean: tuple[Finite, ...] = Field(min_length=SIZE_FEATURES, max_length=SIZE_FEATURES)
    deviation: tuple[Positive, ...] = Field(min_length=SIZE_FEATURES, max_length=SIZE_FEATURES)
    weights: tuple[SizeWeights, ...]
    bias: tuple[Finite, ...]


class Familiar(Frozen):
    """What features of learned pictures or crops are like: a Gaussian, wide in some directions and a ball in others.

    `casae.inspection.novelty` makes it and measures by it.

    Attributes:
        mean: of each feature; `deviation` likewise, by which they are divided.
        directions: unit vectors of these features, orthogonal to each other.
        variances: along each of them.
        rest: variance in every other direction.
        limit: distance beyond which a picture is unlike those that were learned.
    """

    mean: tuple[Finite, ...] = Field(min_length=1, max_length=MAX_FEATURES)
    deviation: tuple[Positive, ...] = Field(min_length=1, max_length=MAX_FEATURES)
    directions: tuple[tuple[Finite, ...], ...]
    variances: tuple[Positive, ...]
    rest: Positive
    limit: Positive

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        features = len(self.mean)
        if len(self.deviation) != features or any(len(each) != features for each in self.directions):
            raise ValueError(f"mean, deviation and directions must all have {features} values")
        if len(self.variances) != len(self.directions):
            raise ValueError(f"{len(self.directions)} directions have {len(self.variances)} variances")
        return self


class Novelty(Frozen):
    """`novelty.json`: what learned pictures and, where there were enough, learned crops of defects are like."""

    picture: Familiar
    crop: Familiar | None = None


class Manifest(Frozen):
    """`model.json`. Unknown fields are refused; `schema_version` rises when the meaning of a field changes."""

    schema_version: Literal[1] = 1
    name: Name
    input: InputSize
    classes: tuple[Name, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    gs: float = Field(ge=0, le=255)
    core_gs: float | None = Field(default=None, ge=0, le=255)
    min_area_px: int = Field(default=MIN_AREA_PX, ge=1, le=10**9)
    join_px: float = Field(default=0, ge=0, le=10**6)
    looks: Looks = 1
    mm_per_pixel: float | None = Field(default=None, ge=SMALLEST_SCALE, le=LARGEST_SCALE)
    calibration: Calibration | None = None
    white: float | None = Field(default=None, gt=0, le=1)
    brightness: Brightness | None = None
    sizes: SizeClasses | None = None
    width: int = Field(ge=1, le=10**6)
    dataset: Origin
    seed: int = Field(ge=0, lt=2**64)
    training: Recipe
    scores: dict[str, dict[str, float | None]]
    notes: tuple[str, ...] = ()
    versions: dict[str, str]
    files: dict[str, Part] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        count = len(self.classes)
        if len(set(self.classes)) < count:
            raise ValueError("classes must all be different")
        if self.sizes and not len(self.sizes.weights) == len(self.sizes.bias) == count:
            raise ValueError(f"sizes tell {len(self.sizes.weights)} classes, the model has {count}")
        if self.core_gs is not None and self.core_gs > self.gs:
            raise ValueError(f"core_gs {self.core_gs:g} is above gs {self.gs:g}")
        return self


@dataclass(frozen=True)
class Int8:
    """A quantised segmenter in OpenVINO's own form: its graph (XML) and its weights."""

    xml: bytes
    weights: bytes


@dataclass(frozen=True)
class Bundle:
    """A model in memory.

    Attributes:
        manifest: `model.json`; its `files` are filled on reading and writing.
        segmenter: ONNX, (1, channels, H, W) float32 as `InputSize` says -> P(defect) (1, 1, H, W); None where the
            bundle holds the int8 form alone.
        classifier: ONNX, crops (N, channels, 227, 227) float32 in 0..1 -> probabilities (N, classes); None with one
            class.
        card: model card, Markdown.
        sha256: of the whole file; empty before it was written.
        int8: the segmenter quantised; None where it is not worth having or nobody tried.
        novelty: what learned pictures are like; None where too few were learned, or by a network without `levels`.
        learned: which pictures were learned, see `casae.inspection.grain.Fingerprints`; empty where that is not known.
    """

    manifest: Manifest
    segmenter: bytes | None
    classifier: bytes | None
    card: str
    sha256: str = ""
    int8: Int8 | None = None
    novelty: Novelty | None = None
    learned: bytes = b""


def write_bundle(bundle: Bundle, path: Path) -> str:
    """Write a bundle in one step: a reader sees the old file or the new one. Returns the file's sha256.

    Raises:
        OutputError: the place cannot be written.
    """
    parts = {CARD: bundle.card.encode()}
    if bundle.segmenter is not None:
        parts[SEGMENTER] = bundle.segmenter
    if bundle.classifier is not None:
        parts[CLASSIFIER] = bundle.classifier
    if bundle.int8 is not None:
        parts |= {INT8_XML: bundle.int8.xml, INT8_WEIGHTS: bundle.int8.weights}
    if bundle.novelty is not None:
        parts[NOVELTY] = bundle.novelty.model_dump_json().encode()
    if bundle.learned:
        parts[LEARNED] = bundle.learned
    described = {name: Part(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in parts.items()}
    manifest = bundle.manifest.model_copy(update={"files": described})
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST: text.encode(), **parts}.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    write_whole(path, stream.getvalue())
    return hashlib.sha256(stream.getvalue()).hexdigest()


def read_bundle(model: str | Path) -> Bundle:
    """Read a bundle from a file, or one that ships with casae by its name, such as "strip-steel".

    Raises:
        BundleError: not there, damaged, or made by something this version does not understand.
    """
    path = resolve_model(model)
    try:
        if path.stat().st_size > 2 * MAX_BYTES:
            raise BundleError(f"{path}: is larger than any casae model; copy it again")
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _read_manifest(archive, path)
            parts = {name: _read_part(archive, name, part, path) for name, part in manifest.files.items()}
        card = parts[CARD].decode()
        novelty = Novelty.model_validate_json(parts[NOVELTY]) if NOVELTY in parts else None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except BundleError:
        raise
    except Exception as error:  # zip files raise many kinds, all of which mean the same here
        raise BundleError(f"{path}: not a whole .casae file; copy it again or train it anew") from error
    sha256 = hashlib.sha256(data).hexdigest()
    int8 = Int8(parts[INT8_XML], parts[INT8_WEIGHTS]) if INT8_XML in parts else None
    segmenter, classifier, learned = (parts.get(name) for name in (SEGMENTER, CLASSIFIER, LEARNED))
    return Bundle(manifest, segmenter, classifier, card, sha256, int8, novelty, learned or b"")


def resolve_model(model: str | Path) -> Path:
    """The file behind a path or the name of a shipped model."""
    path = Path(model)
    if path.is_file():
        return path
    shipped = shipped_models()
    if str(model) in shipped:
        return shipped[str(model)]
    known = ", ".join(sorted(shipped)) or "none"
    raise BundleError(f"{model}: no such model file; name a .casae file or a shipped model ({known})")


def shipped_models() -> dict[str, Path]:
    """The bundles in the package, by name."""
    folder = Path(str(files("casae"))) / "models"
    return {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    infos = {info.filename: info for info in archive.infolist()}
    if MANIFEST not in infos or infos[MANIFEST].file_size > 2**20:
        raise BundleError(f"{path}: holds no {MANIFEST}; it is no casae model")
    try:
        content = json.loads(archive.read(MANIFEST))
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            rule = f"schema version {version!r}, this casae reads {SCHEMA_VERSION}"
            raise BundleError(f"{path}: {rule}; upgrade casae or train the model anew")
        manifest = Manifest.model_validate(content)
    except (ValueError, RecursionError) as error:
        what = first_problem(error) if isinstance(error, ValidationError) else str(error)
        rule = " ".join(without_controls(what).split())[:200]
        raise BundleError(f"{path}: {MANIFEST} is not understood at {rule}; train it anew") from error
    expected = {CARD} | ({CLASSIFIER} if len(manifest.classes) > 1 else set())
    if INT8_XML in manifest.files:
        expected |= {INT8_XML, INT8_WEIGHTS}
    expected |= {NOVELTY, LEARNED} & manifest.files.keys()
    if SEGMENTER in manifest.files or INT8_XML not in manifest.files:
        expected.add(SEGMENTER)
    if set(manifest.files) != expected or set(infos) != expected | {MANIFEST}:
        raise BundleError(
            f"{path}: holds {sorted(infos)}, but should hold {sorted(expected | {MANIFEST})}; copy it again"
        )
    return manifest


def _read_part(archive: zipfile.ZipFile, name: str, part: Part, path: Path) -> bytes:
    if archive.getinfo(name).file_size != part.bytes:
        raise BundleError(f"{path}: {name} has another size than {MANIFEST} says; copy the file again")
    data = archive.read(name)
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise BundleError(f"{path}: {name} does not match its hash in {MANIFEST}; copy the file again")
    return data
