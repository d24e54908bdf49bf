"""`casae rules ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import DATASET_HELP

if TYPE_CHECKING:
    from rich.console import Console

    from casae.evaluation.verdicts import Change
    from casae.inspection.rules import Rule

app = typer.Typer(help="Work with acceptance rules.")
ROWS = 40


@app.callback()
def _group() -> None:
    pass


@app.command("try")
def try_rules(
    rules: Annotated[Path, typer.Argument(help="Acceptance rules (TOML).")],
    results: Annotated[Path, typer.Argument(help="Folder that casae inspect wrote.")],
    truth: Annotated[
        str | None, typer.Option(metavar="DATASET", help=f"Labels of the same pictures, by file name. {DATASET_HELP}")
    ] = None,
    zones: Annotated[Path | None, typer.Option(help="Zones of the part, for the verdicts of --truth.")] = None,
) -> None:
    """Judge recorded inspections again without looking at pictures: what other rules would change.

    With --truth, also how many parts would escape or be rejected falsely. Nothing is written. Exit codes: 0 done, 2
    wrong usage, rules or results.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from casae.datasets.registry import open_dataset
    from casae.errors import UsageError
    from casae.evaluation.verdicts import judge_again, records_of, summary, tally_of
    from casae.files import common_folder, within
    from casae.inspection.rules import check_names, read_rules
    from casae.inspection.verdict import SEVERITY
    from casae.inspection.zones import read_zones

    accepted, console = read_rules(rules), Console()
    changes = list(judge_again(records_of(results), accepted))
    different = [change for change in changes if change.differs]
    common = common_folder({Path(change.record.source).parent for change in changes})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("image", "before", "now", "why"):
        table.add_column(heading, overflow="fold")
    for change in different[:ROWS]:
        image, said = within(change.record.source, common), change.verdict
        table.add_row(escape(image), change.record.decision, said.decision, escape(said.reason))
    if different:
        console.print(table)
    if len(different) > ROWS:
        console.print(f"... and {len(different) - ROWS} more")
    counted = Table(box=None, padding=(0, 3, 0, 0))
    for heading in ("before", *(f"now {decision}" for decision in SEVERITY)):
        counted.add_column(heading, justify="left" if heading == "before" else "right")
    for before, row in summary(changes):
        counted.add_row(before, *map(str, row))
    console.print(counted)
    console.print(f"{len(different)} of {len(changes)} verdicts change")
    _warn_of_unseen(console, accepted.rule, changes)
    if truth:
        places = read_zones(zones) if zones else None
        check_names(accepted, None, places.names if places else ())
        given = None if places is None else places.sha256
        if any(rule.zone for rule in accepted.rule) and any(each.record.zones_sha256 != given for each in changes):
            raise UsageError(f"--zones {zones}: is another file than that of the records; name theirs, or inspect anew")
        tally = tally_of(changes, accepted, open_dataset(truth), places)
        for line in tally.lines():
            console.print(line, highlight=False, soft_wrap=True)


def _warn_of_unseen(console: "Console", rules: "tuple[Rule, ...]", changes: "list[Change]") -> None:
    """A class that no record has may be misspelt; the records do not say which ones the model knows."""
    seen = {defect.defect_class for change in changes for defect in change.record.defects}
    for rule in rules:
        if rule.defect_class is not None and rule.defect_class not in seen:
            found = ", ".join(sorted(seen)) or "none"
            text = f"no recorded defect is of class '{rule.defect_class}'; found were: {found}"
            console.print(text, style="yellow", markup=False, soft_wrap=True)
    touched = {zone for change in changes for defect in change.record.defects for zone in defect.zones}
    for zone in dict.fromkeys(rule.zone for rule in rules if rule.zone is not None and rule.zone not in touched):
        found = ", ".join(sorted(touched)) or "none"
        text = f"no recorded defect touches zone '{zone}'; touched were: {found}"
        console.print(text, style="yellow", markup=False, soft_wrap=True)
