"""The formats by their names: how to read one, and how to write one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from casae.errors import DatasetError
from casae.labels.brush_png import read_brush_png
from casae.labels.coco import read_coco, write_coco
from casae.labels.cvat import read_cvat, write_cvat
from casae.labels.label_studio import read_label_studio, write_label_studio
from casae.labels.labelme import read_labelme, write_labelme
from casae.labels.labelset import LabelSet, Picture
from casae.labels.mvtec import loses as mvtec_loses
from casae.labels.mvtec import place_of, read_mvtec, write_mvtec
from casae.labels.results import FILE as RESULTS_FILE
from casae.labels.results import read_results
from casae.labels.severstal import PICTURES, read_severstal, write_severstal
from casae.labels.voc import PICTURES as VOC_PICTURES
from casae.labels.voc import loses as voc_loses
from casae.labels.voc import read_voc, write_voc
from casae.labels.yolo import loses as yolo_loses
from casae.labels.yolo import place_of as yolo_place_of
from casae.labels.yolo import read_yolo, write_yolo

UNNAMED = "defect without class"  # what such a region is called where every one needs a name


@dataclass(frozen=True)
class Format:
    """A format of labels.

    Attributes:
        read: from its file or folder to what it says.
        write: into a folder that holds the pictures; None where it is only read.
        file: name of its file in such a folder; None where it has one beside each picture.
        endings: of such files, where a folder is named instead.
        pictures: folder of the pictures in it; empty for the folder itself.
        place: of a picture in that folder; read again, it is called so.
        loses: what it cannot hold of some labels, in words; empty if nothing.
        tells_unlabelled: whether it knows pictures that nobody labelled, beside those without defect.
    """

    read: Callable[[Path], LabelSet]
    write: Callable[[LabelSet, Path], None] | None = None
    file: str | None = None
    endings: tuple[str, ...] = ()
    pictures: str = "images"
    tells_unlabelled: bool = False
    place: Callable[[Picture], str] = lambda picture: picture.name
    loses: Callable[[LabelSet], str] = lambda labels: ""


FORMATS: Mapping[str, Format] = {
    "coco": Format(read_coco, write_coco, "annotations.json", (".json",)),
    "labelme": Format(read_labelme, write_labelme, pictures="", tells_unlabelled=True),
    "cvat": Format(read_cvat, write_cvat, "annotations.xml", (".xml",)),
    "label-studio": Format(read_label_studio, write_label_studio, "tasks.json", (".json",), tells_unlabelled=True),
    "label-studio-png": Format(read_brush_png),
    "yolo": Format(read_yolo, write_yolo, "data.yaml", (".yaml", ".yml"), place=yolo_place_of, loses=yolo_loses),
    "voc": Format(read_voc, write_voc, pictures=VOC_PICTURES, tells_unlabelled=True, loses=voc_loses),
    "mvtec": Format(read_mvtec, write_mvtec, pictures="", tells_unlabelled=False, place=place_of, loses=mvtec_loses),
    "severstal": Format(read_severstal, write_severstal, "train.csv", (".csv",), pictures=PICTURES),
    "results": Format(read_results, file=RESULTS_FILE, endings=(".jsonl",)),
}


WRITTEN = tuple(name for name, form in FORMATS.items() if form.write)


def read_labels(name: str, path: Path) -> LabelSet:
    """What a file or folder of a format says.

    Raises:
        DatasetError: it is not there, is damaged, or a folder holds several such files.
    """
    form = FORMATS[name]
    if form.file is None:
        if not path.is_dir():
            raise DatasetError(f"{path}: no such folder; name the folder that holds the {name} files")
        return form.read(path)
    if path.is_dir():
        path = _only_file(name, form, path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; name the file that {name} exported")
    return form.read(path)


def _only_file(name: str, form: Format, folder: Path) -> Path:
    """The file of a format in a folder: that of the usual name, or the only one."""
    usual = folder / str(form.file)
    files = (file for file in sorted(folder.glob("*")) if not file.name.startswith("."))  # as a Mac puts beside others
    found = [file for file in files if file.suffix.lower() in form.endings]
    if usual in found:
        return usual
    if len(found) == 1:
        return found[0]
    some = " and ".join(file.name for file in found[:2]) or "none"
    raise DatasetError(f"{folder}: holds {some} of {name}; name the file itself")
