"""Label Studio, JSON (labelstud.io/guide/export): a list of tasks, each with a picture and annotations.

Sizes are per cent of the picture; a brush mask is runs of RGBA (`runs.from_label_studio`). Of several annotations of a
task the one that was changed last counts; cancelled ones do not.
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.decoding import decode_image
from casae.errors import ImageError
from casae.files import SUFFIXES, write_whole
from casae.labels.json_node import Node
from casae.labels.labelset import Images, LabelSet, Picture, known_size
from casae.labels.runs import from_label_studio, to_label_studio
from casae.labels.shapes import Shape, ellipse, polygon
from casae.labels.xml_file import parsed_xml

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded picture
CONFIG = "label_config.xml"  # the labelling interface, with the classes in their order
KINDS = ("brush", "bitmask", "polygon", "rectangle", "ellipse")
STORES = ("s3", "gs", "azure-blob")
OTHERS = ""  # counted beside types of results: those of other pictures of a task
ODD = re.compile(r"[^-\w.]")  # what Django takes out of the names of uploaded files
PNG = "data:image/png;base64,"  # begins a bitmask


def read_label_studio(file: Path) -> LabelSet:
    """Labels of an export in JSON; pictures are looked for beside it, in `images/`, and above.

    Raises:
        DatasetError: the file is no such export; names the place in it.
    """
    images, listed = Images.near(file), _configured(file.parent / CONFIG)
    pictures, notes = [], []
    skipped = Counter[str]()
    for task in Node.of(file).each():
        picture = _picture(task, images, skipped, listed)
        pictures.append(picture)
        if picture.file is None:
            notes.append(f"{picture.name}: no such picture near {file.name}")
    for kind, count in sorted((+skipped).items()):
        why = (
            f"are of other pictures of their tasks than {listed.image or 'the first'}"
            if kind == OTHERS
            else (f"of type {kind} draw nothing that casae knows")
        )
        notes.append(f"{count} results {why} and are left out")
    drawn = {shape.defect_class for picture in pictures for shape in picture.shapes if shape.defect_class}
    ordered = [name for name in listed.classes if name in drawn]
    classes = (*ordered, *sorted(drawn.difference(ordered)))
    return LabelSet("label-studio", classes, tuple(pictures), {}, tuple(notes))


@dataclass(frozen=True)
class _Configuration:
    """A labelling interface: its classes in their order, the name of its first picture, and its key in tasks."""

    classes: tuple[str, ...] = ()
    image: str = ""
    key: str = ""


def _configured(file: Path) -> _Configuration:
    """That beside the export; an empty one without it."""
    if not file.is_file():
        return _Configuration()
    root = parsed_xml(file)
    first = next(root.iter("Image"), None)
    names = ("", "") if first is None else (first.get("name", ""), first.get("value", "").removeprefix("$"))
    return _Configuration(tuple(dict.fromkeys(str(node.get("value")) for node in root.iter("Label"))), *names)


def _picture(task: Node, images: Images, skipped: Counter[str], configured: _Configuration) -> Picture:
    """A task; `skipped` counts results that draw nothing, by their type. One of such alone is not labelled."""
    name = name_of(address_of(task, configured.key))
    file = find_uploaded(images, name, f"{task.file}: {task.place}")
    chosen = annotation_of(task)
    found = [] if chosen is None else list(chosen.at("result").each())
    of_others = [each for each in found if _is_of_another(each, found, configured.image)]
    skipped[OTHERS] += len(of_others)
    found = [each for each in found if each not in of_others]
    names = _names_apart(found)
    results = [each for each in found if _kind(each)]
    skipped.update(each.at("type").text() for each in found if not _kind(each) and _type(each) not in ("", "labels"))
    width = height = 0
    shapes = []
    if not results and file:
        height, width = known_size(file)
    for each in results:
        width, height = each.at("original_width").whole(1), each.at("original_height").whole(1)
        shape = _shape(each, height, width, names)
        if shape:
            shapes.append(shape)
    labelled = chosen is not None and bool(results or not found)
    extra = task.others("annotations", "predictions", "data") | {"data": task.at("data").value}
    return Picture(name, file, width, height, tuple(shapes), labelled, extra, task.file)


def find_uploaded(images: Images, name: str, place: str) -> Path | None:
    """The picture of a task, also under the name that it had before it was uploaded; see `Images.find`."""
    found = images.find(name, place) or images.find(UPLOADED.sub("", PurePosixPath(name).name), place)
    if found is None and UPLOADED.match(PurePosixPath(name).name):
        kept = UPLOADED.sub("", PurePosixPath(name).name)
        return images.like(lambda other: ODD.sub("", other.replace(" ", "_")) == kept)
    return found


def _is_of_another(result: Node, found: Sequence[Node], image: str) -> bool:
    """Whether a result is of another picture than the first one of its task."""
    names = [str(each.value.get("to_name")) for each in found if each.has("to_name")]
    first = image if image in names else min(names, default="")
    later = result.value.get("item_index")
    return (result.has("to_name") and result.value["to_name"] != first) or later not in (None, 0)


def address_of(task: Node, key: str = "") -> str:
    """Where the picture of a task lies, as Label Studio has it.

    Args:
        task: of an export.
        key: of the picture in its data, as far as the labelling interface says it.

    Raises:
        DatasetError: it names none.
    """
    if not task.has("data") and {"annotation_id", "annotator", "lead_time"} & set(task.others()):
        raise task.error("is of JSON-MIN, without what was drawn as it was; export as JSON")
    data = task.at("data")
    for name in (key, "image"):
        if name and data.has(name):
            said = data.at(name)
            return said.text() if isinstance(said.value, str) else next(said.each()).text()
    addresses = [value for value in data.others().values() if isinstance(value, str)]
    pictures = [each for each in addresses if PurePosixPath(name_of(each)).suffix.lower() in SUFFIXES]
    if not addresses:
        raise data.error("names no picture; export it again")
    return (pictures or addresses)[0]


def name_of(address: str) -> str:
    """The path in an address: of an upload, of a local file (`?d=`), or of any server."""
    try:
        parts = urlsplit(address)
    except ValueError:  # such as brackets that are no address: the text is a path
        return unquote(address)
    local = parse_qs(parts.query).get("d")
    path = unquote(local[0] if local else parts.path)
    if parts.scheme in STORES:  # where ? and # belong to names
        path = address.partition("://")[2].partition("/")[2]
    return path.lstrip("/").removeprefix("data/").removeprefix("upload/")


def annotation_of(task: Node) -> Node | None:
    """The annotation that counts; None where nobody has annotated."""
    if not task.has("annotations"):
        return None
    done = [each for each in task.at("annotations").each() if not each.others().get("was_cancelled")]
    newest = max((str(each.value.get("updated_at", "")) for each in done), default="")
    return next((each for each in reversed(done) if str(each.value.get("updated_at", "")) == newest), None)


def _type(node: Node) -> str:
    return node.at("type").text() if node.has("type") else ""


def _kind(node: Node) -> str | None:
    """What a result draws: one of `KINDS`; None of a choice, a text or a relation."""
    return next((each for each in KINDS if _type(node) in (each, f"{each}labels")), None)


def _names_apart(results: Sequence[Node]) -> dict[str, str]:
    """Classes of regions by their id, where `<Labels>` names what `<Brush>` and the like draw: a result of its own."""
    named: dict[str, str] = {}
    for each in results:
        if _type(each) == "labels" and each.has("id") and each.at("value").has("labels"):
            names = [name.text() for name in each.at("value").at("labels").each()]
            named[each.at("id").text()] = names[0] if names else ""
    return named


def _shape(node: Node, height: int, width: int, names_apart: Mapping[str, str]) -> Shape | None:
    value, kind = node.at("value"), _kind(node)
    key = f"{kind}labels" if value.has(f"{kind}labels") else "labels"
    names = [each.text() for each in value.at(key).each()] if value.has(key) else []
    if not names and node.has("id"):
        names = [names_apart.get(node.at("id").text(), "")]
    scale = np.array([width, height]) / 100
    try:
        if kind == "brush":
            box, left, top = from_label_studio(value.at("rle").value, height, width), 0, 0
        elif kind == "bitmask":
            box, left, top = _bitmask(value, height, width), 0, 0
        elif kind == "polygon":
            corners = [each.numbers() for each in value.at("points").each()]
            box, left, top = polygon(np.asarray(corners, np.float64) * scale, height, width)
        elif kind == "ellipse":
            x, y, across, along = (value.at(each).number() for each in ("x", "y", "radiusX", "radiusY"))
            turned = value.at("rotation").number() if value.has("rotation") else 0.0
            centre = (x * scale[0], y * scale[1])
            box, left, top = ellipse(centre, (across * scale[0], along * scale[1]), height, width, turned)
        else:
            box, left, top = polygon(_rectangle(value, width / 100, height / 100), height, width)
    except (ValueError, TypeError) as error:
        raise value.error(f"{error}; export it again") from error
    extra = node.others("value", "original_width", "original_height", "type", "from_name", "to_name")
    return Shape.of(names[0] if names else "", box, left, top, extra)


def _bitmask(value: Node, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool of a PNG in the value: black pixels on a transparent ground."""
    texts = [text for text in value.others().values() if isinstance(text, str) and text.startswith(PNG)]
    if not texts:
        raise ValueError("holds no PNG in base64")
    try:
        data = base64.b64decode(texts[0].removeprefix(PNG), validate=True)
        size = decode_image(data, "the PNG").shape[:2]
    except (binascii.Error, ImageError) as error:
        raise ValueError(f"is no PNG in base64 ({error})") from error
    if size != (height, width):
        raise ValueError(f"its PNG is {size[1]} x {size[0]} px, its picture {width} x {height}")
    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    opaque = pixels[..., 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels.reshape(height, width, -1).max(-1)
    return np.asarray(opaque > 0)


def _rectangle(value: Node, across: float, along: float) -> NDArray[np.float64]:
    """Corners in px, turned clockwise about the first one; a per cent has `across` and `along` px."""
    x, wide = (across * value.at(each).number() for each in ("x", "width"))
    y, high = (along * value.at(each).number() for each in ("y", "height"))
    angle = np.deg2rad(value.at("rotation").number() if value.has("rotation") else 0.0)
    start = np.array([x, y])
    right = wide * np.array([np.cos(angle), np.sin(angle)])
    down = high * np.array([-np.sin(angle), np.cos(angle)])
    return np.array([start, start + right, start + right + down, start + down])


def write_label_studio(labels: LabelSet, file: Path) -> None:
    """Write tasks with brush masks, to be imported.

    Raises:
        OutputError: the place cannot be written.
    """
    own = labels.format == "label-studio"
    tasks = []
    for picture in labels.pictures:
        task: dict[str, Any] = dict(picture.extra) if own else {"data": {"image": quote(picture.name)}}
        if picture.labelled:
            task["annotations"] = [{"result": [_written(shape, picture, own) for shape in picture.shapes]}]
        tasks.append(task)
    write_whole(file, json.dumps(tasks, ensure_ascii=False) + "\n")
    names = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in labels.classes)
    brush = f'  <BrushLabels name="tag" toName="image">\n{names}  </BrushLabels>\n'
    write_whole(file.with_name(CONFIG), f'<View>\n  <Image name="image" value="$image"/>\n{brush}</View>\n')


def _written(shape: Shape, picture: Picture, own: bool) -> dict[str, Any]:
    names = {"brushlabels": [shape.defect_class]} if shape.defect_class else {}
    return (dict(shape.extra) if own else {}) | {
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": picture.width,
        "original_height": picture.height,
        "value": {"format": "rle", "rle": to_label_studio(shape.mask(picture.height, picture.width))} | names,
    }
