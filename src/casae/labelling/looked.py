"""What the present model makes of pictures that nobody labelled yet: what it is unsure of, what it has not met."""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from casae.datasets.sample import Sample
from casae.decoding import read_image
from casae.errors import CasaeError
from casae.image import as_seen
from casae.inspection.inspector import Inspector
from casae.inspection.segmentation import with_features
from casae.labelled.order import Order, farthest_first, uncertainty


@dataclass(frozen=True)
class Look:
    """What a model makes of a picture: how unsure it is, bits a pixel, and its features."""

    uncertainty: float
    features: tuple[float, ...]


@dataclass
class Looked:
    """Looks of one model at the pictures of a project, kept in a file, a line each.

    Attributes:
        file: JSON lines.
    """

    file: Path
    known: dict[str, Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._turn = threading.Lock()
        self._looking = False
        if self.file.is_file():
            for line in self.file.read_text("utf-8").splitlines():
                with suppress(ValueError, KeyError):  # a kill may have cut the last one
                    row = json.loads(line)
                    self.known[row["picture"]] = Look(row["uncertainty"], tuple(row["features"]))

    def begin(self, inspector: Inspector, samples: Sequence[Sample]) -> None:
        """Look at those that are not known yet, in a thread beside; nothing if one does so already."""
        with self._turn:
            missing = [sample for sample in samples if sample.name not in self.known]
            if self._looking or not missing:
                return
            self._looking = True
        threading.Thread(target=self._look, args=(inspector, missing), daemon=True).start()

    def order(self, by: Order, names: Sequence[str], labelled: Mapping[str, bool]) -> list[str]:
        """Names of pictures without a label, the best to label next first; those not looked at yet are last."""
        left = [name for name in names if not labelled[name]]
        known = dict(self.known)
        if by == "diverse":
            rows = [name for name in names if name in known]
            if rows:
                features = np.array([known[name].features for name in rows], np.float32)
                order = farthest_first(features, np.array([labelled[name] for name in rows]))
                first = [rows[index] for index in order]
                return first + [name for name in left if name not in known]
            return left
        return sorted(left, key=lambda name: -known[name].uncertainty if name in known else 1.0)

    def _look(self, inspector: Inspector, samples: Sequence[Sample]) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            for sample in samples:
                with suppress(CasaeError):  # a picture that cannot be read is not looked at
                    image = inspector.in_full_scale(
                        as_seen(read_image(sample.image), inspector.manifest.input.channels)
                    )
                    probability, rows = with_features(inspector.segmenter, image, inspector.manifest.input)
                    features = tuple(round(float(value), 5) for value in rows.mean(0))
                    self.known[sample.name] = Look(round(uncertainty(probability), 6), features)
                    with self.file.open("a", encoding="utf-8") as lines:
                        row = {"picture": sample.name} | vars(self.known[sample.name])
                        lines.write(json.dumps(row) + "\n")
        finally:
            self._looking = False
