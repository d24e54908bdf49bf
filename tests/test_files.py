import pytest

from casae.errors import OutputError
from casae.files import write_whole


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_file_before(tmp_path):
    file = tmp_path / "part.casae"
    file.write_text("the only model")
    with pytest.raises(OutputError, match="No space"):
        write_whole(file, b"with scores")
    assert file.read_text() == "the only model"
