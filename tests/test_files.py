from pathlib import Path

import pytest

from casae.errors import OutputError
from casae.files import unusable_name, without_controls, write_whole


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_file_before(tmp_path):
    file = tmp_path / "part.casae"
    file.write_text("the only model")
    with pytest.raises(OutputError, match="No space"):
        write_whole(file, b"with scores")
    assert file.read_text() == "the only model"


def test_names_of_every_language_can_stand_in_a_record_and_commands_cannot():
    for name in ("部品\u30001.png", "Bildschirmfoto 09.15\u202fPM.png", "a\u00a0b.png", "क्\u200dष.png", "ü.png"):
        assert unusable_name(Path(name)) == ""
        assert without_controls(name) == name
    for name in ("a\x1b[31m.png", "a\u2028b.png", "a\u202egnp.exe", "a\x85.png"):
        assert "control characters" in unusable_name(Path(name))
