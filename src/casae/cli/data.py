"""`casae data ...`."""

from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import DATASET_HELP

if TYPE_CHECKING:
    from rich.console import Console

    from casae.datasets.sample import Dataset
    from casae.labelled.check import Findings

app = typer.Typer(help="Look at datasets.")
SIZES_SHOWN = 5


@app.callback()
def _group() -> None:
    pass


@app.command()
def check(
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
) -> None:
    """Say what is in a dataset, in numbers, and every problem by file.

    Exit codes: 0 no problem, 1 problems found, 2 no such dataset.
    """
    from rich.console import Console

    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.labelled.check import check as run

    data = open_dataset(dataset)
    with progress("checking", len(data.samples)) as step:
        findings = run(data, step)
    _print(Console(), data, findings)
    if findings.problems:
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help=DATASET_HELP)],
    target: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="FORMAT:FOLDER, new or empty: folder, coco, labelme, cvat, label-studio, yolo, voc, mvtec, severstal.",
        ),
    ],
    lossy: Annotated[bool, typer.Option("--lossy", help="Write it though not every mask survives.")] = False,
) -> None:
    """Write labels and pictures in another format, read them again and say what was lost.

    Exit codes: 0 done, nothing differs, 1 label pixels differ or pictures were left out (named), 2 wrong usage or data.
    """
    from casae.cli.progress import progress
    from casae.datasets.convert import convert as run
    from casae.datasets.registry import open_dataset

    data = open_dataset(source)
    with progress("converting", len(data.samples)) as step:
        done = run(data, target, lossy, step)
    typer.echo(f"{done.pictures} pictures with {done.shapes} regions in {target}")
    for each in done.lost:
        typer.echo(f"lost: {each}")
    typer.echo("read again: every pixel as before" if not done.differing else f"differing: {done.differing} pixels")
    for failure in done.failures:
        typer.echo(f"casae: {failure}", err=True)
    if done.differing or done.failures:
        raise typer.Exit(1)


def _print(console: "Console", data: "Dataset", findings: "Findings") -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    labelled = findings.images - findings.unlabelled
    table.add_row("images", f"{findings.images} ({labelled} labelled, {findings.defect_free} of them free of defects)")
    sizes = [f"{w} x {h} px: {count}" for (w, h), count in findings.sizes.most_common(SIZES_SHOWN)]
    more = len(findings.sizes) - SIZES_SHOWN
    table.add_row("sizes", ", ".join(sizes) + (f" and {more} other sizes" if more > 0 else ""))
    pixels = sum(findings.class_pixels.values()) or 1
    for value, name in [*enumerate(data.classes, start=1), (255, "defect without class")]:
        if value != 255 or findings.class_images[value]:
            share = 100 * findings.class_pixels[value] / pixels
            table.add_row(
                escape(f"{value} {name}"), f"in {findings.class_images[value]} images, {share:.2f} % of all pixels"
            )
    table.add_row("splits", ", ".join(f"{name}: {count}" for name, count in sorted(findings.splits.items())) or "none")
    if findings.coloured:
        learned = "colour" if 2 * findings.hidden > findings.coloured else "gray"
        shows = f"in {findings.hidden} of {findings.coloured} pictures with defects a colour shows them far better"
        table.add_row("colour", f"{shows} than gray; casae train learns from {learned}")
    table.add_row("licence", escape(data.licence))
    console.print(table)
    for note in data.notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False, markup=False)
    for file, problem in findings.problems:
        console.print(f"[red]problem[/] {escape(f'{file}: {problem}')}", soft_wrap=True, highlight=False)
    count = len(findings.problems)
    console.print("no problems" if not count else f"{count} problem{'s' if count > 1 else ''}")
