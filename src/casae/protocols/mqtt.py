"""MQTT 3.1.1: each message with quality of service 1, so that the broker says that it has it."""

import ssl
import string
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from casae.errors import UsageError
from casae.protocols.follow import Tell
from casae.records.outbox import Message

PORTS = {"mqtt": 1883, "mqtts": 8883}
PLACES = ("kind", "decision", "serial", "batch", "product", "station", "recipe")
TOPIC = "casae/{station}/{kind}"
FORBIDDEN = str.maketrans({"/": "_", "+": "_", "#": "_", "\0": "_"})
NOTHING = "-"  # in a topic, where nobody said: a level may not be empty
KEEPALIVE_S = 30
FIRST_S = 5.0  # for the first answer of a broker
LOOK_S = 0.2  # between two looks at whether to end
LONGEST = 65_535  # bytes of a topic


@dataclass(frozen=True)
class Broker:
    """Where to, and as whom.

    Attributes:
        host, port: of the broker.
        user, password: that it asks for.
        is_encrypted: speak TLS; `authorities` (PEM) says whom to trust, None whom this machine does.
        certificate, key: of this client (PEM), where the broker asks for one.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    is_encrypted: bool = False
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(
        cls,
        url: str,
        password: str | None = None,
        authorities: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> "Broker":
        """From mqtt://USER@HOST:PORT or mqtts://...; ports 1883 and 8883 need not be said.

        Raises:
            UsageError: the URL cannot be understood, or what goes with TLS alone is given without.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port or PORTS[parts.scheme], parts.hostname
        except (KeyError, ValueError):
            host, port = None, 0
        if not host or parts.path.strip("/") or parts.query:
            raise UsageError(f"{_without_password(url)}: is no broker; say mqtt://USER@HOST:1883, or mqtts:// for TLS")
        is_encrypted = parts.scheme == "mqtts"
        if not is_encrypted and (authorities or certificate or key):
            raise UsageError(f"{_without_password(url)}: is not encrypted, certificates go with mqtts://")
        for file in filter(None, (authorities, certificate, key)):
            if not file.is_file():
                raise UsageError(f"{file}: no such file; name a certificate or key in PEM")
        user, said = (None if text is None else unquote(text) for text in (parts.username, parts.password))
        return cls(host, port, user, password or said, is_encrypted, authorities, certificate, key)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Topic:
    """The topic of each message: a text with places such as {station}, of `PLACES`.

    Raises:
        UsageError: no such place, or MQTT does not allow it.
    """

    pattern: str = TOPIC

    def __post_init__(self) -> None:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(self.pattern) if name is not None]
        except ValueError:
            names = [""]
        unknown = [name for name in names if name not in PLACES]
        if unknown:
            places = ", ".join(f"{{{name}}}" for name in PLACES)
            raise UsageError(f"--topic {self.pattern}: {{{unknown[0]}}} is no place; there are {places}")
        levels = self.pattern.split("/")
        if not all(levels) or self.pattern.startswith("$") or {"+", "#", "\0"} & set(self.pattern):
            raise UsageError(f"--topic {self.pattern}: must have no empty level, no +, # and no $ at its beginning")

    def of(self, message: Message) -> str:
        """Where a message goes; what MQTT does not allow in a level is `_`, what nobody said `-`."""
        said = {"kind": message.kind, "decision": message.decision, **message.record.part.model_dump()}
        levels = {name: (said[name] or NOTHING).translate(FORBIDDEN) for name in PLACES}
        return self.pattern.format(**levels).encode()[:LONGEST].decode(errors="ignore")


class Publisher:
    """A connection to a broker that comes back by itself.

    Args:
        broker: see there.
        name: of the subscriber; casae/status/NAME says `online` or `offline` (retained, last will).
        topic: of each message.
        is_retained: the broker keeps the last message of each topic for who comes later.
        stop: ends waiting.
        tell: told what is in the way, and None when it goes on.
    """

    def __init__(
        self, broker: Broker, name: str, topic: Topic, is_retained: bool, stop: threading.Event, tell: Tell
    ) -> None:
        self.broker, self.topic, self.is_retained = broker, topic, is_retained
        self._stop, self._tell = stop, tell
        self._answered, self._refused = threading.Event(), ""
        self._has, self._news = set[int](), threading.Condition()  # numbers of messages that the broker has
        self._status = f"casae/status/{name.translate(FORBIDDEN)}"
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_publish = self._on_publish
        self._client.will_set(self._status, "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 30)
        if broker.user is not None:
            self._client.username_pw_set(broker.user, broker.password)
        if broker.is_encrypted:
            try:
                self._client.tls_set(_text(broker.authorities), _text(broker.certificate), _text(broker.key))
            except (ssl.SSLError, OSError) as error:
                raise UsageError(f"{broker}: certificates cannot be used ({error}); name others, in PEM") from error

    @contextmanager
    def connected(self) -> "Iterator[Publisher]":
        """Connect; a broker that is away is waited for.

        Raises:
            UsageError: it refuses us.
        """
        self._client.connect_async(self.broker.host, self.broker.port, KEEPALIVE_S)
        self._client.loop_start()
        try:
            self._answered.wait(FIRST_S)
            if self._refused:
                raise UsageError(f"{self.broker}: refuses this client ({self._refused}); check user and password")
            yield self
        finally:
            if self._client.is_connected():
                self._client.publish(self._status, "offline", qos=1, retain=True).wait_for_publish(FIRST_S)
            self._client.disconnect()
            self._client.loop_stop()

    def deliver(self, messages: Sequence[Message]) -> list[str]:
        """Publish; ids of those that the broker has. Waits for it, or until it is to end."""
        sent = {}
        for message in messages:  # without a connection they wait in the client, which sends them again after each one
            info = self._client.publish(self.topic.of(message), message.content.encode(), 1, self.is_retained)
            sent[info.mid] = message.id
        with self._news:
            while not self._has.issuperset(sent) and not self._stop.is_set():
                self._news.wait(LOOK_S)
            arrived = [key for number, key in sent.items() if number in self._has]
            self._has.clear()
        return arrived

    def _on_connect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._tell(f"{self.broker}: refuses this client ({reason}); it is tried again")
        else:
            self._refused = ""
            client.publish(self._status, "online", qos=1, retain=True)
            self._tell(None)
        self._answered.set()

    def _on_disconnect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure and not self._refused:
            self._tell(f"{self.broker}: the connection broke ({reason}); it is tried again, nothing is lost")

    def _on_publish(
        self, client: paho.Client, _: object, number: int, reason: ReasonCode, properties: Properties
    ) -> None:
        with self._news:
            self._has.add(number)
            self._news.notify()

    def _on_connect_fail(self, client: paho.Client, _: object) -> None:
        self._tell(f"{self.broker}: cannot be reached; it is tried again, nothing is lost")
        self._answered.set()


def _text(file: Path | None) -> str | None:
    return None if file is None else str(file)


def _without_password(url: str) -> str:
    head, at, rest = url.rpartition("@")
    return url if not at else f"{head.rpartition(':')[0] if head.count(':') > 1 else head}@{rest}"
