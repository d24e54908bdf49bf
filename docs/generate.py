"""Make the generated pages of docs/reference from the code, and check that prose, links and pictures keep their rules.

`python docs/generate.py` writes; `--check` only compares and exits with 1 where something differs.
"""

import json
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

import casae
from casae.cli.main import app
from casae.config import InspectionSettings
from casae.inspection.inspection import Part
from casae.inspection.record import DecisionRecord, DefectRecord, InspectionRecord
from casae.recipes import PRESETS, ClassifierSettings, SegmenterSettings, TrainingSettings
from casae.service.app import create_app
from casae.service.home import Home
from casae.service.settings import ServiceSettings
from pictures import MADE_FROM, digest, road, rooms

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
MADE = "Made by `python docs/generate.py` from the code; do not edit."
ROOT_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
ANCHOR = re.compile(r"^#+ (.+)$|<a id=\"([^\"]+)\">", re.MULTILINE)
LONGEST_PARAGRAPH, MEDIAN_PARAGRAPH, WIDEST_TABLE, README_WORDS = 60, 25, 5, 500
BELOW = ("casae.line.run.run", "casae.records.database.opened", "casae.records.store.DatabaseStore")
BELOW += ("casae.client.Client",)
GENERATED = {"commands.md", "record.md", "settings.md", "python.md", "http.md"}


def commands() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "", MADE, ""]
    for words, command in _commands((), get_command(app)):
        parts += [f"## {' '.join(['casae', *words])}", "", *_paragraphs(command.help or ""), ""]
        rows = [_option(each) for each in command.params if each.name not in ("help", "install_completion")]
        if rows:
            parts += ["| | value | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(parts)


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command and its words; groups have none of their own."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        yield from _commands((*words, name), each)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


def _option(parameter: Any) -> str:
    """A row of the table of a command."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{(parameter.metavar or parameter.name).upper()}`"
    kind = _kind(parameter)
    default = "required" if parameter.required else _default(parameter.default)
    meaning = _cell(parameter.help or "").removesuffix(" [required]")
    meaning += f" In the environment: `{parameter.envvar}`." if getattr(parameter, "envvar", None) else ""
    return f"| {names} | {kind} | {default} | {meaning} |"


def _kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if parameter.metavar:
        return _cell(parameter.metavar)
    words = {str: "text", int: "whole number", float: "number", Path: "path", bool: ""}
    return words.get(annotation, _cell(str(annotation)))


def _default(value: Any) -> str:
    return "" if value is None or value is False or callable(value) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def record() -> str:
    """The fields of a line of inspections.jsonl."""
    parts = ["# Fields of a record", "", MADE, ""]
    parts += ["Lines of `inspections.jsonl`, schema version 1; also as [JSON Schema](inspection.schema.json).", ""]
    for fields in (InspectionRecord, DefectRecord, DecisionRecord, Part):
        known = meanings(fields)
        parts += [f"## {fields.__name__}", "", *_paragraphs((fields.__doc__ or "").partition("Attributes:")[0]), ""]
        parts += ["| field | type | meaning |", "| --- | --- | --- |"]
        for name, field in fields.model_fields.items():
            kind = re.sub(r"typing\.|casae\.(\w+\.)+", "", str(field.annotation))
            kind = re.sub(r"<class '([\w.]+)'>", r"\1", kind).replace("|", "or")
            parts.append(f"| `{field.alias or name}` | {kind} | {_cell(field.description or known.get(name, ''))} |")
        parts.append("")
    return "\n".join(parts)


def settings() -> str:
    """Settings of an inspection, and of a training in each preset."""
    parts = ["# Settings", "", MADE, "", "## Of an inspection", ""]
    parts += ["| setting | default | meaning |", "| --- | --- | --- |"]
    known = meanings(InspectionSettings)
    parts += [f"| `{name}` | {value} | {known[name]} |" for name, value in InspectionSettings().model_dump().items()]
    known = meanings(TrainingSettings)
    for part, kind in (("segmenter", SegmenterSettings), ("classifier", ClassifierSettings)):
        known |= {f"{part}.{name}": text for name, text in meanings(kind).items()}
    presets = {name: _flat(preset.model_dump(mode="json")) for name, preset in PRESETS.items()}
    parts += ["", "## Of a training, by preset", ""]
    parts += ["`--set NAME=VALUE` sets one; those of the segmenter go by their last word.", ""]
    parts += [f"| setting | {' | '.join(presets)} | meaning |", "| --- " * (len(presets) + 2) + "|"]
    for name in presets["paper"]:
        if name not in ("preset", "seed"):
            values = " | ".join(str(values[name]) for values in presets.values())
            parts.append(f"| `{name}` | {values} | {known[name]} |")
    parts += ["", "## Of a service", "", "| setting | default | meaning |", "| --- | --- | --- |"]
    known = meanings(ServiceSettings)
    parts += [f"| `{name}` | {value} | {known[name]} |" for name, value in ServiceSettings().model_dump().items()]
    return "\n".join([*parts, ""])


def http() -> str:
    """Every path of the service, by what it is about."""
    described = openapi()
    by_tag: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, about in methods.items():
            statuses = ", ".join(status for status in about["responses"] if status.startswith("2"))
            meaning = _cell(about["description"].split("\n\n")[0])
            for kind, asked in _asked(described, about):
                cells = (f"`{method.upper()} {path}`{kind}", asked, about.get("x-role", ""), statuses, meaning)
                by_tag.setdefault(about["tags"][0], []).append(f"| {' | '.join(cells)} |")
    parts = ["# HTTP", "", MADE, "", "As [OpenAPI](openapi.json). [How to use it](../how-to/use-http.md).", ""]
    for tag, rows in by_tag.items():
        parts += [
            f"## {tag.capitalize()}",
            "",
            "| path | asks for | role | answers | |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    return "\n".join(parts)


def _asked(described: dict[str, Any], about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of a path's query, form or JSON, for each kind of body; those that must be there come first, in bold."""
    query = {each["name"]: each.get("required", False) for each in about.get("parameters", ()) if each["in"] == "query"}
    known = described["components"]["schemas"]
    bodies = [("", {})]
    for content in about.get("requestBody", {}).get("content", {}).values():
        parts = content["schema"].get("oneOf", [content["schema"]])
        found = [known.get(part.get("$ref", "").rsplit("/", 1)[-1], part) for part in parts]
        bodies = [(f", {body['properties']['kind']['const']}" if len(found) > 1 else "", body) for body in found]
    for kind, body in bodies:
        names = query | {name: name in body.get("required", ()) for name in body.get("properties", {})}
        yield (
            kind,
            " ".join(
                f"**`{name}`**" if names[name] else f"`{name}`"
                for name in sorted(names, key=lambda each: not names[each])
            ),
        )


def openapi() -> dict[str, Any]:
    """The description of the service."""
    return create_app(Home(Path("casae-home")), ServiceSettings()).openapi()


def python() -> str:
    """The public names; the site fills them in from docstrings."""
    parts = ["# Python", "", MADE, "", "[How to use it](../how-to/use-python.md).", ""]
    for name in (*(f"casae.{each}" for each in casae.__all__), *BELOW):
        parts += [f"::: {name}", ""]
    return "\n".join(parts)


def meanings(settings: type) -> dict[str, str]:
    """What the docstring of settings says of each attribute."""
    _, _, listed = (settings.__doc__ or "").partition("Attributes:")
    found = re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()).replace("`", "") for name, text in found}


def _flat(settings: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def pages() -> list[Path]:
    """All Markdown pages for readers."""
    return [DOCS.parent / name for name in ROOT_PAGES if (DOCS.parent / name).exists()] + sorted(DOCS.rglob("*.md"))


def dead_links() -> list[str]:
    """Relative links that lead to no file or to no heading of it."""
    dead = []
    for page in pages():
        for target, anchor in LINK.findall(page.read_text("utf-8")):
            file = page.parent / target if target else page
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
                where = f"{target}{'#' * bool(anchor)}{anchor}"
                dead.append(f"{page.relative_to(DOCS.parent)}: link to {where} leads nowhere")
    return dead


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub names them, and those that it sets itself."""
    found = ANCHOR.findall(page.read_text("utf-8"))
    return {own or re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading, own in found}


def paragraphs(text: str) -> list[str]:
    """Prose without code, tables, headings and pictures; an item of a list is a paragraph."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.lstrip().startswith(("|", "#", "![", "<"))]
        for item in re.split(r"^\s*(?:[-*]|\d+\.) ", "\n".join(lines), flags=re.MULTILINE):
            words = re.sub(r"\]\([^)]*\)", "]", item).split()
            if words:
                found.append(" ".join(words))
    return found


def long_winded() -> list[str]:
    """Where prose is longer, or a table wider, than a reader in a hurry puts up with."""
    problems: list[str] = []
    lengths: list[int] = []
    for page in pages():
        if page.name in GENERATED or page.name == "CHANGELOG.md":
            continue
        text, name = page.read_text("utf-8"), page.relative_to(DOCS.parent)
        words = [len(paragraph.split()) for paragraph in paragraphs(text)]
        if max(words, default=0) > LONGEST_PARAGRAPH:
            problems.append(f"{name}: a paragraph of {max(words)} words; {LONGEST_PARAGRAPH} at most")
        lengths += words
        columns = max((len(re.split(r"(?<!\\)\|", row)) - 2 for row in re.findall(r"^\|.*\|$", text, re.M)), default=0)
        if columns > WIDEST_TABLE and page.parent != REFERENCE:
            problems.append(f"{name}: a table of {columns} columns; {WIDEST_TABLE} at most")
    if statistics.median(lengths) > MEDIAN_PARAGRAPH:
        problems.append(f"paragraphs have {statistics.median(lengths):g} words; {MEDIAN_PARAGRAPH} at most")
    words_of_readme = len((DOCS.parent / "README.md").read_text("utf-8").split())
    if words_of_readme > README_WORDS:
        problems.append(f"README.md: {words_of_readme} words; {README_WORDS} at most")
    return problems


def old_pictures() -> list[str]:
    """Pictures that show something that has changed since."""
    made = json.loads(MADE_FROM.read_text("utf-8"))
    changed = ", ".join(name for name, now in digest().items() if made.get(name) != now)
    return [f"docs/pictures show an older {changed}; run python docs/pictures.py"] if changed else []


def main() -> int:
    """Write or compare; 1 where something is wrong."""
    schema = json.dumps(InspectionRecord.model_json_schema(by_alias=True), indent=2) + "\n"
    made = {
        "reference/commands.md": commands(),
        "reference/record.md": record(),
        "reference/settings.md": settings(),
        "reference/python.md": python(),
        "reference/http.md": http(),
        "reference/openapi.json": json.dumps(openapi(), indent=1) + "\n",
        "reference/inspection.schema.json": schema,
        "pictures/road.svg": road(),
        "pictures/rooms.svg": rooms(),
    }
    problems = []
    for name, text in made.items():
        file = DOCS / name
        if "--check" not in sys.argv:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            problems.append(f"{name}: out of date; run python docs/generate.py")
    problems += dead_links() + long_winded() + old_pictures()
    print("\n".join(problems) or "docs are true to the code")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
