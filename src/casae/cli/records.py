"""`casae records`."""

import getpass
import json
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from casae.batch.places import Place
    from casae.records.queries import Filter

app = typer.Typer(help="Inspections in a database: keep, find, review, export, back up.", no_args_is_help=True)

Home = Annotated[
    str,
    typer.Option(
        metavar="HOME",
        envvar="CASAE_HOME",
        help="Folder with records.db, or URL of a server: postgresql://USER@HOST/NAME.",
    ),
]
HOME = "casae-home"
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-29, 2026-11-29T14:00, 8h, 7d.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")]
DecisionOption = Annotated[Literal["OK", "REVIEW", "NG"] | None, typer.Option(help="As casae decided.")]
ClassOption = Annotated[str | None, typer.Option("--class", metavar="NAME", help="With a defect of this class.")]
Serial = Annotated[str | None, typer.Option(help="Of the part.")]
Batch = Annotated[str | None, typer.Option(help="Of the part.")]
Product = Annotated[str | None, typer.Option(help="Of the part.")]
Station = Annotated[str | None, typer.Option(help="Where the picture was taken.")]
Recipe = Annotated[str | None, typer.Option(help="That the line worked by.")]
Model = Annotated[str | None, typer.Option(help="Name of the model.")]
Picture = Annotated[str | None, typer.Option(metavar="NAME", help="Its file, without folders.")]
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.callback(help=app.info.help)
def needs_database() -> None:
    """Whether what the database needs is installed; help is read without it.

    Raises:
        MissingExtraError: it is not.
    """
    from casae.errors import MissingExtraError

    missing = [name for name in ("sqlalchemy", "alembic") if find_spec(name) is None]
    if missing and not {"--help", "-h"} & set(sys.argv):
        raise MissingExtraError.of(f"records need {' and '.join(missing)}", "records")


@app.command("import")
def import_(
    results: Annotated[str, typer.Argument(help="Folder of casae inspect; folder or URL of casae batch.")],
    home: Home = HOME,
) -> None:
    """Keep the inspections of a results folder or a batch; those that are there already are passed over.

    Exit codes: 0 done, 2 wrong usage, 3 the database does not take them; then run it again.
    """
    from casae.batch.job import JOB
    from casae.batch.places import Place
    from casae.errors import UsageError
    from casae.results.folder import LINES

    place = Place.of(results)
    if place.has(LINES):
        new, count = _import_folder(Path(results), home)
    elif place.has(JOB):
        new, count = _import_batch(place, home)
    else:
        raise UsageError(f"{results}: holds no {LINES}; name a folder that casae inspect or casae batch wrote")
    typer.echo(f"{new} new, {count - new} were there already")


def _import_folder(folder: Path, home: str) -> tuple[int, int]:
    from casae.cli.progress import progress
    from casae.records.store import import_records, keep_rules
    from casae.results.folder import LINES, RULES
    from casae.results.lines import every_record

    file = folder / LINES
    count = sum(1 for _ in every_record(file))
    with opened_home(home, may_be_new=True) as engine, progress("keeping", count) as step:
        keep_rules(engine, (each.read_text("utf-8") for each in sorted((folder / RULES).glob("*.json"))))
        return import_records(engine, every_record(file), step), count


def _import_batch(place: "Place", home: str) -> tuple[int, int]:
    from casae.batch.manifest import Manifest
    from casae.batch.records import import_batch
    from casae.cli.progress import progress

    with opened_home(home, may_be_new=True) as engine, progress("keeping", Manifest(place).images) as step:
        return import_batch(engine, place, step)


@app.command("list")
def list_(
    home: Home = HOME,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows of a page.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this inspection.")] = None,
) -> None:
    """The newest inspections, and how many there are of each decision. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.records.queries import Filter
    from casae.records.store import counted

    with opened_home(home) as engine:
        _print(engine, Filter(), after, limit)
        counts = counted(engine)
    typer.echo("ever: " + ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("OK", "REVIEW", "NG")))


@app.command()
def find(
    home: Home = HOME,
    since: Since = None,
    until: Until = None,
    decision: DecisionOption = None,
    defect_class: ClassOption = None,
    serial: Serial = None,
    batch: Batch = None,
    product: Product = None,
    station: Station = None,
    recipe: Recipe = None,
    model: Model = None,
    picture: Picture = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows of a page.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this inspection.")] = None,
) -> None:
    """Inspections by time, decision, class and part, newest first. Exit codes: 0 done, 2 usage, 3 database."""
    wanted = _filter(since, until, decision, defect_class, serial, batch, product, station, recipe, model, picture)
    with opened_home(home) as engine:
        _print(engine, wanted, after, limit)


@app.command()
def show(key: Annotated[str, typer.Argument(metavar="ID")], home: Home = HOME) -> None:
    """One inspection, where its picture was moved to and what people said of it, as JSON.

    Exit codes: 0 done, 2 no such inspection, 3 database.
    """
    from casae.cli.streams import print_utf8
    from casae.records.queries import kept_at, reviews_of
    from casae.records.store import record_by_id

    with opened_home(home) as engine:
        record = record_by_id(engine, key).model_dump(mode="json", by_alias=True)
        told = {"record": record, "moved_to": kept_at(engine, key), "reviews": reviews_of(engine, key)}
    print_utf8(json.dumps(told, indent=2, ensure_ascii=False))


@app.command()
def review(
    key: Annotated[str, typer.Argument(metavar="ID")],
    decision: Annotated[Literal["OK", "NG"], typer.Argument(help="What the part truly is.")],
    why: Annotated[str, typer.Option(help="The reason.")],
    who: Annotated[str | None, typer.Option(help="Default: your user name.")] = None,
    home: Home = HOME,
) -> None:
    """Say what a part truly is: a new row; the inspection stays. Exit codes: 0 kept, 2 usage, 3 database."""
    from casae.records.store import review as run

    with opened_home(home) as engine:
        typer.echo(run(engine, key, decision, who or _user(), why))


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="FILE.csv, .jsonl or .parquet, new.")],
    home: Home = HOME,
    rows: Annotated[Literal["inspections", "defects", "reviews"], typer.Option(help="What a row is.")] = "inspections",
    since: Since = None,
    until: Until = None,
    decision: DecisionOption = None,
    defect_class: ClassOption = None,
    serial: Serial = None,
    batch: Batch = None,
    product: Product = None,
    station: Station = None,
    recipe: Recipe = None,
    model: Model = None,
    picture: Picture = None,
) -> None:
    """Inspections, their defects or their reviews as a table; inspections whole as JSON lines.

    Exit codes: 0 done, 2 usage or disk, 3 database.
    """
    from casae.records.export import write

    wanted = _filter(since, until, decision, defect_class, serial, batch, product, station, recipe, model, picture)
    with opened_home(home) as engine:
        typer.echo(f"{write(engine, wanted, out, rows)} {rows} in {out}")


@app.command()
def prune(
    before: Annotated[str, typer.Option(metavar="TIME", help="Older ones: 2026-01-31, 90d.")],
    home: Home = HOME,
    files: Annotated[
        Path | None, typer.Option(help="Folder with the pictures, where --home is a server. Default: none go.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise it is only said what would go.")] = False,
) -> None:
    """Drop old inspections that nobody reviewed; counters stay. Exit codes: 0 done or said, 2 usage, 3 database.

    Pictures that came by HTTP go with their last inspection; those that lie elsewhere are nobody's but yours.
    """
    from casae.records.queries import forget_images, prunable
    from casae.records.queries import prune as run
    from casae.service.home import Home as Files

    moment = _time(before, "--before")
    with opened_home(home) as engine:
        count = run(engine, moment) if yes else prunable(engine, moment)
        if yes:
            _noted(engine, "dropped old inspections", moment.isoformat(), inspections=count)
            forget_images(engine, Files(Path(files or home).expanduser()).forget_image)
    done = "are gone" if yes else "would go; say --yes"
    typer.echo(f"{count:,} inspections from before {moment:%Y-%m-%d %H:%M} {done}")


@app.command()
def failures(
    home: Home = HOME,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows of a page.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this one.")] = None,
) -> None:
    """Pictures that a watch could not inspect, newest first. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.cli.streams import print_utf8
    from casae.records.queries import failures_of

    with opened_home(home) as engine:
        rows = failures_of(engine, after, limit)
    for row in rows:
        print_utf8(f"{row['at']}  {row['reason']}")
    if len(rows) == limit:
        typer.echo(f"more: --after {rows[-1]['id']}")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="New file.")], home: Home = HOME) -> None:
    """Copy the database while others go on writing. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.records.database import backup as run

    with opened_home(home) as engine:
        run(engine, file)
    typer.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="That backup wrote.")],
    home: Annotated[
        str, typer.Option(envvar="CASAE_HOME", help="Folder; casae serve and watch must not run on it meanwhile.")
    ] = HOME,
) -> None:
    """Put a backup in the place of the database, which stays beside it. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.errors import UsageError
    from casae.records.database import restore as run
    from casae.service.settings import database_of

    place = database_of(home)
    if "://" in place:
        way = "restore them with its own tool, such as pg_restore"
        raise UsageError(f"--home {home}: its records are a server's; {way}")
    run(file, Path(place))
    with opened_home(home) as engine:
        _noted(engine, "restored a backup", str(file))
    typer.echo(f"{home} holds what {file} held")


def _noted(engine: "Engine", what: str, subject: str, **detail: object) -> None:
    """A line of the audit list: who took records away shall be known."""
    from casae.errors import UsageError
    from casae.records.store import note

    try:
        who = _user()
    except UsageError:
        who = "casae records"
    note(engine, who, "this machine", what, subject, detail)


def _user() -> str:
    from casae.errors import UsageError

    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # of a number without a name, as in a container
        raise UsageError("--who: this machine does not know your name; say who judges") from error


def opened_home(home: str, may_be_new: bool = False) -> "AbstractContextManager[Engine]":
    """The records of a home, or of what its casae.toml names.

    Raises:
        UsageError: there are none, and there may not be.
    """
    from casae.errors import UsageError
    from casae.records.database import FILE, opened
    from casae.service.settings import database_of

    place = database_of(home)
    if not may_be_new and "://" not in place and not (Path(place) / FILE).exists():
        raise UsageError(f"{home}: holds no {FILE}; name the home of casae watch or serve, or import results into it")
    return opened(place)


def _filter(since: str | None, until: str | None, *others: Any) -> "Filter":
    from casae.records.queries import Filter

    return Filter(
        None if since is None else _time(since, "--since"), None if until is None else _time(until, "--until"), *others
    )


def _time(text: str, option: str) -> datetime:
    """A moment, or so long ago; without an offset it is this machine's time."""
    from casae.errors import UsageError

    number, unit = text[:-1], text[-1:]
    try:
        if unit in UNITS and number.isdecimal():
            return datetime.now(UTC) - timedelta(**{UNITS[unit]: int(number)})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text}: is no time; say 2026-11-29, 2026-11-29T14:00 or 8h, 7d") from error


def _print(engine: "Engine", wanted: "Filter", after: str | None, limit: int) -> None:
    """A line each, as wide as it must be: an id or a name that is cut helps nobody."""
    from casae.cli.streams import print_utf8
    from casae.records.queries import moment_of, page

    rows = page(engine, wanted, after, limit)
    lines = [("id", "time", "decision", "reviewed", "defects", "part", "picture")]
    for row in rows:
        part = " ".join(filter(None, (row.product, row.batch, row.serial)))
        ended = f"{moment_of(row.id).astimezone():%Y-%m-%d %H:%M:%S}"
        lines.append((row.id, ended, row.decision, row.reviewed or "", str(row.defects), part, Path(row.source).name))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if rows else ():
        print_utf8("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if len(rows) == limit:
        typer.echo(f"more: --after {rows[-1].id}")
    elif not rows:
        typer.echo("no inspection")
