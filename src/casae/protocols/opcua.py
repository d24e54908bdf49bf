"""OPC UA: a server whose variables show one message, and whose events tell each.

The names are those of OPC 40100 (Machine Vision) where it has one; its own model is not served, as clients of today
stumble over its types.
"""

import hmac
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.event_generator import EventGenerator
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.object_ids import ObjectIds
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate, ExtensionNotFound, SubjectAlternativeName, UniformResourceIdentifier

from casae.errors import UsageError
from casae.protocols.handover import Handover, Shown, event_loop

NAMESPACE = "urn:casae:inspection"
LATEST, ACKNOWLEDGED = "LatestResult", "Acknowledged"
MOST_CLIENTS = 20
SESSION_S = 60  # without a word from a client, after which its session ends
SEVERITIES = {"OK": 100, "REVIEW": 400, "NG": 700}
ENCRYPTED = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
FIELDS: dict[str, tuple[ua.VariantType, object]] = {  # in the order in which they change: Sequence says that all have
    "MeasId": (ua.VariantType.String, ""),
    "Kind": (ua.VariantType.String, ""),
    "Decision": (ua.VariantType.String, ""),
    "Reason": (ua.VariantType.String, ""),
    "PartId": (ua.VariantType.String, ""),
    "JobId": (ua.VariantType.String, ""),
    "ProductId": (ua.VariantType.String, ""),
    "Station": (ua.VariantType.String, ""),
    "ExternalRecipeId": (ua.VariantType.String, ""),
    "InspectedAt": (ua.VariantType.DateTime, datetime(1970, 1, 1, tzinfo=UTC)),
    "Defects": (ua.VariantType.UInt32, 0),
    "LargestAreaPx": (ua.VariantType.UInt32, 0),
    "LongestLengthMm": (ua.VariantType.Double, float("nan")),
    "DefectClass": (ua.VariantType.String, ""),
    "Content": (ua.VariantType.String, ""),
    "Waiting": (ua.VariantType.UInt32, 0),
    "Sequence": (ua.VariantType.UInt16, 0),
}


def values(shown: Shown) -> dict[str, object]:
    """Of a message, by the names of `FIELDS`; `Content` is its JSON."""
    record, part = shown.record, shown.record.part
    return {
        "MeasId": shown.message.id,
        "Kind": shown.message.kind,
        "Decision": shown.message.decision,
        "Reason": record.reason,
        "PartId": part.serial or "",
        "JobId": part.batch or "",
        "ProductId": part.product or "",
        "Station": part.station or "",
        "ExternalRecipeId": part.recipe or "",
        "InspectedAt": shown.inspected_at.astimezone(UTC),
        "Defects": len(record.defects),
        "LargestAreaPx": record.largest_px,
        "LongestLengthMm": float("nan") if shown.longest_mm is None else shown.longest_mm,
        "DefectClass": shown.worst,
        "Content": shown.message.content,
        "Waiting": shown.waiting,
        "Sequence": shown.sequence,
    }


@dataclass(frozen=True)
class Access(UserManager):
    """Who may come in.

    Attributes:
        certificate, key: of the server (PEM or DER); with them it speaks encrypted alone.
        user, password: that clients sign in with; None lets everybody in.

    Raises:
        UsageError: one without the other, a password without encryption, or no such file.
    """

    certificate: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--cert and --key: go together; say both or none")
        if (self.user is None) != (not self.password):
            raise UsageError("--user: goes with a password; say both or none")
        if self.user is not None and self.certificate is None:
            raise UsageError("--user: a password would be sent for all to read; say --cert and --key too")
        for file in filter(None, (self.certificate, self.key)):
            if not file.is_file():
                raise UsageError(f"{file}: no such file; name a certificate or key")

    def get_user(
        self, server: object, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Asked by asyncua: a user, who may write what is writable, or None."""
        known = self.user is None or (
            hmac.compare_digest((username or "").encode(), self.user.encode())
            and hmac.compare_digest((password or "").encode(), (self.password or "").encode())
        )
        return User(role=UserRole.User, name=username) if known else None


@dataclass
class OpcUaServer:
    """An OPC UA server: Objects/casae/LatestResult, and an event for each message.

    Attributes:
        host, port: where it listens.
        waits: each message is shown until its sequence is written to `Acknowledged`; else the newest one is.
        stop: ends waiting.
        access: who may come in.
    """

    host: str
    port: int
    waits: bool
    stop: threading.Event
    access: Access = field(default_factory=Access)
    handover: Handover = field(init=False)

    def __post_init__(self) -> None:
        self.handover = Handover(self._show, self.waits, self.stop)

    @property
    def url(self) -> str:
        """That clients connect to."""
        return f"opc.tcp://{self.host}:{self.port}/casae"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer as long as this lasts.

        Raises:
            UsageError: the address cannot be listened on, or the certificate not be used.
        """
        with event_loop() as self._run:
            try:
                server = self._run(self._begun())
            except OSError as error:
                way = "name another --port, or end what listens there"
                raise UsageError(f"{self.host}:{self.port}: cannot be listened on ({error.strerror}); {way}") from error
            try:
                yield
            finally:
                self._run(server.stop())

    async def _begun(self) -> Server:
        server = Server(user_manager=self.access)
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("casae")
        server.allow_remote_admin(False)
        await server.set_application_uri(f"urn:{platform.node()}:casae")
        await server.set_build_info(NAMESPACE, "casae", "casae", version("casae"), version("casae"), datetime.now(UTC))
        await self._secured(server)
        inner = server.iserver
        inner.max_connections = MOST_CLIENTS
        inner.max_session_timeout_ms = SESSION_S * 1000
        space = await server.register_namespace(NAMESPACE)
        top = await server.nodes.objects.add_object(space, "casae")
        latest = await top.add_object(space, LATEST)
        self._nodes = {
            name: await latest.add_variable(space, name, value, kind) for name, (kind, value) in FIELDS.items()
        }
        acknowledged = await latest.add_variable(space, ACKNOWLEDGED, 0, ua.VariantType.UInt16)
        await acknowledged.set_writable()
        kind = await server.create_custom_event_type(
            space, "ResultEventType", ObjectIds.BaseEventType, [(name, kind) for name, (kind, _) in FIELDS.items()]
        )
        self._events: EventGenerator = await server.get_event_generator(kind.nodeid, top.nodeid)
        await server.start()
        await (await server.create_subscription(20, self)).subscribe_data_change(acknowledged)
        return server

    async def _secured(self, server: Server) -> None:
        if self.access.certificate is None or self.access.key is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            try:
                await server.load_certificate(self.access.certificate)
                await server.load_private_key(self.access.key)
            except (ValueError, TypeError) as error:
                way = "name others, in PEM or DER, the key without a password"
                raise UsageError(f"{self.access.certificate}: cannot be used with its key ({error}); {way}") from error
            if not isinstance(server.iserver.private_key, RSAPrivateKey):
                raise UsageError(f"{self.access.key}: is no RSA key, and OPC UA needs one; make a certificate with one")
            for name in _uris(server.iserver.certificate):
                await server.set_application_uri(name)
            server.set_security_policy(ENCRYPTED)
        server.set_identity_tokens(
            [ua.AnonymousIdentityToken if self.access.user is None else ua.UserNameIdentityToken]
        )

    def datachange_notification(self, node: Node, value: int, data: object) -> None:
        """Called by asyncua: a client has written what it has seen."""
        self.handover.acknowledge(value)

    def _show(self, shown: Shown) -> None:
        self._run(self._write(shown))

    async def _write(self, shown: Shown) -> None:
        told = values(shown)
        for name, value in told.items():
            await self._nodes[name].write_value(ua.Variant(value, FIELDS[name][0]))
        event = self._events.event
        for name, value in told.items():
            setattr(event, name, value)
        event.Severity = SEVERITIES[shown.message.decision]
        await self._events.trigger(message=f"{shown.message.decision}: {shown.record.reason}")


def _uris(certificate: Certificate) -> list[str]:
    """By which a certificate knows the application: many clients refuse one that has another."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return list(names.get_values_for_type(UniformResourceIdentifier))[:1]
