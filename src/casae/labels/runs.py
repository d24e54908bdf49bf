"""Masks as runs of equal pixels, in the forms that labelling tools write them.

All start with a run of background. They differ in the order in which pixels are counted and in what is counted:

- casae and CVAT: row by row, inside a box;
- COCO: column by column, over the whole picture; as a list, or packed into characters (pycocotools' `rleToString`);
- Label Studio: the four bytes RGBA of every pixel, row by row, packed into bits (thi.ng's `rle-pack`), as
  label-studio-converter 0.0.61 writes them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 2**31  # of a mask; more is a damaged file
FIRST_CHARACTER = 48  # COCO packs five bits and a mark that more follow into each
LENGTH_BITS = (3, 4, 8, 16)  # of Label Studio's words, by the place that two bits name
CHANNELS = 4


def runs_of(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of a flat (N,) array, background first, so perhaps 0.

    >>> runs_of(np.array([True, True, False])).tolist()
    [0, 2, 1]
    """
    if not flags.size:
        return np.zeros(1, np.int64)
    changes = np.flatnonzero(flags[1:] != flags[:-1]) + 1
    edges = np.concatenate(([0], changes, [flags.size]))
    lengths = np.diff(edges)
    return np.concatenate(([0], lengths)) if flags[0] else lengths


def flags_of(runs: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """The flat (size,) array of runs, background first.

    Raises:
        ValueError: they are not whole numbers from 0 on, or do not add up to `size`.
    """
    lengths = _checked(runs, size)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def _checked(runs: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Runs that add up to `size`; see `flags_of`."""
    lengths = np.asarray(runs)
    if lengths.ndim != 1 or not np.issubdtype(lengths.dtype, np.integer) or (lengths < 0).any():
        raise ValueError("runs must be whole numbers, 0 or more")
    total = int(lengths.sum(dtype=np.float64)) if lengths.size else 0
    if total != size or size > MOST_PIXELS:
        raise ValueError(f"runs cover {total} pixels where {size} are due")
    return lengths.astype(np.int64)


def from_coco(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool of COCO's `counts`, packed or not.

    Raises:
        ValueError: they do not describe a mask of this size.
    """
    runs = _checked(_unpacked(counts) if isinstance(counts, str) else counts, height * width)
    mask = np.zeros((height, width), np.bool_)
    ends = np.cumsum(runs)
    starts = ends - runs
    inside = np.flatnonzero(runs[1::2]) * 2 + 1
    if inside.size:  # of a large picture, the columns alone that have pixels
        first, last = int(starts[inside[0]]) // height, (int(ends[inside[-1]]) - 1) // height
        within = np.clip(ends, first * height, (last + 1) * height)
        lengths = np.diff(within, prepend=first * height)
        flags = np.repeat(np.arange(len(runs)) % 2 == 1, lengths)
        mask[:, first : last + 1] = flags.reshape(last + 1 - first, height).T
    return mask


def to_coco(mask: NDArray[np.bool_]) -> str:
    """COCO's packed `counts` of a (height, width) bool mask."""
    runs = runs_of(mask.T.ravel())
    packed = []
    for place, run in enumerate(runs.tolist()):
        value = run - int(runs[place - 2]) if place > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            packed.append(chr(FIRST_CHARACTER + (bits | 0x20 if more else bits)))
    return "".join(packed)


def _unpacked(text: str) -> list[int]:
    """The runs of COCO's characters: each is the difference to the one before the last, five bits a character.

    Raises:
        ValueError: the text is none of it.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - FIRST_CHARACTER
        if not 0 <= code < 64 or shift > 60:
            raise ValueError(f"{character!r} is no character of a packed mask")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the packed mask is cut off")
    return runs


def from_label_studio(data: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool of Label Studio's `rle` list; a pixel is labelled where its alpha is not 0.

    Raises:
        ValueError: it does not describe a mask of this size.
    """
    values = np.asarray(data)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or ((values < 0) | (values > 255)).any():
        raise ValueError("a brush mask is a list of bytes")
    bits = _Bits(values.astype(np.uint8))
    count = bits.take(32)
    word = bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in range(4)]
    if count != height * width * CHANNELS or count > MOST_PIXELS:
        raise ValueError(f"the brush mask has {count} values where {height * width * CHANNELS} are due")
    out = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        repeated = bits.take(1)
        length = bits.take(sizes[bits.take(2)]) + 1
        end = min(place + length, count)
        if repeated:
            out[place:end] = bits.take(word) & 0xFF
        else:
            out[place:end] = bits.take_each(end - place, word)
        place = end
    return out.reshape(height, width, CHANNELS)[..., CHANNELS - 1] > 0


def to_label_studio(mask: NDArray[np.bool_]) -> list[int]:
    """Label Studio's `rle` list of a (height, width) bool mask: 255 in all four channels where labelled."""
    largest = 1 << LENGTH_BITS[-1]
    bits = [f"{mask.size * CHANNELS:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in LENGTH_BITS)]
    for place, run in enumerate((runs_of(mask.ravel()) * CHANNELS).tolist()):
        value = "11111111" if place % 2 else "00000000"
        while run:
            length = min(run, largest)
            which = next(index for index, size in enumerate(LENGTH_BITS) if length <= 1 << size)
            bits.append(f"1{which:02b}{length - 1:0{LENGTH_BITS[which]}b}{value}")
            run -= length
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return [int(stream[at : at + 8], 2) for at in range(0, len(stream), 8)]


class _Bits:
    """Bits of a byte string from the highest on."""

    def __init__(self, values: NDArray[np.uint8]) -> None:
        self._bits = np.unpackbits(values)
        self._at = 0

    def _next(self, count: int) -> NDArray[np.uint8]:
        end = self._at + count
        if end > len(self._bits):
            raise ValueError("the brush mask is cut off")
        taken = self._bits[self._at : end]
        self._at = end
        return taken

    def take(self, count: int) -> int:
        """The next bits as a number; raises ValueError where not so many are left."""
        return int.from_bytes(np.packbits(self._next(count)).tobytes(), "big") >> (-count % 8)

    def take_each(self, number: int, count: int) -> NDArray[np.uint8]:
        """The lower eight bits of the next numbers, each of so many bits; raises ValueError as above."""
        each = self._next(number * count).reshape(number, count)[:, -8:]
        weights = 1 << np.arange(each.shape[1] - 1, -1, -1)
        return (each @ weights).astype(np.uint8)
