"""What a batch does: kept beside its results, so that every worker and every later run does the same."""

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from casae.batch.manifest import MANIFEST
from casae.batch.places import Place
from casae.batch.sources import Entry
from casae.config import Frozen, InspectionSettings, first_problem
from casae.errors import OutputError, UsageError
from casae.files import printable
from casae.inspection.inspection import Part
from casae.inspection.inspector import Inspector
from casae.inspection.record import version
from casae.inspection.zones import with_mask
from casae.line.parts import PartPattern, Told

JOB, INPUTS = "batch.json", "inputs"
SHARD = 64  # images
LONGEST = 100  # characters of a folder
IMAGE_SECONDS = 300.0  # that one may take
Partition = Literal["none", "day", "product"]


class Batch(Frozen):
    """What a batch does; `batch.json`.

    Attributes:
        sources: of its images, as they were given.
        model, rules, roi, zones, calibration: file names in the folder `inputs`.
        straighten: see `Inspector`.
        settings: of the inspection; threads are each worker's.
        part: of what the pictures show, where `parts` says nothing.
        parts: pattern of their names, see `PartPattern`.
        camera: that took them.
        shard: most images of a shard.
        partition: what its results are sorted into folders by.
        overlays: whether pictures with their defects marked are kept.
        image_seconds: that one image may take; then its worker begins anew without it.
        casae_version: that began it.
    """

    sources: tuple[str, ...]
    model: str
    rules: str | None = None
    roi: str | None = None
    zones: str | None = None
    calibration: str | None = None
    straighten: bool = False
    settings: InspectionSettings = InspectionSettings()
    part: Part = Part()
    parts: str | None = None
    camera: str | None = None
    shard: int = SHARD
    partition: Partition = "none"
    overlays: bool = False
    image_seconds: float = IMAGE_SECONDS
    casae_version: str = ""

    @property
    def told(self) -> Told:
        """What is known of the pictures."""
        return Told(self.camera, PartPattern(self.parts) if self.parts else None, self.part)

    def inputs(self, place: Place) -> frozenset[str]:
        """The files that are kept with the batch, as sources name them; of a place behind a URL none is an image's."""
        if place.folder is None:
            return frozenset()
        names = [name for field in FILES if (name := getattr(self, field)) is not None]
        return frozenset(printable(place.folder.resolve() / INPUTS / name) for name in names)

    def partition_of(self, entry: Entry) -> str:
        """The folder that the results of an image go to."""
        if self.partition == "day":
            return f"day={_day(entry.modified_ns)}"
        if self.partition == "product":
            product = self.told.part(Path(entry.source)).product
            return f"product={_plain(product) if product else 'unknown'}"
        return ""


CALLED = {
    "sources": "archive",
    "roi": "region of interest",
    "mask": "mask of zones",
    "settings": "threshold, scale or the like",
    "part": "product, batch or station",
    "parts": "pattern of parts",
    "shard": "shard size",
}
FREE = ("casae_version", "image_seconds")  # fields that a later run may change
ZONES_MASK = "mask-of-zones"  # beside the file of zones, which calls it so
FILES = ("model", "rules", "roi", "zones", "calibration")


def begin(place: Place, batch: Batch, files: dict[str, Path]) -> Batch:
    """The batch of a folder: the one given, with copies of its files, or the same one that was begun there.

    Args:
        place: folder of the batch.
        batch: whose file names are not known yet.
        files: by the names of `FILES`.

    Raises:
        UsageError: another batch was begun there.
        OutputError: the place does not take it.
    """
    batch = batch.model_copy(update={name: f"{name}-{Path(file).name}" for name, file in files.items()})
    contents = {str(getattr(batch, name)): Path(file).read_bytes() for name, file in files.items() if name != "zones"}
    if batch.zones:
        contents[batch.zones], mask = with_mask(files["zones"], ZONES_MASK)
        contents |= {} if mask is None else {ZONES_MASK: mask}
    earlier = read_batch(place) if place.has(MANIFEST) else None  # without one, nothing was found to do yet
    if earlier is None:
        for name, data in contents.items():
            place.write(f"{INPUTS}/{name}", data)
        batch = batch.model_copy(update={"casae_version": version("casae")})
        place.write(JOB, batch.model_dump_json(indent=2).encode())
        return batch
    for name in Batch.model_fields:
        if name not in FREE and getattr(batch, name) != getattr(earlier, name):
            raise _other(place, name)
    for name, data in contents.items():
        if place.read(f"{INPUTS}/{name}") != data:
            raise _other(place, name.partition("-")[0])
    if batch.image_seconds != earlier.image_seconds:
        earlier = earlier.model_copy(update={"image_seconds": batch.image_seconds})
        place.write(JOB, earlier.model_dump_json(indent=2).encode())
    return earlier


def read_batch(place: Place) -> Batch | None:
    """The batch that was begun in a folder, None where there is none.

    Raises:
        OutputError: the folder cannot be read, or holds another file of this name.
    """
    data = place.read(JOB)
    if data is None:
        return None
    try:
        return Batch.model_validate_json(data)
    except ValidationError as error:
        rule = f"is no batch of this casae ({first_problem(error)})"
        raise OutputError(f"{place.path(JOB)}: {rule}; choose another --out") from error


def batch_at(place: Place) -> Batch:
    """The batch that was begun in a folder.

    Raises:
        OutputError: there is none, or as `read_batch`.
    """
    batch = read_batch(place)
    if batch is None:
        raise OutputError(f"{place.where}: holds no batch that this machine can see; name a place that all see")
    return batch


def inspector_of(place: Place, batch: Batch, threads: int) -> Inspector:
    """What judges the images, of the files that are kept with the batch.

    Raises:
        CasaeError: as `Inspector`.
    """
    with tempfile.TemporaryDirectory() as folder:

        def local(name: str | None) -> Path | None:
            if name is None:
                return None
            if place.folder is not None:
                return place.folder / INPUTS / name
            data = place.read(f"{INPUTS}/{name}")
            if data is None:
                raise OutputError(f"{place.path(INPUTS)}/{name}: is not there; begin the batch anew")
            file = Path(folder, name)
            file.write_bytes(data)
            return file

        model = local(batch.model)
        assert model is not None
        if place.folder is None and batch.zones and place.has(f"{INPUTS}/{ZONES_MASK}"):
            local(ZONES_MASK)
        settings = batch.settings.model_copy(update={"threads": threads})
        return Inspector(
            model,
            settings,
            local(batch.rules),
            local(batch.roi),
            local(batch.zones),
            local(batch.calibration),
            batch.straighten,
        )


def _other(place: Place, name: str) -> UsageError:
    what = CALLED.get(name, name)
    return UsageError(f"{place.where}: was begun with another {what}; say the same, or another --out")


def _day(modified_ns: int | None) -> str:
    try:
        return "unknown" if modified_ns is None else str(datetime.fromtimestamp(modified_ns / 1e9, UTC).date())
    except (ValueError, OverflowError, OSError):  # of a clock far from ours
        return "unknown"


def _plain(name: str) -> str:
    """A name that is one folder on every drive, and nobody else's."""
    plain = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")[:LONGEST]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
