"""`casae inspect`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from casae.cli import Core, Looks, Precision, Threads
from casae.cli.inspecting import (
    BatchOption,
    CalibrationFile,
    Camera,
    Join,
    MaxMegapixels,
    MinArea,
    Model,
    Parts,
    Product,
    RecipeOption,
    Roi,
    Rules,
    Scale,
    Station,
    Straighten,
    Threshold,
    ZonesFile,
    inspector_of,
    told_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from casae.inspection.record import InspectionRecord
    from casae.line.files import Gathered
    from casae.results.lines import Records

TABLE_ROWS = 40


def inspect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders (recursive) or globs.")],
    model: Model = None,
    out: Annotated[Path, typer.Option(help="Folder for results; an earlier run in it is continued.")] = Path(
        "casae-results"
    ),
    threshold: Threshold = None,
    core: Core = None,
    mm_per_pixel: Scale = None,
    calibration: CalibrationFile = None,
    straighten: Straighten = False,
    min_area: MinArea = None,
    join: Join = None,
    rules: Rules = None,
    roi: Roi = None,
    zones: ZonesFile = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FORMAT:FOLDER", help="Also what was found as labels to correct, as casae data convert."),
    ] = None,
    parts: Parts = None,
    product: Product = None,
    batch: BatchOption = None,
    station: Station = None,
    recipe: RecipeOption = None,
    camera: Camera = None,
    threads: Threads = 0,
    precision: Precision = "auto",
    looks: Looks = None,
    max_megapixels: MaxMegapixels = None,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON lines instead of the table.")] = False,
) -> None:
    """Find, outline, crop, classify and measure defects.

    Writes inspections.jsonl, images.csv, defects.csv, masks/, overlays/ and report.html. Exit codes: 0 all inspected,
    whatever the verdicts, 1 some were not looked at (named, the rest done), 2 wrong usage, model or disk, 130 Ctrl-C.
    """
    from casae.cli.streams import print_utf8

    if labels:
        from casae.datasets.convert import target_of

        target_of(labels)  # what is wrong is said before the work
    told = told_of(parts, product, batch, station, recipe, camera)
    inspector = inspector_of(
        model,
        threshold,
        core,
        mm_per_pixel,
        calibration,
        straighten,
        min_area,
        join,
        rules,
        roi,
        zones,
        threads,
        precision,
        looks,
        max_megapixels,
    )

    from casae.cli.ending import left_by_signals
    from casae.files import without_controls
    from casae.line.files import gather
    from casae.line.run import inspect_files

    gathered = gather(paths)
    with _progress(len(gathered.files)) as (advance, say):

        def done(source: str, record: "InspectionRecord | None", failure: str | None) -> None:
            advance()
            if failure:
                say(f"casae: {without_controls(failure)}")
            elif json and record:
                print_utf8(record.model_dump_json(by_alias=True))

        try:
            with left_by_signals():
                records, failures = inspect_files(inspector, gathered.files, out, done, told, gathered.left_out)
        except (KeyboardInterrupt, SystemExit):
            say(f"casae: stopped; what was inspected is kept in {out}, the same command goes on")
            raise
    for path, why in gathered.left_out.items():
        say(f"casae: {without_controls(path)}: {why}")
    if not json:
        _print(records, len(failures), out)
        _print_left_out(gathered, inspector.roi)
    if labels:
        say(_write_labels(out, labels))
    if failures or gathered.left_out:
        raise typer.Exit(1)


def _write_labels(out: Path, labels: str) -> str:
    """What was found as labels; returns what to say about it."""
    from casae.datasets.convert import convert
    from casae.errors import UsageError

    try:
        written = convert(f"results:{out}", labels)
    except UsageError as error:
        raise UsageError(f"{error}: casae data convert results:{out} {labels}") from error
    return f"{written.shapes} regions of {written.pictures} pictures as labels: {labels}"


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """What to call after each image, and what to say things with; a bar on a terminal, for more than one."""
    if total == 1 or not sys.stderr.isatty():
        yield lambda: None, partial(typer.echo, err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("inspecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        say = partial(bar.console.print, markup=False, highlight=False, soft_wrap=True)
        yield partial(bar.advance, task), say


def _print(records: "Records", failures: int, out: Path) -> None:
    import heapq
    from collections import Counter

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from casae.files import common_folder, printable, within
    from casae.inspection.measurement import size

    console, colours = Console(), {"OK": "green", "REVIEW": "yellow", "NG": "red"}
    counts, folders = Counter[str](), set[Path]()

    def counted() -> "Iterator[InspectionRecord]":
        for record in records:
            counts[record.decision] += 1
            folders.add(Path(record.source).parent)
            yield record

    shown = heapq.nlargest(TABLE_ROWS, counted(), key=lambda record: list(colours).index(record.decision))
    common = common_folder(folders)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("verdict", "image", "defects", "largest", "why"):
        justify: Literal["left", "right"] = "right" if heading in ("defects", "largest") else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for record in shown:
        colour = colours[record.decision]
        largest = record.defects[0] if record.defects else None
        length = "" if not largest else f"{largest.length_px:.0f} px"
        if largest and largest.length_mm is not None:
            length = f"{size(largest.length_mm)} mm"
        image = escape(within(record.source, common))
        count = str(len(record.defects))
        table.add_row(f"[{colour}]{record.decision}[/]", image, count, length, escape(record.reason))
    if shown:
        console.print(table)
    if len(records) > TABLE_ROWS:
        console.print(f"... and {len(records) - TABLE_ROWS} more")
    summary = ", ".join(f"{counts[decision]} {decision}" for decision in colours)
    unread = f", {failures} not inspected" if failures else ""
    console.print(f"\n{len(records)} image{'s' * (len(records) != 1)}: {summary}{unread}")
    console.print(f"Report: {printable(out / 'report.html')}", soft_wrap=True, highlight=False, markup=False)


def _print_left_out(gathered: "Gathered", roi: "NDArray[Any] | None") -> None:
    from rich.console import Console

    console = Console()
    lines = list(gathered.notes)
    if gathered.left_out:
        lines.append(f"{len(gathered.left_out)} not looked at, see above")
    if roi is not None:
        lines.append(f"Region of interest: {100 * roi.mean():.0f} % of each picture is looked at")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
