"""Open, migrate, copy and restore the database: SQLite in a folder, or PostgreSQL by its URL."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from casae.errors import MissingExtraError, OutputError, RecordsError, UsageError
from casae.lock import lock

FILE = "records.db"
WAIT = 30.0  # s for another process to finish writing
MIGRATIONS = Path(__file__).parent / "migrations"
AT_ONCE = "AUTOCOMMIT"
PATIENCE = {  # s, ms: with a server that vanishes from the network
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
LOCK = 0xCA5AE  # that migrations of a server hold; any number that nobody else takes


@contextmanager
def opened(home: str | Path) -> Iterator[Engine]:
    """The records of a home as long as this lasts; see `open_database`."""
    engine = open_database(home)
    try:
        yield engine
    finally:
        engine.dispose()


def open_database(home: str | Path) -> Engine:
    """The records of a home, made or brought to the newest schema where that is needed.

    Reading needs no transaction; what writes does so within `writing`. Whoever opens it disposes of it.

    Args:
        home: a folder, which then holds `records.db`, or the URL of a PostgreSQL, postgresql://USER@HOST/NAME.

    Raises:
        RecordsError: it cannot be opened, is damaged, newer than this casae, or a migration failed; nothing is lost.
        MissingExtraError: the driver of the server is not installed.
        UsageError: the URL cannot be understood.
    """
    url = _url_of(home)
    with _named(url):
        engine = _engine(url)
        try:
            _migrate(engine, url)
        except BaseException:
            engine.dispose()
            raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is on disk when this ends, or never was.

    Raises:
        RecordsError: the database does not take it.
    """
    with _named(str(engine.url)), engine.connect() as connection:
        ordered = connection.execution_options(isolation_level="SERIALIZABLE" if _is_file(engine) else "READ COMMITTED")
        with ordered.begin():
            yield ordered


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries.

    Raises:
        RecordsError: the database cannot be read.
    """
    with _named(str(engine.url)), engine.connect() as connection:
        yield connection.execution_options(isolation_level=AT_ONCE)


def backup(engine: Engine, file: Path) -> None:
    """A copy of a database in a file, while others go on writing.

    Raises:
        UsageError: there is such a file, or the database is a server's, which has its own tools.
        RecordsError: the copy cannot be written.
    """
    if not _is_file(engine):
        raise UsageError(f"{engine.url}: is a server's; copy it with its own tool, such as pg_dump")
    if file.exists():
        raise UsageError(f"{file}: is there already; name a new file")
    with _named(str(file)):
        _copy(Path(str(engine.url.database)), file)


def restore(file: Path, home: Path) -> None:
    """Put a backup in the place of a home's database; the one before stays as `records.db.before-restore`.

    Raises:
        RecordsError: the backup is damaged, or no database of records.
        UsageError: there is no such file, or an earlier `records.db.before-restore`.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file; name one that casae records backup wrote")
    target = home / FILE
    before = target.with_name(f"{FILE}.before-restore")
    if before.exists():
        raise UsageError(f"{before}: is there from the last time; move it away")
    with _named(str(file)):
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            sound = copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not sound or "inspections" not in tables:
            raise RecordsError(f"{file}: is no whole database of records; name another backup")
        home.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f"{FILE}.new")
        new.unlink(missing_ok=True)
        _copy(file, new)
    with _named(str(target)):
        if target.exists():
            _put_aside(target, before)
        new.replace(target)


def _put_aside(target: Path, before: Path) -> None:
    """Keep a database under another name; one that is damaged as it is, with what lies beside it.

    Raises:
        RecordsError: somebody uses it.
    """
    try:
        _settle(target)
        _copy(target, before)
    except sqlite3.OperationalError as error:
        raise RecordsError(f"{target}: is in use ({error}); end casae serve and casae watch first") from error
    except sqlite3.DatabaseError:
        before.unlink(missing_ok=True)
        for ending in ("", "-wal", "-shm"):
            part = target.with_name(f"{target.name}{ending}")
            if part.exists():
                part.replace(before.with_name(f"{before.name}{ending}"))


def _url_of(home: str | Path) -> str:
    text = str(home)
    if "://" not in text:
        return f"sqlite+pysqlite:///{Path(text).expanduser().absolute() / FILE}"
    if text.startswith(("postgresql://", "postgres://")):
        return f"postgresql+psycopg://{text.split('://', 1)[1]}"
    return text


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise NoSuchModuleError(parsed.get_backend_name())
        if parsed.get_backend_name() == "postgresql":
            return create_engine(parsed, isolation_level=AT_ONCE, pool_pre_ping=True, connect_args=PATIENCE)
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": WAIT, "isolation_level": None})
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"{_hidden(url)}: no such database; name a folder, or postgresql://USER@HOST/NAME") from error
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"{_hidden(url)}: needs {error.name}", "postgres") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):  # FULL: power may go
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != AT_ONCE:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # waits for its turn, instead of failing when it writes

    return engine


def _is_file(engine: Engine) -> bool:
    return engine.url.get_backend_name() == "sqlite"


def _migrate(engine: Engine, url: str) -> None:
    """Bring the schema to the newest; a file is changed as a copy, which takes its place when all went well."""
    script = ScriptDirectory.from_config(_config())
    newest = script.get_current_head()
    found = _revision(engine)
    if found == newest:
        return
    if found is not None and found not in {revision.revision for revision in script.walk_revisions()}:
        raise RecordsError(f"{_shown(url)}: is of a newer casae (schema {found}); upgrade casae")
    if found is None or not _is_file(engine):
        _upgrade(engine)
        return
    engine.dispose()
    with _alone(Path(str(engine.url.database)).parent):
        _replace(engine, newest)


def _replace(engine: Engine, newest: str | None) -> None:
    """Put a copy that has the newest schema in the place of the file, unless another process was faster."""
    file = Path(str(engine.url.database))
    kept, new = file.with_name(f"{FILE}.before-{newest}"), file.with_name(f"{FILE}.new")
    if _revision(engine) == newest:
        return
    engine.dispose()
    new.unlink(missing_ok=True)
    _settle(file, WAIT)  # nobody else has it open: what they wrote meanwhile would not be in the copy
    _copy(file, new)
    changed = _engine(f"sqlite+pysqlite:///{new}")
    try:
        _upgrade(changed)
        with reading(changed) as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = DELETE")  # all of it in one file
    except Exception as error:
        changed.dispose()
        _remove(new)
        way = f"it stays as it was; keep it, go back to the casae before, and report this ({error})"
        raise RecordsError(f"{file}: cannot be brought to schema {newest}; {way}") from error
    changed.dispose()
    _copy(file, kept)
    new.replace(file)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        quietly = connection.execution_options(isolation_level=AT_ONCE)
        return MigrationContext.configure(quietly).get_current_revision()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else replaces the database of a folder meanwhile; waits for whoever does.

    Raises:
        OutputError: it takes too long.
    """
    end = time.monotonic() + WAIT
    while True:
        try:
            held = lock(folder)
            break
        except OutputError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with held:
        yield


def _upgrade(engine: Engine) -> None:
    """In one transaction, for which another process that opens the database waits."""
    config = _config()
    with writing(engine) as connection:
        if not _is_file(engine):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _copy(file: Path, target: Path) -> None:
    """Of a database that others may be writing."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _settle(file: Path, patience_s: float = 0.0) -> None:
    """Bring all of a database into its one file, so that another may take its place in one step.

    Args:
        file: the database.
        patience_s: for which somebody else who uses it is waited for.

    Raises:
        sqlite3.OperationalError: somebody else uses it.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _remove(file: Path) -> None:
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        file.with_name(name).unlink(missing_ok=True)


def _hidden(url: str) -> str:
    """A text that may be no URL, without what may be a password."""
    return re.sub(r"//[^@/]*@", "//***@", url)


def _shown(url: str) -> str:
    """Without a password."""
    return make_url(url).render_as_string(hide_password=True).removeprefix("sqlite+pysqlite:///")


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Errors of a database in one line, under its name."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause: Any = getattr(error, "orig", None) or error
        said = " ".join(str(cause).split())[:300]
        where = _shown(url) if "://" in url else url
        raise RecordsError(f"{where}: the database says: {said}; check the place, its rights and the disk") from error
    except OSError as error:
        raise RecordsError(f"{error.filename or url}: {error.strerror}; check the place and its rights") from error
