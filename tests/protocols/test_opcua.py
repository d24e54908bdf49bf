import asyncio
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest

from casae.errors import UsageError
from casae.records.outbox import all_subscribers, subscribe
from casae.records.store import review
from protocol_processes import publishing, until

asyncua = pytest.importorskip("asyncua", reason="asyncua is not installed")

from casae.protocols.opcua import FIELDS, NAMESPACE, Access  # noqa: E402


def finished(work):
    """Run it in a thread of its own: a browser of other tests keeps a loop of events in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


@contextmanager
def serving(home, port, *options, **shown):
    """`casae publish opcua`, once it listens."""
    with publishing("opcua", "--home", home, "--port", port, *options, **shown) as (process, said):
        until(lambda: any("publishing" in line for line in said))
        yield process, said


@asynccontextmanager
async def at(port, prepare=None):
    """A client that is connected."""
    client = asyncua.Client(f"opc.tcp://127.0.0.1:{port}/casae")
    if prepare is not None:
        await prepare(client)
    async with client:
        yield client


async def _latest(client):
    space = await client.get_namespace_index(NAMESPACE)
    return await client.nodes.objects.get_child([f"{space}:casae", f"{space}:LatestResult"])


async def _read(client):
    """Values by name, by one request: what is read one by one may be of two messages."""
    nodes = await (await _latest(client)).get_children()
    names = [(await node.read_browse_name()).Name for node in nodes]
    return dict(zip(names, await client.read_values(nodes), strict=True))


async def _until(client, holds):
    for _ in range(600):
        if holds(told := await _read(client)):
            return told
        await asyncio.sleep(0.05)
    raise AssertionError("it took too long")


class Listener:
    """Keeps the events that it is told of."""

    def __init__(self):
        self.events = []

    def event_notification(self, event):
        self.events.append(event)


def test_variables_show_the_newest_and_events_tell_each(port, home, engine, keep):
    async def look():
        async with at(port) as client:
            assert set(await _read(client)) == {*FIELDS, "Acknowledged"}
            space = await client.get_namespace_index(NAMESPACE)
            top = await client.nodes.objects.get_child([f"{space}:casae"])
            kind = await client.nodes.base_event_type.get_child([f"{space}:ResultEventType"])
            listener = Listener()
            await (await client.create_subscription(20, listener)).subscribe_events(top, kind)
            record = await asyncio.to_thread(keep, "4711")
            told = await _until(client, lambda told: told["Sequence"])
            assert (told["MeasId"], told["Kind"], told["Decision"]) == (record.id, "inspection", "NG")
            assert (told["PartId"], told["JobId"], told["ProductId"], told["Station"]) == ("4711", "B7", "ring", "3")
            assert (told["Defects"], told["LargestAreaPx"], told["Reason"]) == (1, 80, record.reason)
            assert (told["DefectClass"], math.isnan(told["LongestLengthMm"])) == (record.defects[0].defect_class, True)
            moment = datetime.fromisoformat(record.inspected_at)
            assert told["InspectedAt"].replace(tzinfo=UTC) == moment
            assert json.loads(told["Content"]) == json.loads(record.model_dump_json(by_alias=True))
            said = await asyncio.to_thread(review, engine, record.id, "OK", "ann", "dust")
            await _until(client, lambda now: now["MeasId"] == said)
            for _ in range(200):
                if len(listener.events) == 2:
                    break
                await asyncio.sleep(0.05)
            first, second = listener.events
            assert (first.MeasId, first.Decision, first.Severity) == (record.id, "NG", 700)
            assert first.Message.Text == f"NG: {record.reason}"
            assert (second.MeasId, second.Kind, second.Decision) == (said, "review", "OK")

    with serving(home, port):
        finished(look)
        until(lambda: all_subscribers(engine)[0].waiting == 0)


def test_each_message_is_shown_until_it_is_acknowledged(port, home, engine, keep):
    subscribe(engine, "opcua")
    kept = [keep(str(number)).id for number in range(3)]

    async def look():
        async with at(port) as client:
            space = await client.get_namespace_index(NAMESPACE)
            mine = await (await _latest(client)).get_child([f"{space}:Acknowledged"])
            for key in kept:
                told = await _until(client, lambda told: told["MeasId"] == key)  # noqa: B023
                await asyncio.sleep(0.3)
                assert (await _read(client))["MeasId"] == key
                await mine.write_value(asyncua.ua.Variant(told["Sequence"], asyncua.ua.VariantType.UInt16))
            decision = await (await _latest(client)).get_child([f"{space}:Decision"])
            with pytest.raises(asyncua.ua.UaStatusCodeError):
                await decision.write_value("OK")

    with serving(home, port, "--acknowledge"):
        finished(look)
        until(lambda: all_subscribers(engine)[0].waiting == 0)


def test_with_a_certificate_all_is_encrypted_and_users_sign_in(port, home, tmp_path, monkeypatch):
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority, kind = trustme.CA(), trustme.KeyType.RSA
    issued, mine = authority.issue_cert("127.0.0.1", key_type=kind), authority.issue_cert("client", key_type=kind)
    curve = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    cert, key, client_cert, client_key, curved, curved_key = (tmp_path / f"{number}.pem" for number in range(6))
    for own, file, secret in ((issued, cert, key), (mine, client_cert, client_key), (curve, curved, curved_key)):
        own.cert_chain_pems[0].write_to_path(file)
        own.private_key_pem.write_to_path(secret)
    monkeypatch.setenv("CASAE_PASSWORD", "a good password")

    def signed_in(password):
        async def prepare(client):
            client.set_user("line")
            client.set_password(password)
            await client.set_security(
                asyncua.crypto.security_policies.SecurityPolicyBasic256Sha256, client_cert, client_key
            )

        return prepare

    async def look():
        with pytest.raises((asyncua.ua.UaError, OSError)):
            async with at(port):
                pass
        with pytest.raises((asyncua.ua.UaError, OSError)):
            async with at(port, signed_in("a guess")):
                pass
        async with at(port, signed_in("a good password")) as client:
            assert (await _read(client))["Sequence"] == 0

    with serving(home, port, "--cert", cert, "--key", key, "--user", "line"):
        finished(look)
    with publishing("opcua", "--home", home, "--port", port, "--cert", curved, "--key", curved_key) as (process, said):
        assert process.wait(60) == 2
    assert said[-1].startswith(f"casae: {curved_key}: is no RSA key")


def test_what_goes_together_is_said_together(port, home, tmp_path):
    file = tmp_path / "key.pem"
    file.write_text("no key")
    for access, rule in (
        ({"certificate": file}, "--cert and --key: go together"),
        ({"user": "ann"}, "--user: goes with a password"),
        ({"user": "ann", "password": "x"}, "--user: a password would be sent for all to read"),
        ({"certificate": file, "key": tmp_path / "no"}, "no: no such file"),
    ):
        with pytest.raises(UsageError, match=re.escape(rule)):
            Access(**access)
    with publishing("opcua", "--home", home, "--port", port, "--cert", file, "--key", file) as (process, said):
        assert process.wait(60) == 2
    assert said[-1].startswith(f"casae: {file}: cannot be used with its key")


def test_a_port_that_is_taken_is_named(port, home):
    with serving(home, port):
        with publishing("opcua", "--home", home, "--port", port) as (second, said):
            assert second.wait(60) == 2
        assert said[-1].startswith(f"casae: 127.0.0.1:{port}: cannot be listened on")
