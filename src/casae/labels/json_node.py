"""JSON of other tools, checked step by step: an error names the file, the place in it and the rule."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from casae.errors import DatasetError
from casae.files import read_text

KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
SHOWN = 40  # characters of a wrong value


@dataclass(frozen=True)
class Node:
    """A value of a JSON file.

    Attributes:
        value: as Python has it.
        file: that it stands in.
        place: in that file, such as `annotations[3].bbox`.
    """

    value: Any
    file: Path
    place: str = ""

    @classmethod
    def of(cls, file: Path) -> Self:
        """The whole file.

        Raises:
            DatasetError: it cannot be read, or is no JSON.
        """
        try:
            return cls(json.loads(read_text(file), parse_constant=_no_number), file)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise DatasetError(f"{file}: {where}: no JSON ({error.msg}); export it again") from error
        except (ValueError, RecursionError) as error:  # also of text in another encoding
            raise DatasetError(f"{file}: no JSON in UTF-8 ({error}); export it again") from error
        except OSError as error:
            raise DatasetError(f"{file}: cannot be read ({error.strerror}); check the path") from error

    def error(self, rule: str) -> DatasetError:
        """What to raise where a value breaks a rule: names file and place."""
        at = f" {self.place}:" if self.place else ""
        return DatasetError(f"{self.file}:{at} {rule}")

    def has(self, key: str) -> bool:
        """Whether an object has the key with a value."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def at(self, key: str) -> "Node":
        """The value of a key of an object; raises DatasetError without it."""
        if not isinstance(self.value, dict):
            raise self.error(f"is no object{self._shown()}")
        if key not in self.value:
            raise self.error(f"has no '{key}'; export it again")
        return Node(self.value[key], self.file, f"{self.place}.{key}" if self.place else key)

    def each(self) -> Iterator["Node"]:
        """The values of a list; raises DatasetError where it is none."""
        for index, value in enumerate(self._of(list)):
            yield Node(value, self.file, f"{self.place}[{index}]")

    def text(self) -> str:
        """A text."""
        text: str = self._of(str)
        return text

    def key(self) -> str:
        """A number or a text that something is known by, as text: 7, 7.0 and "7" are one."""
        if isinstance(self.value, str):
            return self.value
        number = self.number()
        return str(int(number)) if number == int(number) else str(number)

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.error(f"is no number{self._shown()}")
        return float(self.value)

    def whole(self, low: int = 0, high: int = 2**31) -> int:
        """A whole number in a range, also written as 3.0."""
        number = self.number()
        if number != int(number) or not low <= number <= high:
            raise self.error(f"must be a whole number from {low} to {high}{self._shown()}")
        return int(number)

    def numbers(self) -> list[float]:
        """A list of finite numbers."""
        return [node.number() for node in self.each()]

    def others(self, *known: str) -> dict[str, Any]:
        """What an object has beside some keys: unknown to us, and kept."""
        return {key: value for key, value in self._of(dict).items() if key not in known}

    def _of(self, kind: type) -> Any:
        if not isinstance(self.value, kind):
            raise self.error(f"must be {KINDS[kind]}{self._shown()}")
        return self.value

    def _shown(self) -> str:
        text = json.dumps(self.value, ensure_ascii=False, default=str)
        return f" and is {text[:SHOWN]}{' ...' if len(text) > SHOWN else ''}"


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")
