"""`casae data ...`."""

from pathlib import Path
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
    _tell(data)
    typer.echo(f"{done.pictures} pictures with {done.shapes} regions in {target}")
    for each in done.lost:
        typer.echo(f"lost: {each}")
    typer.echo("read again: every pixel as before" if not done.differing else f"differing: {done.differing} pixels")
    for failure in done.failures:
        typer.echo(f"casae: {failure}", err=True)
    if done.differing or done.failures:
        raise typer.Exit(1)


@app.command()
def split(
    dataset: Annotated[str, typer.Argument(help="folder:PATH of a dataset without a list test.")],
    share: Annotated[float, typer.Option(min=0.01, max=0.9, help="Of the labelled pictures.")] = 0.2,
    group: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Regular expression that finds the part in a picture's name, '^[^_]+'."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
) -> None:
    """Draw list test: whole groups of pictures, classes in proportion, copies never apart.

    Without --group, folders in the names are groups; without folders, neighbours by name. Exit codes: 0 done, 2 wrong
    usage or data, or there is a list test.
    """
    from casae.datasets.names import as_listed
    from casae.datasets.registry import open_dataset
    from casae.errors import UsageError
    from casae.files import write_whole
    from casae.labelled.split import draw_test

    data = open_dataset(dataset)
    if not dataset.startswith("folder:"):
        raise UsageError(f"{dataset}: lists are written for folder:PATH; convert it first with casae data convert")
    if "test" in data.splits:
        raise UsageError(f"{dataset}: has a list test already; delete splits/test.txt to draw another")
    drawn = draw_test(data, share, seed, group)
    file = Path(data.name.removeprefix("folder:")) / "splits" / "test.txt"
    suffixes = {sample.name: sample.image.suffix for sample in data.samples}
    write_whole(file, "".join(f"{as_listed(name, suffixes[name])}\n" for name in drawn.test))
    typer.echo(f"{len(drawn.test)} of {len(data.labelled.samples)} labelled pictures in {file}")
    typer.echo(f"groups: {drawn.groups}, by {drawn.by}")
    names = {0: "free of defects", 255: "defect without class"} | dict(enumerate(data.classes, start=1))
    for value, (inside, total) in drawn.classes.items():
        typer.echo(f"{names[value]}: {inside} of {total}")


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("casae-labels"),
    split: Annotated[str, typer.Option(help="List to show, or 'all'.")] = "all",
) -> None:
    """Draw labels in colour on their pictures: one file each, and contact sheets of many.

    Exit codes: 0 done, 1 some are unreadable (named, the rest drawn), 2 wrong usage or data.
    """
    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.labelled.show import write_labels

    data = open_dataset(dataset)
    part = data.split(split)
    with progress("drawing", len(part.labelled.samples)) as step:
        sheets, failures = write_labels(part, out, step)
    typer.echo(f"{len(part.labelled.samples) - len(failures)} pictures in {out}; on one sheet: {sheets[0]}")
    for failure in failures:
        typer.echo(f"casae: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command()
def add(
    source: Annotated[str, typer.Argument(metavar="SRC", help=DATASET_HELP)],
    target: Annotated[str, typer.Argument(metavar="DST", help="folder:PATH that gets the pictures and their masks.")],
    new_classes: Annotated[bool, typer.Option("--new-classes", help="Add classes that DST does not know.")] = False,
) -> None:
    """Add labelled pictures to a dataset, such as results that were corrected: labelme:corrected folder:my-part.

    Exit codes: 0 done, 1 some could not be added (named), 2 wrong usage or data.
    """
    from casae.cli.progress import progress
    from casae.datasets.add import add as run
    from casae.datasets.registry import open_dataset

    data = open_dataset(source)
    with progress("adding", len(data.labelled.samples)) as step:
        done = run(data, target, new_classes, step)
    _tell(data)
    known = f", {done.known} were there already" if done.known else ""
    typer.echo(f"{len(done.added)} pictures added to {target}{known}")
    for failure in done.failures:
        typer.echo(f"casae: {failure}", err=True)
    if done.failures:
        raise typer.Exit(1)


@app.command()
def review(
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    model: Annotated[str, typer.Option(help="A .casae file; models of its folds beside it judge first.")],
    split: Annotated[str, typer.Option(help="List to review, or 'all'.")] = "all",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the most doubtful pictures here (JPEG).")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Pictures to list.")] = 30,
) -> None:
    """List labelled pictures that the model doubts, the most doubtful first: mend these labels first.

    A model agrees with what it has learned; train with --folds 5, and each picture is judged by one that has not.

    Exit codes: 0 done, 1 some are unreadable (named, the rest judged), 2 wrong usage or data.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.evaluation.review import judges_of, write_sheet
    from casae.evaluation.review import review as run

    part = open_dataset(dataset).split(split)
    judges = judges_of(model)
    with progress("reviewing", len(part.labelled.samples)) as step:
        doubtful, failures = run(part, judges, step)
    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("picture", "what", "label", "model", "px", "at x, y", "sure"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("px", "sure") else "left")
    for each in doubtful[:rows]:
        for index, doubt in enumerate(each.doubts):
            name = "" if index else escape(each.name)
            place = f"{doubt.x}, {doubt.y}"
            words = (doubt.kind, escape(doubt.labelled), escape(doubt.found), str(doubt.area_px), place)
            table.add_row(name, *words, f"{100 * doubt.sure:.0f} %")
    if doubtful:
        console.print(table)
    console.print(f"{len(doubtful)} of {len(part.labelled.samples)} pictures are doubtful", highlight=False)
    by_heart = sum(each.by_heart for each in doubtful)
    if by_heart or len(judges) == 1:
        learned = "has learned from pictures that it judges" if by_heart else "may know pictures that it learned from"
        text = f"the model {learned}; train with --folds 5 to doubt more"
        console.print(text, style="yellow", markup=False)
    if sheet is not None and doubtful:
        write_sheet(sheet, part, doubtful, judges)
        console.print(f"The most doubtful: {sheet}", soft_wrap=True, markup=False)
    for failure in failures.values():
        typer.echo(f"casae: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _tell(data: "Dataset") -> None:
    """What the files of a dataset could not give."""
    for note in data.notes:
        typer.echo(f"note: {note}")


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
