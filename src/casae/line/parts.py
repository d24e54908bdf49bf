"""What a line says of its pictures beside what is in them: the part, by the file's name, and the camera."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from casae.errors import UsageError
from casae.files import printable
from casae.inspection.inspection import Part

FIELDS = tuple(Part.model_fields)
PIECE = re.compile(r"\{([^{}]*)\}|(\*)|([^{}*]+)|([{}])")


class PartPattern:
    """A pattern such as `{serial}_{station}` or `{batch}/{serial}`, which the path of a picture ends with.

    >>> PartPattern("{batch}/{serial}_*").part(Path("/inbox/B7/4711_left.png")).serial
    '4711'

    Args:
        text: names of `Part` in braces, `*` for anything; the suffix of the file is left out.

    Raises:
        UsageError: it names something else, or something twice.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = text.count("/") + 1
        parts, seen = [], set[str]()
        for name, anything, literal, stray in (match.groups("") for match in PIECE.finditer(text)):
            if stray or (name and name not in FIELDS) or name in seen or not (name or anything or literal):
                names = ", ".join(FIELDS)
                raise UsageError(f"{text}: is no pattern of a part; write each of {names} once at most, in braces")
            if name:
                seen.add(name)
                parts.append(f"(?P<{name}>[^/]+?)")
            else:
                parts.append("[^/]*?" if anything else re.escape(literal))
        if not seen:
            raise UsageError(f"{text}: names nothing of a part; write for example {{serial}}_*")
        self._pattern = re.compile("".join(parts), re.DOTALL)

    def part(self, file: Path) -> Part:
        """What the path of a file says; nothing where it does not look like the pattern."""
        path = printable(file.with_suffix("")).replace("\\", "/")
        match = self._pattern.fullmatch("/".join(path.split("/")[-self.depth :]))
        return Part.model_validate(match.groupdict()) if match else Part()


@dataclass(frozen=True)
class Told:
    """What is said of all pictures of a source.

    Attributes:
        camera: that takes them.
        pattern: of the parts, by the names of the files.
        always: what holds where the pattern says nothing.
    """

    camera: str | None = None
    pattern: PartPattern | None = None
    always: Part = field(default_factory=Part)

    def part(self, file: Path) -> Part:
        """The part that a file shows, as far as somebody said."""
        if self.pattern is None:
            return self.always
        found = self.pattern.part(file).model_dump(exclude_none=True)
        return Part.model_validate(self.always.model_dump() | found)
