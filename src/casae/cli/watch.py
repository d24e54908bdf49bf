"""`casae watch`."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from casae.cli import Core, Looks, Precision, Threads
from casae.cli.ending import ended_by_signals
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
from casae.cli.records import HOME, Home, needs_database

if TYPE_CHECKING:
    from rich.console import RenderableType
    from sqlalchemy import Engine

    from casae.config import InspectionSettings
    from casae.inspection.inspector import Inspector
    from casae.line.run import Step
    from casae.line.watch import Tell, Watching

SHOWN = 12  # of the newest pictures
COLOURS = {"OK": "green", "REVIEW": "yellow", "NG": "red"}


def watch(
    source: Annotated[Path, typer.Argument(help="Folder that pictures arrive in, also on a share.")],
    model: Model = None,
    home: Home = HOME,
    then: Annotated[
        Literal["leave", "move", "delete"], typer.Option(help="What becomes of a picture whose record is kept.")
    ] = "leave",
    to: Annotated[Path | None, typer.Option(help="Folder for --then move: DAY/NAME and failed/DAY/NAME.")] = None,
    every: Annotated[float, typer.Option(min=0.05, metavar="S", help="Seconds between two looks.")] = 0.5,
    still: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds without a change, after which a file is finished.")
    ] = 1.0,
    patience: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds for which a broken file is tried again; not with --once.")
    ] = 30.0,
    room: Annotated[
        float, typer.Option(min=0, metavar="MB", help="With less free on the disk of the records nothing is taken in.")
    ] = 500.0,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is inspected.")] = False,
    parts: Parts = None,
    product: Product = None,
    batch: BatchOption = None,
    station: Station = None,
    recipe: RecipeOption = None,
    camera: Camera = None,
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
    threads: Threads = 0,
    precision: Precision = "auto",
    looks: Looks = None,
    max_megapixels: MaxMegapixels = None,
    json: Annotated[bool, typer.Option("--json", help="Print records as JSON lines instead of the table.")] = False,
) -> None:
    """Inspect what arrives in a folder, into the database of records; Ctrl-C or SIGTERM ends it.

    Without --model, what is active in the home judges, as casae serve has it, and a change counts at once.

    Killed at any moment, it goes on where it was. Exit codes: 0 ended as asked, also where some pictures could not be
    inspected (casae records failures), 1 some could not be put away, 2 wrong usage or model, 3 the database cannot be
    opened.
    """
    needs_database()
    from casae.cli.arguments import inspection_settings
    from casae.errors import UsageError
    from casae.line.watch import Watch, WatchSettings
    from casae.line.watch import watch as run
    from casae.records.database import opened
    from casae.records.store import DatabaseStore
    from casae.service.settings import database_of

    told = told_of(parts, product, batch, station, recipe, camera)
    wanted = WatchSettings(
        every_s=every, still_s=still, patience_s=patience, then=then, move_to=to, room_mb=room, once=once
    )
    stop = threading.Event()
    watching = Watch(source, wanted, None if "://" in home else Path(home).expanduser(), stop)
    given = (threshold, core, mm_per_pixel, calibration, min_area, join, rules, roi, zones, max_megapixels)
    if model is None and (straighten or any(value is not None for value in given)):
        raise UsageError("--model: goes with thresholds, rules and the like; say it too")
    named = None
    if model is not None:  # before a home is made: what is wrong with it is said at once
        named = inspector_of(
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
    with opened(database_of(home)) as engine, ended_by_signals(stop), _shown(source, json) as tell:
        watching.tell = lambda step, now: _told(tell, step, now)
        if named is None:
            current = _active(
                engine, home, product, inspection_settings(threads=threads, precision=precision, looks=looks)
            )
        else:
            current = repeat(named).__next__
        if not once:
            typer.echo(f"casae: watching {watching.folder}, records in {home}; Ctrl-C ends it", err=True)
        run(watching, current, lambda inspector: DatabaseStore(engine, card=inspector.card), told)
    now = watching.now
    known = f", {now.known} were known" if now.known else ""
    stuck = f", {len(now.stuck)} could not be put away" if now.stuck else ""
    typer.echo(f"{now.kept} inspected, {now.failed} could not be{known}{stuck}", err=json)
    if now.stuck:
        raise typer.Exit(1)


def _told(tell: "Tell", step: "Step[str] | None", now: "Watching") -> None:
    """A full disk under what is printed ends nothing: the records have it all."""
    with suppress(OSError):
        tell(step, now)


def _active(
    engine: "Engine", home: str, product: str | None, settings: "InspectionSettings"
) -> "Callable[[], Inspector]":
    """What is active in the home for a product, always as it is now.

    Raises:
        UsageError: nothing is.
    """
    from casae.errors import UsageError
    from casae.service.catalogue import Catalogue
    from casae.service.home import Home as Files

    if "://" in home:
        raise UsageError("--model: no model is named, and a server holds none; say --model my-part.casae")
    catalogue = Catalogue(Files(Path(home).expanduser()), engine, settings)

    def current() -> "Inspector":
        active = catalogue.active(product)
        if active is None:
            way = "say --model my-part.casae, or activate one in the service of this home"
            raise UsageError(f"{home}: no model is active; {way}")
        return catalogue.inspector(active)

    current()
    return current


@contextmanager
def _shown(source: Path, json: bool) -> "Iterator[Tell]":
    """A live table on a terminal; else a line for each picture."""
    from rich.console import Console

    from casae.cli.streams import print_utf8
    from casae.files import without_controls

    console = Console()

    def lines(step: "Step[str] | None", now: "Watching") -> None:
        if step is None or step.failure is not None:
            said = now.trouble or "goes on" if step is None else step.failure
            typer.echo(without_controls(f"casae: {said}"), err=True)
        elif step.record is not None and step.is_new:
            record = step.record
            line = f"{record.inspected_at[:19]}  {record.decision:<6}  {record.source}  {record.reason}"
            print_utf8(record.model_dump_json(by_alias=True) if json else line)

    if json or not console.is_terminal:
        yield lines
        return
    from rich.live import Live

    newest: deque[tuple[str, str, str]] = deque(maxlen=SHOWN)

    def table(step: "Step[str] | None", now: "Watching") -> None:
        if step is not None and step.is_new:
            decision, why = ("-", step.failure) if step.record is None else (step.record.decision, step.record.reason)
            newest.append((decision, Path(step.source).name, why or ""))
        live.update(_table(source, newest, now))

    from casae.line.watch import Watching

    with Live(_table(source, newest, Watching()), console=console, refresh_per_second=4) as live:
        yield table


def _table(source: Path, newest: Any, now: "Watching") -> "RenderableType":
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    rate = f", {now.a_minute:.0f} a minute" if now.a_minute else ""
    head = f"{source}: {now.kept} inspected{rate}, {now.failed} could not be, {now.waiting} waiting"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for decision, name, why in newest:
        table.add_row(f"[{COLOURS.get(decision, 'red')}]{decision}[/]", escape(name), escape(why))
    trouble = Text(now.trouble, style="bold yellow") if now.trouble else Text("watching; Ctrl-C ends it", style="dim")
    return Group(Text(head, style="bold"), table, trouble)
