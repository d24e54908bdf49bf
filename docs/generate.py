"""Make docs/reference.md and docs/inspection.schema.json from the code, and check the links of all pages.

`python docs/generate.py` writes; `--check` only compares and exits with 1 where something differs.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from casae.config import InspectionSettings
from casae.inspection.record import DefectRecord, InspectionRecord
from casae.recipes import PRESETS, ClassifierSettings, SegmenterSettings, TrainingSettings

DOCS = Path(__file__).parent
NAMES = ("", "inspect", "train", "evaluate", "quantise", "reproduce", "benchmark", "data check", "synthetic")
COMMANDS = tuple(name.split() for name in NAMES)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
ANCHOR = re.compile(r"^#+ (.+)$|<a id=\"([^\"]+)\">", re.MULTILINE)


def help_text(command: list[str]) -> str:
    """What `casae COMMAND --help` prints, 100 columns wide."""
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": "100"}
    call = [sys.executable, "-m", "casae", *command, "--help"]
    printed = subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout
    lines = (line.rstrip() for line in printed.replace("python -m casae", "casae").strip("\n").splitlines())
    return "\n".join(lines).strip("\n")


def reference() -> str:
    """Commands, the fields of a record, and the presets."""
    parts = ["# Reference", "", "Made by `python docs/generate.py` from the code; do not edit.", "", "## Commands", ""]
    for command in COMMANDS:
        parts += [f"### `{' '.join(['casae', *command])}`", "", "```text", help_text(command), "```", ""]
    parts += [
        "## Fields of `inspections.jsonl`, schema version 1",
        "",
        "The same as JSON Schema: [inspection.schema.json](inspection.schema.json).",
        "",
    ]
    for record in (InspectionRecord, DefectRecord):
        parts += [
            f"### {record.__name__}",
            "",
            (record.__doc__ or "").strip(),
            "",
            "| field | type | meaning |",
            "| --- | --- | --- |",
        ]
        for name, field in record.model_fields.items():
            kind = str(field.annotation).replace("typing.", "").replace("casae.inspection.record.", "")
            kind = re.sub(r"<class '([\w.]+)'>", r"\1", kind).replace("|", "or")
            parts.append(f"| `{field.alias or name}` | {kind} | {field.description or ''} |")
        parts.append("")
    parts += ["## Inspection settings", "", "| setting | default | meaning |", "| --- | --- | --- |"]
    known = meanings(InspectionSettings)
    parts += [f"| `{name}` | {value} | {known[name]} |" for name, value in InspectionSettings().model_dump().items()]
    known = meanings(TrainingSettings)
    for part, settings in (("segmenter", SegmenterSettings), ("classifier", ClassifierSettings)):
        known |= {f"{part}.{name}": text for name, text in meanings(settings).items()}
    presets = {name: _flat(settings.model_dump(mode="json")) for name, settings in PRESETS.items()}
    parts += [
        "",
        "## Training presets",
        "",
        f"| setting | {' | '.join(presets)} | meaning |",
        "| --- " * (len(presets) + 2) + "|",
    ]
    for name in presets["paper"]:
        if name not in ("preset", "seed"):
            values = " | ".join(str(values[name]) for values in presets.values())
            parts.append(f"| `{name}` | {values} | {known[name]} |")
    return "\n".join(parts) + "\n"


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


def dead_links() -> list[str]:
    """Relative links in README, CHANGELOG, CONTRIBUTING and docs that lead to no file or to no heading of it."""
    root, dead = DOCS.parent, []
    for page in [*root.glob("*.md"), *DOCS.rglob("*.md")]:
        for target, anchor in LINK.findall(page.read_text("utf-8")):
            file = page.parent / target if target else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                dead.append(f"{page.relative_to(root)}: link to {target}{'#' * bool(anchor)}{anchor} leads nowhere")
    return dead


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub names them, and those that it sets itself."""
    found = ANCHOR.findall(page.read_text("utf-8"))
    return {own or re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading, own in found}


def main() -> int:
    """Write or compare; 1 where something is wrong."""
    schema = json.dumps(InspectionRecord.model_json_schema(by_alias=True), indent=2) + "\n"
    made = {DOCS / "reference.md": reference(), DOCS / "inspection.schema.json": schema}
    problems = []
    for file, text in made.items():
        if "--check" not in sys.argv:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            problems.append(f"{file.name}: out of date; run python docs/generate.py")
    problems += dead_links()
    print("\n".join(problems) or "docs are true to the code")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
