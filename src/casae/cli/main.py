"""The command `casae`. Each command's module imports what it needs only when it runs, so that `--help` is quick."""

import re
import sys
import traceback
from typing import Annotated

import typer

from casae.cli import (
    batch,
    benchmark,
    calibrate,
    compare,
    data,
    evaluate,
    inspect,
    novelty,
    publish,
    quantise,
    records,
    reproduce,
    rules,
    serve,
    synthetic,
    train,
    watch,
)

app = typer.Typer(
    name="casae",
    help="Find, outline, crop, classify and measure defects on surfaces.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("inspect")(inspect.inspect)
app.command("batch")(batch.batch)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("quantise")(quantise.quantise)
app.command("novelty")(novelty.novelty)
app.command("benchmark")(benchmark.benchmark)
app.command("reproduce")(reproduce.reproduce)
app.command("synthetic")(synthetic.synthetic)
app.add_typer(data.app, name="data")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(rules.app, name="rules")
app.add_typer(records.app, name="records")
app.add_typer(publish.app, name="publish")
app.add_typer(serve.users, name="users")


COMMA = re.compile(r"(--\S+=)?\d+,\d+")  # a number as many people write it


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"casae {version('casae')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _command_of(error: typer.TyperException) -> str:
    """The command that was used wrongly, such as `casae data check`."""
    context = getattr(error, "ctx", None)
    return "casae" if context is None else str(context.command_path)


def main() -> None:
    """Run; a user's mistake is one line on stderr and exit code 2, an error of casae's own a traceback and 2."""
    from casae.cli.streams import make_streams_safe
    from casae.errors import CasaeError, RecordsError
    from casae.files import without_controls

    make_streams_safe()

    def complain(text: str) -> None:
        typer.echo(f"casae: {without_controls(text)}", err=True)

    code = 2
    try:
        code = app(standalone_mode=False, prog_name="casae") or 0
    except typer.TyperException as error:
        said = error.format_message().rstrip(".")
        comma = "valid number" in said and any(map(COMMA.fullmatch, sys.argv))
        hint = "; write a point, such as 0.005" if comma else ""
        complain(f"{said}{hint}; see {_command_of(error)} --help")
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except CasaeError as error:
        complain(str(error))
        code = 3 if isinstance(error, RecordsError) else 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}; check the path and its permissions")
    except Exception:  # 1 would say that the rest is done
        traceback.print_exc()
    sys.exit(code)
