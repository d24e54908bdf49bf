"""A dataset of our own format that people label: drafts, versions, what was submitted.

Every change is on disk when it is answered. A draft stands beside the dataset, so that nobody learns from half a label;
what is submitted becomes the mask of the dataset, and stays as a version as well.
"""

import hashlib
import json
import re
import threading
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from sqlalchemy import ColumnElement, Engine, insert, select, update

from casae.config import Frozen, first_problem
from casae.datasets.folder import MAX_CLASSES, SETTINGS, DatasetSettings, read_folder, settings_of_folder
from casae.datasets.masks import MaskLabel
from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import decode_image, read_file, size_of
from casae.errors import CasaeError, DatasetError, UsageError
from casae.files import SUFFIXES, read_text, unusable_name, without_controls, write_durably, write_whole
from casae.image import encode
from casae.inspection.inspection import new_id
from casae.labels.labelset import one_form
from casae.records.database import reading, writing
from casae.records.schema import labels, submissions
from casae.records.store import now, once

BOOK = "label-book.json"
MAIN = ""  # the track that the dataset learns from
OF_CLASSES = re.compile(r"""\s*["']?classes["']?\s*=""")  # a line of dataset.toml
QUICK = 1  # of nine levels of compression
MOST_EXAMPLES, LONGEST_TEXT = 40, 2000

Values = NDArray[np.uint8]


class Example(Frozen):
    """A place in a picture that shows what belongs to a class, or what does not any more.

    Attributes:
        picture: name in the project.
        x, y, width, height: of the place, px.
        belongs: whether it is of the class.
        note: why.
    """

    picture: str = Field(max_length=300)
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    belongs: bool = True
    note: str = Field(default="", max_length=LONGEST_TEXT)


class Entry(Frozen):
    """What the label book says of a class."""

    definition: str = Field(default="", max_length=LONGEST_TEXT)
    examples: tuple[Example, ...] = Field(default=(), max_length=MOST_EXAMPLES)


class Book(Frozen):
    """The label book: an entry for each class that has one, by its name."""

    classes: dict[str, Entry] = Field(default_factory=dict, max_length=MAX_CLASSES)


@dataclass(frozen=True)
class Told:
    """What is known of a picture's label.

    Attributes:
        picture: its name.
        version: counts changes; 0 is what the dataset says.
        state: "none" where nobody labelled it, "draft", or "done".
        at, who: of the last change, empty before one.
    """

    picture: str
    version: int
    state: str
    at: str = ""
    who: str = ""


@dataclass(frozen=True)
class Patch:
    """Label values of a rectangle of a picture.

    Attributes:
        x, y: of its first pixel.
        values: (H, W).
    """

    x: int
    y: int
    values: Values

    @classmethod
    def packed(cls, data: bytes, x: int, y: int, width: int, height: int) -> "Patch":
        """From values row by row, compressed by zlib.

        Raises:
            UsageError: it is none.
        """
        size = width * height
        try:
            unpacker = zlib.decompressobj()
            values = unpacker.decompress(data, size + 1)
        except zlib.error as error:
            raise UsageError(f"patch: is not compressed by zlib ({error}); send it again") from error
        if len(values) != size or not unpacker.eof:
            raise UsageError(f"patch: holds {len(values)} values, {width} x {height} are {size}; send it again")
        return cls(x, y, np.frombuffer(values, np.uint8).reshape(height, width))


class StaleError(CasaeError):
    """Somebody else has changed a label meanwhile.

    Attributes:
        told: what it is now.
    """

    def __init__(self, told: Told) -> None:
        rule = f"is at version {told.version} by {told.who or 'the dataset'}; look at what differs, then send it again"
        super().__init__(f"{told.picture}: {rule}")
        self.told = told


class ChangedError(UsageError):
    """Somebody else has changed what a request goes on from."""


_Row = tuple[int, str, str, str, str]  # version, state, at, who, file


@dataclass(frozen=True)
class Project:
    """A dataset that is labelled.

    Attributes:
        name: of the dataset.
        folder: where it is.
        drafts: where what is drawn is kept.
        engine: of the records.
    """

    name: str
    folder: Path
    drafts: Path
    engine: Engine

    @property
    def dataset(self) -> Dataset:
        """As it is now.

        Raises:
            DatasetError: it is no dataset of our own format.
        """
        return _read(self.folder, _stamp(self.folder))

    def pictures(self, track: str = MAIN) -> list[Told]:
        """All of them, by name."""
        wanted = select(labels).where(labels.c.dataset == self.name, labels.c.track == track)
        with reading(self.engine) as connection:
            drawn = {row["picture"]: row for row in connection.execute(wanted).mappings()}
        found = []
        for sample in self.dataset.samples:
            row = drawn.get(sample.name)
            if row is not None:
                found.append(Told(sample.name, row["version"], row["state"], row["at"], row["who"]))
            else:
                found.append(Told(sample.name, 0, "done" if sample.labelled and track == MAIN else "none"))
        return found

    def sample(self, picture: str) -> Sample:
        """A picture of it.

        Raises:
            UsageError: there is none of this name.
        """
        found = next((each for each in self.dataset.samples if each.name == picture), None)
        if found is None:
            raise UsageError(f"{picture}: no picture of {self.name} has this name")
        return found

    def label(self, picture: str, track: str = MAIN) -> tuple[Told, Values]:
        """The newest label of a picture, draft or not, (H, W).

        Raises:
            UsageError: there is no such picture.
            CasaeError: picture or label cannot be read.
        """
        sample = self.sample(picture)
        row = self._row(picture, track)
        if row is not None:
            version, state, at, who, file = row
            told = Told(picture, version, state, at, who)
            if track == MAIN and state == "done" and sample.label is not None:  # another tool may have changed it
                return told, sample.draw(size_of(self.drafts / file), len(self.dataset.classes))
            return told, _decoded(self.drafts / file)
        shape = decode_image(read_file(sample.image), sample.name).shape[:2]
        if track != MAIN or not sample.labelled:
            return Told(picture, 0, "none"), np.zeros(shape, np.uint8)
        return Told(picture, 0, "done"), sample.draw(shape, len(self.dataset.classes))

    def change(self, picture: str, base: int, patch: Patch, who: str, track: str = MAIN) -> Told:
        """Paint a patch over a version; the draft is on disk when this returns.

        Raises:
            StaleError: the label is at another version.
            UsageError: no such picture, or the patch does not fit it.
            CasaeError: what is there cannot be read, or the disk does not take it.
        """
        told, values = self._at(picture, base, track)
        height, width = patch.values.shape
        if patch.x + width > values.shape[1] or patch.y + height > values.shape[0]:
            size = f"{values.shape[1]} x {values.shape[0]} px"
            raise UsageError(f"{picture}: is {size}, the patch ends at {patch.x + width}, {patch.y + height}")
        classes = len(self.dataset.classes)
        unknown = np.setdiff1d(patch.values, [*range(classes + 1), UNCLASSED])
        if unknown.size:
            raise UsageError(f"{picture}: value {unknown[0]} names no class; use 0..{classes} or {UNCLASSED}")
        drawn = values.copy()
        drawn[patch.y : patch.y + height, patch.x : patch.x + width] = patch.values
        return self._keep(picture, track, told, _encoded(drawn), "draft", who)

    def submit(self, picture: str, base: int, who: str, track: str = MAIN) -> Told:
        """Say that a label is whole: it becomes the mask of the dataset, and a version that stays.

        Raises:
            StaleError, UsageError, CasaeError: as `change`.
        """
        row = self._row(picture, track)
        if row is not None and row[:2] == (base, "draft"):  # its file is the label, byte for byte
            told, data = Told(picture, *row[:4]), read_file(self.drafts / row[4])
        else:
            told, values = self._at(picture, base, track)
            data = _encoded(values)
        mask = None
        if track == MAIN:
            sample = self.sample(picture)
            mask = self._mask_of(sample)
            if sample.label is not None and self._submitted(picture, track) is None:
                self._keep_first(sample)
        return self._keep(picture, track, told, data, "done", who, mask=mask)

    def discard(self, picture: str, base: int, who: str, track: str = MAIN) -> Told:
        """Go back to what was submitted last, or to an empty label. Raises as `change`."""
        told, values = self._at(picture, base, track)
        sample = self.sample(picture)
        last = self._submitted(picture, track)
        if last is not None:
            values, state = _decoded(self.drafts / last), "done"
        elif track == MAIN and sample.labelled:
            values, state = sample.draw(values.shape, len(self.dataset.classes)), "done"
        else:
            values, state = np.zeros_like(values), "none"
        return self._keep(picture, track, told, _encoded(values), state, who, submitted=False)

    @property
    def stamp(self) -> tuple[tuple[str, str, int], ...]:
        """Versions of all that was drawn: what was made of them holds as long as they do."""
        columns = (labels.c.picture, labels.c.track, labels.c.version)
        wanted = select(*columns).where(labels.c.dataset == self.name).order_by(labels.c.picture, labels.c.track)
        with reading(self.engine) as connection:
            return tuple((row[0], row[1], row[2]) for row in connection.execute(wanted))

    def second_opinions(self) -> Iterator[tuple[str, Values, Values]]:
        """Pictures that two labelled: name, the label, the second opinion. What is gone meanwhile is left out."""
        wanted = select(labels).where(labels.c.dataset == self.name, labels.c.track != MAIN, labels.c.state == "done")
        with reading(self.engine) as connection:
            rows = connection.execute(wanted.order_by(labels.c.picture, labels.c.track)).mappings().all()
        there = {sample.name for sample in self.dataset.samples}
        for row in rows:
            if row["picture"] in there:
                told, values = self.label(row["picture"])
                second = _decoded(self.drafts / row["file"])
                if told.state == "done" and values.shape == second.shape:
                    yield row["picture"], values, second

    def add_picture(self, name: str, data: bytes) -> str:
        """Keep a picture; its name in the project.

        Raises:
            UsageError: the name is taken or cannot be.
            ImageError: it is no picture.
        """
        file = PurePosixPath(name)
        problem = unusable_name(Path(file.name))
        if problem or file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
            raise UsageError(f"{file.name}: {problem or 'is no name of a picture'}; rename it, such as ring-1.png")
        decode_image(data, file.name)
        stem = one_form(file.stem)
        with _adding:
            if any(each.name == stem for each in self.dataset.samples):
                raise UsageError(f"{file.name}: there is a picture of this name; rename it")
            write_durably(self.folder / "images" / one_form(file.name), data)
            _read.cache_clear()
        return stem

    def set_classes(self, classes: Sequence[str], was: Sequence[str] | None = None) -> None:
        """Other names for classes, and more of them; none goes, as masks hold their places.

        Args:
            classes: their names.
            was: as they were when somebody decided that; None does not ask.

        Raises:
            ChangedError: they are others by now.
            UsageError: they are fewer, or no names.
        """
        with _naming:
            self._set_classes(classes, was)

    def _set_classes(self, classes: Sequence[str], was: Sequence[str] | None) -> None:
        before = self.dataset.classes
        if was is not None and tuple(was) != before:
            raise ChangedError(f"{self.name}: its classes are {', '.join(before)} by now; look again, then name them")
        if len(classes) < len(before):
            raise UsageError(f"{self.name}: has {len(before)} classes, whose places masks hold; rename them instead")
        _check_classes(classes)
        file = self.folder / SETTINGS
        content = "\n".join([_classes_line(classes), *_without_classes(read_text(file).splitlines())]) + "\n"
        try:
            DatasetSettings.model_validate(
                {key: value for key, value in tomllib.loads(content).items() if key in DatasetSettings.model_fields}
            )
        except ValueError as error:
            raise UsageError(f"{file}: cannot be changed here ({error}); write the classes into it by hand") from error
        write_whole(file, content)
        book = self.book()
        renamed = {new: book.classes[old] for old, new in zip(before, classes, strict=False) if old in book.classes}
        self.write_book(Book(classes=renamed))
        _read.cache_clear()

    def book(self) -> Book:
        """The label book; empty where nobody wrote one.

        Raises:
            DatasetError: its file is damaged.
        """
        file = self.folder / BOOK
        if not file.is_file():
            return Book()
        try:
            return Book.model_validate_json(file.read_text("utf-8"))
        except (ValidationError, ValueError) as error:
            what = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise DatasetError(f"{file}: {what}; mend it, or delete it") from error

    def write_book(self, book: Book) -> None:
        """Keep the label book.

        Raises:
            UsageError: it is of a class that there is not.
        """
        for name in book.classes:
            if name not in self.dataset.classes and name:
                raise UsageError(f"{without_controls(name)}: is no class of {self.name}")
        write_whole(self.folder / BOOK, book.model_dump_json(indent=2) + "\n")

    def _row(self, picture: str, track: str) -> _Row | None:
        columns = (labels.c.version, labels.c.state, labels.c.at, labels.c.who, labels.c.file)
        with reading(self.engine) as connection:
            row = connection.execute(select(*columns).where(*self._key(picture, track))).first()
        return None if row is None else (row[0], row[1], row[2], row[3], row[4])

    def _submitted(self, picture: str, track: str) -> str | None:
        mine = (submissions.c.dataset == self.name, submissions.c.picture == picture, submissions.c.track == track)
        with reading(self.engine) as connection:
            return connection.scalar(select(submissions.c.file).where(*mine).order_by(submissions.c.id.desc()).limit(1))

    def _key(self, picture: str, track: str) -> tuple[ColumnElement[bool], ...]:
        return labels.c.dataset == self.name, labels.c.picture == picture, labels.c.track == track

    def _keep(
        self,
        picture: str,
        track: str,
        told: Told,
        data: bytes,
        state: str,
        who: str,
        *,
        submitted: bool = True,
        mask: Path | None = None,
    ) -> Told:
        """A next version: its file first, then its row, so that a kill leaves the one before; `mask` gets it too."""
        made = Told(picture, told.version + 1, state, now(), who)
        file = f"{self.name}/{_place(picture, track)}/{made.version}-{new_id()}.png"
        before = self._row(picture, track)
        write_durably(self.drafts / file, data)
        row = {"version": made.version, "state": state, "at": made.at, "who": who, "file": file}
        whole = {"dataset": self.name, "picture": picture, "track": track} | row
        with writing(self.engine) as connection:
            if before is None:
                taken = once(connection, labels, whole, "dataset", "picture", "track")
            else:
                mine = (*self._key(picture, track), labels.c.version == told.version)
                taken = bool(connection.execute(update(labels).where(*mine).values(row)).rowcount)
            if taken and state == "done" and submitted:
                del whole["state"]
                connection.execute(insert(submissions), {"id": new_id()} | whole)
            if taken and mask is not None:  # before it is on record as submitted, and never where it was refused
                write_durably(mask, data)
                _read.cache_clear()
        if not taken:
            (self.drafts / file).unlink(missing_ok=True)
            raise StaleError(self.label(picture, track)[0])
        if before is not None and before[1] == "draft":
            (self.drafts / before[4]).unlink(missing_ok=True)
        return made

    def _at(self, picture: str, base: int, track: str) -> tuple[Told, Values]:
        """The label at a version that somebody wants to go on from.

        Raises:
            StaleError: it is at another one.
            UsageError: the dataset's masks are of a kind that cannot hold what is drawn.
        """
        if track == MAIN:
            self._mask_of(self.sample(picture))
        told, values = self.label(picture, track)
        if told.version != base:
            raise StaleError(told)
        return told, values

    def _keep_first(self, sample: Sample) -> None:
        """The label that the dataset came with, as a version that stays."""
        shape = decode_image(read_file(sample.image), sample.name).shape
        values = sample.draw(shape, len(self.dataset.classes))
        file = f"{self.name}/{_place(sample.name, MAIN)}/0-{new_id()}.png"
        write_durably(self.drafts / file, _encoded(values))
        row = {"id": new_id(), "dataset": self.name, "picture": sample.name, "track": MAIN, "version": 0, "at": now()}
        with writing(self.engine) as connection:
            connection.execute(insert(submissions), row | {"who": "dataset", "file": file})

    def _mask_of(self, sample: Sample) -> Path:
        """The file that a submitted label is written to.

        Raises:
            UsageError: the dataset's masks are of another kind.
        """
        label, settings = sample.label, settings_of_folder(self.folder)
        files = label.files if isinstance(label, MaskLabel) else ()
        odd = settings.masks not in (None, "classes") or settings.ignore
        if odd or len(files) > 1 or (files and files[0].suffix.lower() != ".png"):
            way = f"convert it: casae data convert folder:{self.name} folder:{self.name}-labels"
            raise UsageError(f"{self.name}: its masks are not PNG with a value for each class; {way}")
        return files[0] if files else self.folder / "masks" / f"{sample.name}.png"


def new_project(folder: Path, classes: Sequence[str]) -> None:
    """Make an empty dataset of our own format.

    Raises:
        UsageError: it is there, or the classes are no names.
    """
    _check_classes(classes)
    if folder.exists():
        raise UsageError(f"{folder.name}: there is such a dataset; choose another name")
    write_whole(folder / SETTINGS, f'{_classes_line(classes)}\nmasks = "classes"\n')
    (folder / "images").mkdir()


def _check_classes(classes: Sequence[str]) -> None:
    try:
        DatasetSettings(classes=tuple(classes))
    except ValidationError as error:
        raise UsageError(f"classes: {first_problem(error)}; name each defect, such as scratch") from error


def _classes_line(classes: Sequence[str]) -> str:
    return f"classes = {json.dumps(list(classes), ensure_ascii=False)}"


def _without_classes(lines: Sequence[str]) -> list[str]:
    """Lines of dataset.toml without its classes, which may take several."""
    kept, inside = [], False
    for line in lines:
        inside = inside or OF_CLASSES.match(line) is not None
        if not inside:
            kept.append(line)
        if inside and "]" in line:
            inside = False
    return kept


def _stamp(folder: Path) -> tuple[int, ...]:
    """Changes when files of the dataset come or go."""
    places = (folder / SETTINGS, *(folder / name for name in ("images", "masks", "good", "splits")))
    return tuple(place.stat().st_mtime_ns if place.exists() else 0 for place in places)


def _place(picture: str, track: str) -> str:
    """Name of the folder of a label's versions."""
    return hashlib.sha256(f"{picture}\0{track}".encode()).hexdigest()[:32]


_turn, _adding, _naming = threading.Lock(), threading.Lock(), threading.Lock()


@lru_cache(maxsize=16)
def _read(folder: Path, stamp: tuple[int, ...]) -> Dataset:
    with _turn:
        return read_folder(folder)


def _encoded(values: Values) -> bytes:
    return encode(values, ".png", cv2.IMWRITE_PNG_COMPRESSION, QUICK)


def _decoded(file: Path) -> Values:
    return decode_image(read_file(file), str(file)).astype(np.uint8)
