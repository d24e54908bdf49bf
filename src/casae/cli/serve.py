"""`casae serve` and `casae users`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

HOME = Path("casae-home")
Home = Annotated[Path, typer.Option(envvar="CASAE_HOME", help="Folder with records, models, pictures and casae.toml.")]
Database = Annotated[
    str | None, typer.Option(metavar="URL", help="postgresql://USER@HOST/NAME instead of a file in the home.")
]
RoleOption = Annotated[
    Literal["viewer", "operator", "engineer", "admin"],
    typer.Option(help="Looks; inspects and reviews; models, rules, jobs; users. Each may what those before may."),
]

users = typer.Typer(help="Who may use the service.", no_args_is_help=True)


def serve(
    home: Home = HOME,
    port: Annotated[int | None, typer.Option(help="TCP port, 0 for a free one. Default: 8000.")] = None,
    host: Annotated[
        str | None, typer.Option(help="0.0.0.0 lets other machines in, who must sign in. Default: 127.0.0.1.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Judges every product without a model of its own. What was activated since it was named here stays."
        ),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="Acceptance rules beside it (TOML).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that inspect. Default: 1.")] = None,
    database: Database = None,
    login: Annotated[
        bool | None, typer.Option("--login/--no-login", help="Default: yes, unless only this machine is let in.")
    ] = None,
    log: Annotated[Literal["text", "json"] | None, typer.Option(help="Lines on standard error.")] = None,
) -> None:
    """Answer over HTTP until Ctrl-C or SIGTERM; what is being answered then is finished.

    Options count more than CASAE_SERVE_NAME in the environment, which counts more than casae.toml in the home. Exit
    codes: 0 ended as asked, 2 usage, model or port, 3 the database cannot be opened.
    """
    _needs()
    from casae.service.home import Home as Files
    from casae.service.run import serve as run
    from casae.service.settings import service_settings

    options = {
        "port": port,
        "host": host,
        "workers": workers,
        "database": database,
        "login": login,
        "log": log,
    }
    folder = _folder(home)
    run(Files(folder), service_settings(folder, options), model, rules)


@users.command("add")
def add(
    name: Annotated[str, typer.Argument()],
    role: RoleOption,
    password: Annotated[
        bool, typer.Option("--password/--no-password", help="Ask for one; without, by tokens alone.")
    ] = True,
    home: Home = HOME,
    database: Database = None,
) -> None:
    """Make a user. Exit codes: 0 done, 2 usage, 3 database."""
    _needs()
    from casae.records.database import opened
    from casae.service.settings import database_of
    from casae.service.who import Who, add_user, noted

    secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    with opened(database_of(_folder(home), database)) as engine:
        add_user(engine, name, role, secret)
        noted(engine, Who("casae users", "admin", "this machine"), "added a user", name, role=role)
    typer.echo(f"{name} is {role}")


@users.command("list")
def list_(home: Home = HOME, database: Database = None) -> None:
    """Users and their roles. Exit codes: 0 done, 2 usage, 3 database."""
    _needs()
    from casae.records.database import opened
    from casae.service.settings import database_of
    from casae.service.who import all_users

    with opened(database_of(_folder(home), database)) as engine:
        for user in all_users(engine):
            typer.echo(f"{user.name}  {user.role}{'  disabled' if user.disabled else ''}")


@users.command("change")
def change(
    name: Annotated[str, typer.Argument()],
    role: Annotated[Literal["viewer", "operator", "engineer", "admin"] | None, typer.Option(help="New role.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new one.")] = False,
    disabled: Annotated[bool | None, typer.Option("--disable/--enable", help="May no longer, or again.")] = None,
    home: Home = HOME,
    database: Database = None,
) -> None:
    """Change a user, who then signs in anew. Exit codes: 0 done, 2 usage, 3 database."""
    _needs()
    from casae.records.database import opened
    from casae.service.settings import database_of
    from casae.service.who import Who, change_user, noted

    secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    with opened(database_of(_folder(home), database)) as engine:
        user = change_user(engine, name, role, secret, disabled)
        noted(engine, Who("casae users", "admin", "this machine"), "changed a user", name, role=user.role)
    typer.echo(f"{name} is {user.role}{', disabled' if user.disabled else ''}")


@users.command("token")
def token(
    name: Annotated[str, typer.Argument()],
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until then. Default: for ever.")] = None,
    home: Home = HOME,
    database: Database = None,
) -> None:
    """Make a token for a program and print it, this once. Exit codes: 0 done, 2 usage, 3 database."""
    _needs()
    from datetime import timedelta

    from casae.records.database import opened
    from casae.service.settings import database_of
    from casae.service.who import Who, new_token, noted

    with opened(database_of(_folder(home), database)) as engine:
        key, secret = new_token(engine, name, label, None if days is None else timedelta(days=days))
        noted(engine, Who("casae users", "admin", "this machine"), "made a token", name, id=key, label=label)
    typer.echo(secret)


def _folder(home: Path) -> Path:
    from casae.errors import UsageError

    if str(home).startswith(("postgresql:", "postgres:")):  # a path has lost one of its slashes
        raise UsageError("--home: the home of a service is a folder; a server goes with --database URL")
    return home.expanduser().absolute()


def _needs() -> None:
    from casae.errors import MissingExtraError

    wanted = ("sqlalchemy", "alembic", "fastapi", "uvicorn", "argon2", "structlog", "prometheus_client", "multipart")
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise MissingExtraError.of(f"serving needs {', '.join(missing)}", "serve")
