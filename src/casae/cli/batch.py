"""`casae batch`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from casae.cli import Core, Looks, Precision
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
    from casae.batch.job import Batch
    from casae.batch.plan import Plan
    from casae.batch.run import Run

SAID = 20  # of what was left out
CLUSTER, RECKONING = "A Ray cluster", "What it would take"


def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...", help="Folders, globs, .tar, .csv or .parquet with a column 'path', URLs (s3://)."
        ),
    ],
    model: Model = None,
    out: Annotated[
        str, typer.Option(metavar="DST", help="Folder or URL for results; an earlier run in it is gone on with.")
    ] = "casae-batch",
    workers: Annotated[int, typer.Option(min=0, help="Processes, each on cores of its own. 0: one a core.")] = 0,
    shard: Annotated[int, typer.Option(min=1, max=100_000, help="Images whose results are one file.")] = 64,
    partition: Annotated[
        Literal["none", "day", "product"], typer.Option(help="Sort results into folders: day of the file, product.")
    ] = "none",
    overlays: Annotated[bool, typer.Option("--overlays", help="Keep pictures with their defects marked.")] = False,
    failed_again: Annotated[
        bool, typer.Option("--failed-again", help="Also do shards anew in which images failed.")
    ] = False,
    image_seconds: Annotated[
        float, typer.Option(min=1, help="Longer ones are given up: the worker begins anew.")
    ] = 300.0,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="'auto', HOST:PORT, or 'local'.", rich_help_panel=CLUSTER),
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Of each worker there.", rich_help_panel=CLUSTER)] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Measure 200 images, reckon, keep nothing.", rich_help_panel=RECKONING)
    ] = False,
    images: Annotated[int | None, typer.Option(min=1, help="Reckon for so many.", rich_help_panel=RECKONING)] = None,
    core_hour: Annotated[
        float | None, typer.Option(min=0, metavar="PRICE", help="Of a core for an hour.", rich_help_panel=RECKONING)
    ] = None,
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
    parts: Parts = None,
    product: Product = None,
    batch: BatchOption = None,
    station: Station = None,
    recipe: RecipeOption = None,
    camera: Camera = None,
    precision: Precision = "auto",
    looks: Looks = None,
    max_megapixels: MaxMegapixels = None,
) -> None:
    """Inspect an archive of any size on the cores at hand or a Ray cluster; go on where an earlier run ended.

    Writes inspections/ (Parquet, a row an image), report.html and failures.csv. Exit codes: 0 all inspected, whatever
    the verdicts, 1 some images failed (each has a row that says why), 2 wrong usage, model or disk, 130 Ctrl-C.
    """
    from casae.batch.manifest import needs_parquet
    from casae.cluster import needs_ray

    needs_parquet()
    if ray is not None:
        needs_ray()
    told = told_of(parts, product, batch, station, recipe, camera)
    inspector = inspector_of(  # what is wrong is said before a process begins; it also compiles for them
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
        0,
        precision,
        looks,
        max_megapixels,
    )

    from casae.batch.job import Batch
    from casae.models.bundle import resolve_model

    wanted = Batch(
        sources=tuple(_whole(source) for source in sources),
        model="",
        straighten=straighten,
        settings=inspector.settings,
        part=told.always,
        parts=parts,
        camera=camera,
        shard=shard,
        partition=partition,
        overlays=overlays,
        image_seconds=image_seconds,
    )
    named = {"rules": rules, "roi": roi, "zones": zones, "calibration": calibration}
    files = {"model": resolve_model(str(model))} | {name: file for name, file in named.items() if file}
    if plan:
        _plan(wanted, files, workers, images, core_hour)
        return
    _run(wanted, files, out, workers, ray, cores, failed_again)


def _run(
    wanted: "Batch", files: dict[str, Path], out: str, workers: int, ray: str | None, cores: int, failed_again: bool
) -> None:
    from casae.batch.places import Place
    from casae.batch.run import LEFT_OUT, Engine, run_batch
    from casae.batch.summary import REPORT, write_summary

    place = Place.of(out)
    try:
        with _progress() as bar:
            run = run_batch(
                place,
                wanted,
                files,
                Engine(workers, ray, cores),
                failed_again=failed_again,
                listed=bar.listed,
                step=bar.step,
            )
    except KeyboardInterrupt:
        typer.echo("casae: stopped; the same command goes on", err=True)
        raise
    with _progress() as bar:
        found = write_summary(place, bar.summed)
    from casae.files import without_controls

    for path, why in list(run.left_out.items())[:SAID]:
        typer.echo(without_controls(f"casae: {path}: {why}"), err=True)
    if len(run.left_out) > SAID:
        typer.echo(f"casae: more that was left out stands in {place.path(LEFT_OUT)}", err=True)
    counts = ", ".join(f"{found.decisions[name]:,} {name}" for name in ("OK", "REVIEW", "NG"))
    failed = f", {found.failed:,} not inspected" if found.failed else ""
    before = f"; {run.images - run.left:,} were done before" if run.left < run.images else ""
    rate = f"; {run.rate:.1f} a second" if run.done else ""
    typer.echo(f"{found.images:,} images: {counts}{failed}{rate}{before}")
    typer.echo(f"Report: {place.path(REPORT)}")
    if found.failed or run.left_out:
        raise typer.Exit(1)


def _whole(source: str) -> str:
    """A source as it is understood from any folder.

    Raises:
        UsageError: its name cannot stand in a record.
    """
    from casae.batch.places import is_url, local_path
    from casae.errors import UsageError
    from casae.files import printable, unusable_name

    problem = unusable_name(Path(source))
    if problem:
        raise UsageError(f"{printable(source)}: {problem}")
    return source if is_url(source) else str(local_path(source).absolute())


def _plan(wanted: "Batch", files: dict[str, Path], workers: int, images: int | None, core_hour: float | None) -> None:
    from casae.batch.plan import plan

    with _progress() as bar:
        found = plan(wanted, files, workers, images, bar.listed, bar.measured)
    _print_plan(found, core_hour)


def _print_plan(found: "Plan", core_hour: float | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from casae.batch.plan import KNOWN_CORES
    from casae.batch.summary import duration

    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("cores", "time", "images a second", "reads, MB a second"):
        table.add_column(heading, justify="right")
    for cores in sorted({found.workers, *KNOWN_CORES}):
        here = " (here)" if cores == found.workers else ""
        rate, network = found.rate * cores, found.network(cores) / 1e6
        table.add_row(f"{cores}{here}", duration(found.seconds(cores)), f"{rate:,.1f}", f"{network:,.1f}")
    failed = f", {found.failed} of them could not be" if found.failed else ""
    say = [
        f"{found.images:,} images; {found.measured} were inspected to know{failed}.",
        f"A core inspects {found.rate:.2f} a second while {found.workers} work; "
        f"reading takes {100 * found.reading:.0f} % of that time beside it.",
    ]
    memory = f", {found.memory / 1e6:,.0f} MB of memory a worker" if found.memory else ""
    sizes = f"{found.images * found.image_bytes / 1e9:,.1f} GB to read, {found.images * found.row_bytes / 1e9:,.2f} GB"
    say.append(f"{sizes} of results{memory}.")
    cost = "" if core_hour is None else f", {found.core_hours * core_hour:,.2f} at {core_hour:g} an hour"
    say.append(f"{found.core_hours:,.1f} core hours{cost}.")
    for line in say:
        console.print(line, soft_wrap=True, highlight=False)
    console.print(table)
    console.print("More cores than here: if they are as fast, and the storage gives what they read.", soft_wrap=True)


class _Bar:
    """What a terminal shows meanwhile; nothing elsewhere, but `casae.progress` is told."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def listed(self, images: int) -> None:
        self._bar.update(self._task, description="listing", total=None, completed=images)

    def measured(self, images: int) -> None:
        from casae.batch.plan import MEASURED

        self._bar.update(self._task, description="measuring", total=MEASURED, completed=images)

    def summed(self, images: int) -> None:
        self._bar.update(self._task, description="summing up", total=None, completed=images)

    def step(self, run: "Run") -> None:
        from casae.progress import tell

        self._bar.update(self._task, description="inspecting", total=run.left, completed=run.done)
        left = (run.left - run.done) / run.rate if run.rate else None
        tell("inspecting", run.done / max(run.left, 1), left)


@contextmanager
def _progress() -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield _Bar(bar, bar.add_task("listing", total=None))
