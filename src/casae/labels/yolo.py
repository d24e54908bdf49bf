"""YOLO segmentation (docs.ultralytics.com/datasets/segment): a text file a picture, polygons as shares of its sides.

`data.yaml` names the classes, and may name folders or lists of pictures: `train`, `val`, `test`. The text file of
`images/x/a.png` is `labels/x/a.txt`, of `train/images/a.png` it is `train/labels/a.txt`. A line of five numbers is a
box. As YOLO takes it, a picture without a text file shows no defect. Polygons have no holes: writing loses them.
"""

import itertools
import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from casae.errors import DatasetError
from casae.files import files_under, find_images, write_whole
from casae.labels.labelset import Images, LabelSet, Picture, known_size, one_form, text_of
from casae.labels.shapes import Shape, polygon
from casae.outlines import outlines_of, signed_area

PICTURES, LABELS, NAMES = "images", "labels", "data.yaml"
LISTS = ("train", "val", "test")


def read_yolo(file: Path) -> LabelSet:
    """Labels beside a `data.yaml`.

    Raises:
        DatasetError: a file is damaged; names the line.
        ImageError: a picture cannot be read.
    """
    content, root, notes = _content(file), file.parent, list[str]()
    classes, listed = _names(content, file), _listed(content, file, notes)
    images = dict.fromkeys([*find_images(root / PICTURES), *itertools.chain(*listed.values())])
    texts = {one_form(text.as_posix()): text for text in sorted(files_under(root, {})) if text.suffix == ".txt"}
    pictures, without = [], 0
    for image in images:
        text = texts.pop(one_form(_text_of(image, root).as_posix()), None)
        height, width = known_size(image)
        shapes: tuple[Shape, ...] = ()
        if text is not None and height:
            lines = enumerate(text_of(text).splitlines(), start=1)
            found = (_shape(line, f"{text}: line {number}", classes, height, width) for number, line in lines)
            shapes = tuple(shape for shape in found if shape)
        without += text is None
        pictures.append(Picture(_name_of(image, root), image, width, height, shapes, source=text or file))
    if not pictures:
        rule = f"no pictures in {PICTURES}/, nor where {file.name} names them"
        raise DatasetError(f"{root}: {rule}; name the {NAMES} of a folder that has pictures and {LABELS}/")
    if without:
        notes.append(f"{without} pictures have no file in {LABELS}/, which says that they show no defect")
    others = [text.relative_to(root) for text in texts.values() if text.name != "classes.txt"]
    left = [text for text in others if LABELS in text.parts]
    if left:
        notes.append(f"{len(left)} files in {LABELS}/ belong to no picture, such as {left[0]}")
    every = list(itertools.chain(*listed.values()))
    apart = len(listed) > 1 and len(set(every)) == len(every)  # or one picture would be learned from and judged on
    names = {title: tuple(_name_of(image, root) for image in each) for title, each in listed.items()} if apart else {}
    return LabelSet("yolo", tuple(classes), tuple(pictures), {}, tuple(notes), names)


def _text_of(image: Path, root: Path) -> Path:
    """The text file of a picture: its last folder `images` is called `labels` there."""
    return root.joinpath(*_renamed(image, root, LABELS)).with_suffix(".txt")


def _name_of(image: Path, root: Path) -> str:
    """What a picture is called: its path without the folder `images`."""
    return "/".join(_renamed(image, root))


def _renamed(image: Path, root: Path, *instead: str) -> list[str]:
    """The parts of a picture's path, with others in the place of its last folder `images`."""
    parts = list(image.relative_to(root).parts)
    if PICTURES in parts:
        last = len(parts) - 1 - parts[::-1].index(PICTURES)
        parts[last : last + 1] = instead
    return parts


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(text_of(file))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:120]
        raise DatasetError(f"{file}: no YAML ({said}); export it again") from error
    return content if isinstance(content, dict) else {}


def _listed(content: Mapping[str, Any], file: Path, notes: list[str]) -> dict[str, list[Path]]:
    """Pictures of each list that the file names, in its folder alone; `notes` gets what is elsewhere."""
    listed: dict[str, list[Path]] = {}
    for title in LISTS:
        said = content.get(title)
        for place in said if isinstance(said, list) else [said] if said else []:
            found, lost = _pictures_at(str(place), str(content.get("path") or "."), file.parent)
            if lost:
                rule = f"{lost} of its pictures are not in the folder, and are passed over"
                notes.append(f"{file.name}: {title}: {place}: {rule}")
            if found is None:
                notes.append(f"{file.name}: {title}: {place} is not in its folder and is passed over")
            else:
                listed.setdefault(title, []).extend(found)
    return listed


def _pictures_at(place: str, path: str, root: Path) -> tuple[list[Path] | None, int]:
    """Pictures of a folder or of a list of paths, and how many are not there; None where `root` has neither, or none.

    Paths of another machine lead to the pictures that their ends name.
    """
    plain = place.replace("\\", "/")
    for each in (root / path / plain, root / plain, root / plain.removeprefix("../")):  # as Roboflow writes it
        found = _inside(each, root)
        if found and found.is_dir():
            return find_images(found), 0
        if found and found.suffix == ".txt" and found.is_file():
            lines = filter(None, (line.strip().replace("\\", "/") for line in text_of(found).splitlines()))
            images = Images([], [root])
            files = [_listed_picture(line, (found.parent, root / path, root), root, images) for line in lines]
            known = [file for file in files if file]
            return known or None, len(files) - len(known)
    return None, 0


def _listed_picture(line: str, bases: tuple[Path, ...], root: Path, images: Images) -> Path | None:
    for base in bases:
        file = _inside(base / line, root)
        if file and file.is_file():
            return file
    return images.find(line, f"{root}: list")


def _inside(place: Path, root: Path) -> Path | None:
    """A path as one below a folder; None where it leads out of it: who packed the file may not know what is there."""
    plain, within = Path(os.path.normpath(place)), Path(os.path.normpath(root))
    if not plain.is_relative_to(within) or not plain.resolve().is_relative_to(within.resolve()):
        return None
    return root / plain.relative_to(within)


def _names(content: Mapping[str, Any], file: Path) -> list[str]:
    """Classes by their number.

    Raises:
        DatasetError: the file names none.
    """
    names = content.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{file}: names no classes; write such as names: [scratch, dent]")
    return [str(name) for name in names]


def _shape(line: str, place: str, classes: list[str], height: int, width: int) -> Shape | None:
    words = line.split()
    if not words:
        return None
    try:
        number, *shares = (float(word) for word in words)
    except ValueError as error:
        raise DatasetError(f"{place}: {error}; write a class and numbers from 0 to 1") from error
    if not math.isfinite(number) or number != int(number) or not 0 <= number < len(classes):
        raise DatasetError(f"{place}: class {words[0]} is none of the {len(classes)} in {NAMES}; mend one")
    if len(shares) == 4:
        x, y, wide, high = shares
        left, right, top, bottom = x - wide / 2, x + wide / 2, y - high / 2, y + high / 2
        shares = [left, top, right, top, right, bottom, left, bottom]
    if len(shares) < 6 or len(shares) % 2:
        raise DatasetError(f"{place}: {len(shares)} numbers are neither a box nor a polygon; export it again")
    try:
        box, left_px, top_px = polygon(np.reshape(shares, (-1, 2)) * (width, height), height, width)
    except ValueError as error:
        raise DatasetError(f"{place}: {error}; write numbers from 0 to 1") from error
    return Shape.of(classes[int(number)], box, left_px, top_px)


def place_of(picture: Picture) -> str:
    """Where a picture lies in `images/`: in no other folder of that name, or YOLO would look elsewhere for its text."""
    *folders, name = PurePosixPath(picture.name).parts
    return PurePosixPath(*(each for each in folders if each != PICTURES), name).as_posix()


def loses(labels: LabelSet) -> str:
    """What polygons cannot hold of these labels; empty if nothing."""
    shapes = (shape for picture in labels.pictures for shape in picture.shapes)
    holes = sum(signed_area(outline) < 0 for shape in shapes for outline in outlines_of(*np.nonzero(shape.pixels)))
    return f"{holes} holes: a polygon of YOLO has none" if holes else ""


def write_yolo(labels: LabelSet, file: Path) -> None:
    """Write `data.yaml` and a text file a picture, without holes.

    Raises:
        OutputError: the place cannot be written.
    """
    root = file.parent
    for picture in labels.pictures:
        lines = []
        for shape in picture.shapes:
            rows, columns = np.nonzero(shape.pixels)
            for outline in outlines_of(rows, columns):
                if signed_area(outline) < 0:
                    continue
                shares = np.add(outline, (shape.left, shape.top)) / (picture.width, picture.height)
                number = labels.classes.index(shape.defect_class)
                lines.append(" ".join([str(number), *(f"{share:.9g}" for share in shares.ravel())]))
        text = root / LABELS / PurePosixPath(place_of(picture)).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        write_whole(text, "".join(f"{line}\n" for line in lines))
    content: dict[str, Any] = {"path": ".", "train": PICTURES, "val": PICTURES}
    if labels.splits:  # or who trains with it would learn what is to be judged on
        places = {picture.name: place_of(picture) for picture in labels.pictures}
        for title, names in labels.splits.items():
            write_whole(root / f"{title}.txt", "".join(f"./{PICTURES}/{places[name]}\n" for name in names))
        content |= {title: f"{title}.txt" for title in labels.splits}
        content["val"] = "val.txt" if "val" in labels.splits else content["train"]
    content["names"] = dict(enumerate(labels.classes))
    write_whole(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
