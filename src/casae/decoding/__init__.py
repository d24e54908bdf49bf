"""From the bytes of an image file to its pixels."""

from casae.decoding.formats import (
    FileState,
    decode_image,
    is_lossy,
    is_transparent,
    orientation_of,
    read_file,
    read_image,
    read_with_state,
    size_of,
)
from casae.decoding.jpeg import JPEG

__all__ = [
    "JPEG",
    "FileState",
    "decode_image",
    "is_lossy",
    "is_transparent",
    "orientation_of",
    "read_file",
    "read_image",
    "read_with_state",
    "size_of",
]
