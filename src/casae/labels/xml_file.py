"""XML of other tools, without what can make a small file large."""

import xml.etree.ElementTree as ET
from pathlib import Path

from casae.errors import DatasetError
from casae.labels.labelset import text_of


def parsed_xml(file: Path) -> ET.Element:
    """The root of an XML file.

    Raises:
        DatasetError: it cannot be read, declares entities, or is no XML.
    """
    text = text_of(file)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError(f"{file}: declares entities, which no export does; export it again")
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise DatasetError(f"{file}: no XML ({error}); export it again") from error
