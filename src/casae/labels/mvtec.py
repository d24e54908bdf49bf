"""The layout of MVTec AD (Bergmann et al. 2019, 2021): a folder a kind of defect, a mask beside each picture of it.

`train/good/`, `test/good/` and `test/KIND/NAME.png` with `ground_truth/KIND/NAME_mask.png`, white on black. A picture
shows one kind of defect, so it can hold no second class. Names are their paths, such as `test/scratch/000`.
"""

import re
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from casae.decoding import read_image
from casae.errors import DatasetError
from casae.files import find_images, write_whole
from casae.image import encode
from casae.labels.labelset import LabelSet, Picture, known_size
from casae.labels.shapes import Shape

UNSAFE = re.compile(r"[/\\\x00-\x1f:*?\"<>|]")
GOOD, TRUTH, PARTS = "good", "ground_truth", ("train", "test")


def read_mvtec(folder: Path) -> LabelSet:
    """Labels of one category, such as `bottle/`.

    Raises:
        DatasetError: the folder is laid out otherwise.
        ImageError: a mask cannot be read.
    """
    pictures, kinds, without = [], set(), 0
    for part in PARTS:
        for file in find_images(folder / part):
            name = file.relative_to(folder)
            if len(name.parts) < 3:
                raise DatasetError(f"{file}: lies in no folder of its kind; put it into {part}/good or {part}/KIND")
            kind = name.parts[1]
            mask = folder / TRUTH / PurePosixPath(*name.parts[1:-1], f"{name.stem}_mask.png")
            height, width = known_size(file)
            shapes = () if kind == GOOD else _shapes(mask, kind)
            without += shapes is None
            kinds |= {kind} - {GOOD}
            source = mask if kind != GOOD and mask.is_file() else None
            drawn = shapes or ()
            pictures.append(Picture(name.as_posix(), file, width, height, drawn, shapes is not None, source=source))
    if not pictures:
        raise DatasetError(f"{folder}: no pictures in train/ and test/; name the folder of one category")
    rule = f"have no mask in {TRUTH}/, or one that shows nothing, and are not learned from"
    notes = [f"{without} defective pictures {rule}"] if without else []
    return LabelSet("mvtec", tuple(sorted(kinds)), tuple(pictures), {}, tuple(notes))


def _shapes(mask: Path, kind: str) -> tuple[Shape, ...] | None:
    """What a mask shows; None without one, or where it shows nothing."""
    if not mask.is_file():
        return None
    pixels = read_image(mask)
    gray = pixels if pixels.ndim == 2 else pixels.max(-1)
    shape = Shape.of(kind, gray > gray.max() / 2)  # white is 1 in some
    return None if shape is None else (shape,)


def kind_of(picture: Picture) -> str:
    """The folder of a picture: the class that most of its labelled pixels have."""
    areas = Counter[str]()
    for shape in picture.shapes:
        areas[shape.defect_class] += shape.area
    return folder_of(areas.most_common(1)[0][0]) if areas else GOOD


def folder_of(defect_class: str) -> str:
    """A class as one folder, which is not that of good pictures and leads nowhere else."""
    name = UNSAFE.sub("_", defect_class).strip(". ") or "_"
    return f"{name}_" if name.lower() == GOOD else name


def place_of(picture: Picture) -> str:
    """Where a picture lies: good ones are learned from, others judged, as MVTec has it."""
    kind = kind_of(picture)
    plain = PurePosixPath(picture.name)
    known = plain.parts[:2] == ("test", kind) or (kind == GOOD and plain.parts[:2] == ("train", GOOD))
    return plain.as_posix() if known else f"{'train' if kind == GOOD else 'test'}/{kind}/{plain.as_posix()}"


def loses(labels: LabelSet) -> str:
    """What the layout cannot hold of these labels; empty if nothing."""
    several = sum(len({shape.defect_class for shape in picture.shapes}) > 1 for picture in labels.pictures)
    if several:
        return f"{several} pictures show several classes, and a folder of mvtec is of one"
    renamed = sorted({name for name in labels.classes if folder_of(name) != name})
    return f"class {renamed[0]!r} cannot be the name of a folder of defects" if renamed else ""


def write_mvtec(labels: LabelSet, folder: Path) -> None:
    """Write the masks; the pictures lie where `place_of` says.

    Raises:
        OutputError: the place cannot be written.
    """
    for picture in labels.pictures:
        kind = kind_of(picture)
        if kind == GOOD:
            continue
        mask = np.zeros((picture.height, picture.width), np.uint8)
        for shape in picture.shapes:
            shape.draw(mask, 255)
        within = PurePosixPath(place_of(picture)).relative_to("test").with_suffix("")
        file = folder / TRUTH / within.with_name(f"{within.name}_mask.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, encode(mask, ".png"))
