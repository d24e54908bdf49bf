"""The files of a home: pictures, models and datasets that were uploaded, and what jobs write."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from casae.errors import OutputError, UsageError
from casae.files import SUFFIXES, write_durably
from casae.lock import lock
from casae.models.bundle import SUFFIX

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a dataset: a plain name on every system


@dataclass(frozen=True)
class Home:
    """A folder that one service works in, and whatever else keeps records there.

    Attributes:
        folder: absolute.
    """

    folder: Path

    @property
    def models(self) -> Path:
        """HASH.casae."""
        return self.folder / "models"

    @property
    def images(self) -> Path:
        """Pictures that came by HTTP, by the hash of their bytes."""
        return self.folder / "images"

    @property
    def rules(self) -> Path:
        """HASH.toml, as they came."""
        return self.folder / "rules"

    @property
    def datasets(self) -> Path:
        """A folder each."""
        return self.folder / "datasets"

    @property
    def labels(self) -> Path:
        """What people drew, see `casae.labelling.project`."""
        return self.folder / "labels"

    @property
    def passing(self) -> Path:
        """What is being received or unpacked."""
        return self.folder / "passing"

    @property
    def jobs(self) -> Path:
        """A folder each, with its log and what it wrote."""
        return self.folder / "jobs"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OutputError: the place cannot be written.
        """
        try:
            for place in (self.models, self.rules, self.images, self.datasets, self.labels, self.jobs, self.passing):
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be written ({error.strerror}); check its rights") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other service works in it meanwhile; what a kill left half written is cleared away.

        Raises:
            OutputError: another one does.
        """
        try:
            held = lock(self.jobs)
        except OutputError as error:
            raise OutputError(
                f"{self.folder}: another casae serve works here; end it, or name another --home"
            ) from error
        with held:
            shutil.rmtree(self.passing, ignore_errors=True)
            for left in self.images.glob("*/.*.part"):
                left.unlink(missing_ok=True)
            self.prepare()
            yield

    def model(self, sha256: str) -> Path:
        """The file of a model."""
        return self.models / f"{sha256}{SUFFIX}"

    def rules_file(self, sha256: str) -> Path:
        """The file of acceptance rules."""
        return self.rules / f"{sha256}.toml"

    def keep_image(self, data: bytes, sha256: str, name: str) -> Path:
        """Write a picture, once; it is on disk when this returns.

        Args:
            data: its bytes.
            sha256: of them.
            name: that it came with, of which the suffix is kept.

        Raises:
            OutputError: the disk does not take it.
        """
        earlier = self.image(sha256)
        if earlier is not None:
            return earlier
        suffix = Path(name).suffix.lower()
        file = self.images / sha256[:2] / (sha256 + (suffix if suffix in SUFFIXES else ""))
        write_durably(file, data)
        return file

    def image(self, sha256: str) -> Path | None:
        """The picture of a hash; None where none was kept."""
        return next((self.images / sha256[:2]).glob(f"{sha256}*"), None)

    def forget_image(self, sha256: str) -> None:
        """Delete the picture of a hash, where one was kept."""
        file = self.image(sha256)
        if file is not None:
            file.unlink(missing_ok=True)

    def dataset(self, text: str) -> str:
        """READER:NAME or READER:NAME/FILE with the name of a dataset of this home, there or not, as READER:PATH.

        Raises:
            UsageError: it leads elsewhere.
        """
        reader, _, path = text.partition(":")
        if not path:
            raise UsageError(f"{text}: is no dataset; say READER:NAME, such as folder:rings")
        place = (self.datasets / path).resolve()
        if not place.is_relative_to(self.datasets.resolve()) or place == self.datasets.resolve():
            raise UsageError(f"{text}: leads out of the datasets of this home; name one of them")
        return f"{reader}:{place}"


def check_name(name: str) -> str:
    """A name that is safe as one of a folder.

    Raises:
        UsageError: it is not.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name}: is no name of a dataset; use letters, digits, '.', '_' and '-'")
    return name
