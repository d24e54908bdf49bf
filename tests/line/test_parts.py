from pathlib import Path

import cv2
import pytest

from casae import Inspector, Part
from casae.errors import UsageError
from casae.line.parts import PartPattern, Told
from casae.line.run import inspect_files


@pytest.mark.parametrize(
    ("pattern", "file", "part"),
    [
        ("{serial}", "/in/4711.png", {"serial": "4711"}),
        ("{serial}_{station}", "/in/4711_left.png", {"serial": "4711", "station": "left"}),
        ("{serial}_*", "/in/4711_2026-11-30.png", {"serial": "4711"}),
        ("{product}/{batch}/{serial}", "/in/ring/B7/4711.png", {"product": "ring", "batch": "B7", "serial": "4711"}),
        ("*-{serial}.cam1", "/in/x-47.11.cam1.png", {"serial": "47.11"}),
        ("{serial}_{station}", "/in/4711.png", {}),
        ("{batch}/{serial}", "4711.png", {}),
    ],
)
def test_a_file_name_says_which_part_it_shows(pattern, file, part):
    assert PartPattern(pattern).part(Path(file)) == Part(**part)


@pytest.mark.parametrize("pattern", ["{serial}_{serial}", "{colour}", "serial", "{serial", "{}", ""])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(UsageError, match="of a part"):
        PartPattern(pattern)


def test_what_is_said_of_all_pictures_holds_where_the_name_says_nothing():
    told = Told("cam 1", PartPattern("{serial}_{station}"), Part(product="ring", station="end of line"))
    assert told.part(Path("4711_left.png")) == Part(serial="4711", station="left", product="ring")
    assert told.part(Path("4711.png")) == Part(product="ring", station="end of line")


def test_records_say_part_camera_and_time_and_another_part_is_another_inspection(dark_model, spotted, tmp_path):
    file = tmp_path / "4711_B7.png"
    cv2.imwrite(str(file), spotted)
    inspector, out = Inspector(dark_model), tmp_path / "out"
    told = Told("cam 1", PartPattern("{serial}_*"))
    (record,), _ = inspect_files(inspector, [file], out, told=told)
    assert (record.part.serial, record.camera) == ("4711", "cam 1")
    assert record.taken_at is not None
    (again,), _ = inspect_files(inspector, [file], out)
    assert again.id == record.id  # nobody says otherwise
    (other,), _ = inspect_files(inspector, [file], out, told=Told(pattern=PartPattern("{serial}_{batch}")))
    assert (other.part.batch, other.id == record.id) == ("B7", False)
    assert len(list(out.glob("report-20*.html"))) == 1
