"""Pascal VOC with class masks, and CVAT's "Segmentation mask": a colour for each class, listed in `labelmap.txt`.

`JPEGImages/NAME.*` and `SegmentationClass/NAME.png`. Without a list, colours are those of VOC's palette and classes are
called by their place in it. Black is background, and so is the border that VOC leaves undecided.
"""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from casae.decoding import read_image
from casae.errors import DatasetError
from casae.files import find_images, write_whole
from casae.image import encode
from casae.labels.labelset import LabelSet, Picture, text_of
from casae.labels.shapes import Shape

PICTURES, MASKS, LIST = "JPEGImages", "SegmentationClass", "labelmap.txt"
SETS = "ImageSets/Segmentation"  # lists of pictures
UNDECIDED = (224, 224, 192)  # place 255
BACKGROUND = ("background", "__background__", "_background_")
Colour = tuple[int, int, int]


def palette(count: int) -> list[Colour]:
    """VOC's colours: bit by bit, the place's lowest three bits go to the highest of red, green and blue, and so on.

    >>> palette(4)
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    """
    colours = []
    for place in range(count):
        channels = [sum(((place >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)]
        colours.append((channels[0], channels[1], channels[2]))
    return colours


def loses(labels: LabelSet) -> str:
    """What the list of classes cannot hold; empty if nothing."""
    odd = next((name for name in labels.classes if ":" in name or name.lstrip().startswith("#")), None)
    return "" if odd is None else f"class {odd!r} cannot stand in {LIST}, where : and # mean something"


def listed(name: str) -> str:
    """A class as the list of classes can hold it."""
    return name.replace(":", "_").replace("#", "_")


def read_voc(folder: Path) -> LabelSet:
    """Labels of a folder in VOC's layout.

    Raises:
        DatasetError: it is laid out otherwise, a mask has a colour that the list lacks, or the list is damaged.
        ImageError: a mask cannot be read.
    """
    pictures, masks = (_by_stem(folder / part) for part in (PICTURES, MASKS))
    if not pictures or not masks:
        raise DatasetError(
            f"{folder}: no pictures in {PICTURES}/ or no masks in {MASKS}/; name the folder that has both"
        )
    colours = _colours(folder / LIST)
    found, used = [], set()
    for stem, file in pictures.items():
        mask = masks.pop(stem, None)
        name = file.relative_to(folder / PICTURES).as_posix()
        if mask is None:
            found.append(Picture(name, file, 0, 0, labelled=False))
            continue
        pixels = read_image(mask)
        shapes = _shapes(pixels if pixels.ndim == 3 else np.dstack([pixels] * 3), colours, mask)
        used |= {shape.defect_class for shape in shapes}
        found.append(Picture(name, file, pixels.shape[1], pixels.shape[0], shapes, source=mask))
    notes = [f"{MASKS}/{mask.name}: no such picture in {PICTURES}/" for mask in masks.values()]
    classes = [name for name in colours.values() if name not in BACKGROUND and name]
    is_listed = (folder / LIST).is_file()
    return LabelSet("voc", tuple(n for n in classes if is_listed or n in used), tuple(found), {}, tuple(notes))


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in find_images(folder):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DatasetError(f"{file}: same name as {found[stem].name}; keep one")
        found[stem] = file
    return found


def _colours(file: Path) -> dict[Colour, str]:
    """Name by colour; of background and what is undecided, a name that is no class."""
    usual = {(0, 0, 0): BACKGROUND[0], UNDECIDED: ""}
    if not file.is_file():
        return usual | {colour: f"class {place}" for place, colour in enumerate(palette(255)) if place}
    listed: dict[Colour, str] = {}
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        try:
            red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
        except ValueError as error:
            raise DatasetError(f"{file}: line {number}: write name:red,green,blue:: instead of {line[:40]}") from error
        listed[red, green, blue] = name
    return usual | listed


def _shapes(pixels: NDArray[np.uint8], colours: dict[Colour, str], mask: Path) -> tuple[Shape, ...]:
    """One shape a class: what has its colour."""
    codes = (pixels.astype(np.int64) * (65536, 256, 1)).sum(-1)
    found = []
    for code in np.unique(codes).tolist():
        colour = (code >> 16, code >> 8 & 255, code & 255)
        if colour not in colours:
            raise DatasetError(f"{mask}: colour {colour} names no class; list it in {LIST}, or save masks as PNG")
        name = colours[colour]
        if name and name not in BACKGROUND:
            found.append(Shape.of(name, codes == code))
    return tuple(shape for shape in found if shape)


def write_voc(labels: LabelSet, folder: Path) -> None:
    """Write masks, `labelmap.txt` and a list of the pictures.

    Raises:
        OutputError: the place cannot be written.
    """
    colours = dict(zip(labels.classes, palette(len(labels.classes) + 1)[1:], strict=True))
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    lines += [f"{listed(name)}:{','.join(map(str, colour))}::" for name, colour in colours.items()]
    write_whole(folder / LIST, "\n".join([*lines, ""]))
    labelled = [picture for picture in labels.pictures if picture.labelled]
    names = [str(PurePosixPath(picture.name).with_suffix("")) for picture in labelled]
    write_whole(folder / SETS / "default.txt", "".join(f"{name}\n" for name in names))  # others find pictures by lists
    for picture in labelled:
        places = np.zeros((picture.height, picture.width), np.uint8)
        for shape in picture.shapes:
            shape.draw(places, labels.classes.index(shape.defect_class) + 1)
        table = np.array([(0, 0, 0), *colours.values()], np.uint8)
        file = folder / MASKS / PurePosixPath(picture.name).with_suffix(".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, encode(table[places], ".png"))
