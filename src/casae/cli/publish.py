"""`casae publish`."""

import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli.records import HOME, Home, needs_database, opened_home

if TYPE_CHECKING:
    from casae.protocols.follow import Deliver, Tell

app = typer.Typer(help="Tell the plant what is recorded: by MQTT, Modbus, OPC UA.", no_args_is_help=True)
app.callback(help=app.info.help)(needs_database)
Name = Annotated[str, typer.Option(metavar="NAME", help="Of this subscriber: what it was told is kept under it.")]
PASSWORD = "CASAE_PASSWORD"
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help=f"Password in its first line. Default: ${PASSWORD}.")
]


@app.command()
def mqtt(
    broker: Annotated[str, typer.Argument(metavar="URL", help="mqtt://USER@HOST:1883, or mqtts:// for TLS.")],
    home: Home = HOME,
    name: Name = "mqtt",
    topic: Annotated[
        str,
        typer.Option(
            help="With {kind} (inspection or review), {decision}, {serial}, {batch}, {product}, {station}, {recipe}."
        ),
    ] = "casae/{station}/{kind}",
    retain: Annotated[bool, typer.Option("--retain", help="The broker keeps the last message of each topic.")] = False,
    password_file: PasswordFile = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Whom to trust. Default: whom this machine does.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Certificate of this client.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
) -> None:
    """Publish each new inspection and review until Ctrl-C or SIGTERM, beside casae serve, watch or inspect.

    From its first run on, what is recorded waits for it in the database until the broker has it: at least once, with
    an id, whatever is killed or away meanwhile.

    Exit codes: 0 ended as asked, 2 wrong usage or refused by the broker, 3 the database cannot be opened.
    """
    _needs("paho", "mqtt")
    from casae.protocols.mqtt import Broker, Publisher, Topic

    stop, tell = threading.Event(), _teller()
    to = Broker.of(broker, _password(password_file), ca, cert, key)
    publisher = Publisher(to, name, Topic(topic), retain, stop, tell)
    with publisher.connected():
        _follow(home, name, publisher.deliver, str(to), stop, tell, once)


Host = Annotated[str, typer.Option(help="0.0.0.0 lets other machines in. Default: this machine alone.")]
Acknowledge = Annotated[
    bool,
    typer.Option("--acknowledge", help="Show each message until its sequence is written back; else the newest one."),
]


@app.command()
def modbus(
    home: Home = HOME,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="502 is usual, and needs rights on Linux.")] = 1502,
    acknowledge: Acknowledge = False,
    name: Name = "modbus",
) -> None:
    """Show inspections and reviews in registers of a Modbus TCP server, until Ctrl-C or SIGTERM.

    Modbus knows no passwords: let nobody reach the port but the controller.

    Exit codes: 0 ended as asked, 2 wrong usage or a port that is taken, 3 the database cannot be opened.
    """
    _needs("pymodbus", "modbus")
    from casae.protocols.modbus import ModbusServer

    stop = threading.Event()
    server = ModbusServer(host, port, acknowledge, stop)
    with server.listening():
        _follow(home, name, server.handover.deliver, f"{host}:{port}", stop, _teller())


@app.command()
def opcua(
    home: Home = HOME,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 4840,
    acknowledge: Acknowledge = False,
    cert: Annotated[Path | None, typer.Option(help="Certificate of the server; with it all is encrypted.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    user: Annotated[str | None, typer.Option(help="That clients sign in as. Default: everybody is let in.")] = None,
    password_file: PasswordFile = None,
    name: Name = "opcua",
) -> None:
    """Show inspections and reviews in variables of an OPC UA server, and as events, until Ctrl-C or SIGTERM.

    Exit codes: 0 ended as asked, 2 wrong usage or a port that is taken, 3 the database cannot be opened.
    """
    _needs("asyncua", "opcua")
    from casae.protocols.opcua import Access, OpcUaServer

    stop = threading.Event()
    access = Access(cert, key, user, None if user is None else _password(password_file))
    server = OpcUaServer(host, port, acknowledge, stop, access)
    with server.listening():
        _follow(home, name, server.handover.deliver, server.url, stop, _teller())


@app.command("list")
def list_(home: Home = HOME) -> None:
    """Who is told, since when, and how much waits for them. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.cli.streams import print_utf8
    from casae.records.outbox import all_subscribers

    with opened_home(home) as engine:
        told = all_subscribers(engine)
    for each in told:
        print_utf8(f"{each.name}  since {each.since}  {each.waiting:,} waiting")
    if not told:
        typer.echo("nobody is told; casae publish mqtt, modbus or opcua begins it")


@app.command()
def drop(name: Annotated[str, typer.Argument()], home: Home = HOME) -> None:
    """Tell a subscriber no more; what waits for it is dropped. Exit codes: 0 done, 2 usage, 3 database."""
    from casae.records.outbox import unsubscribe

    with opened_home(home) as engine:
        typer.echo(f"{name} is told no more; {unsubscribe(engine, name):,} messages were waiting")


def _needs(package: str, extra: str) -> None:
    from casae.errors import MissingExtraError

    if find_spec(package) is None:
        raise MissingExtraError.of(f"casae publish {extra} needs {package}", extra)


def _follow(
    home: str, name: str, deliver: "Deliver", to: str, stop: threading.Event, tell: "Tell", once: bool = False
) -> None:
    """Subscribe and deliver until it is to end."""
    from casae.cli.ending import ended_by_signals
    from casae.protocols.follow import follow
    from casae.records.outbox import subscribe

    with opened_home(home, may_be_new=True) as engine, ended_by_signals(stop):
        if subscribe(engine, name):
            typer.echo(f"casae: {name} is told of what is recorded from now on", err=True)
        if not once:
            typer.echo(f"casae: publishing {home} at {to}; Ctrl-C ends it", err=True)
        typer.echo(f"{follow(engine, name, deliver, stop, tell, once)} published")


def _password(file: Path | None) -> str | None:
    from casae.errors import UsageError

    if file is None:
        return os.environ.get(PASSWORD)
    lines = file.read_text("utf-8").splitlines()
    if not lines:
        raise UsageError(f"{file}: is empty; write the password into its first line")
    return lines[0]


def _teller() -> "Tell":
    """Says each trouble once, and that it is over."""
    last: list[str | None] = [None]

    def tell(trouble: str | None) -> None:
        if trouble != last[0]:
            last[0] = trouble
            typer.echo(f"casae: {trouble or 'goes on'}", err=True)

    return tell
