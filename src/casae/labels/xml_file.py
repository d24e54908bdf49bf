"""XML of other tools, without what can make a small file large."""

import xml.etree.ElementTree as ET
from pathlib import Path

from casae.errors import DatasetError
from casae.files import read_text


def parsed_xml(file: Path) -> ET.Element:
    """The root of an XML file.

    Raises:
        DatasetError: it cannot be read, declares entities, or is no XML.
    """
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: is no text in UTF-8 ({error.reason}); export it again") from error
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError(f"{file}: declares entities, which no export does; export it again")
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise DatasetError(f"{file}: no XML ({error}); export it again") from error
