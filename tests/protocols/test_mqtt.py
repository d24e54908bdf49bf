import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from casae.errors import UsageError
from casae.protocols.mqtt import Broker, Topic
from casae.records.outbox import Message, all_subscribers, subscribe, unsubscribe
from casae.records.store import review
from protocol_processes import publishing, until

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
pytest.importorskip("amqtt", reason="amqtt is not installed")


@contextmanager
def a_broker(port, *options):
    """A broker in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("broker.py")), str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout.readline() == "listening\n"
            yield process
        finally:
            process.kill()


def to_broker(port, home, *options):
    """`casae publish mqtt`."""
    return publishing("mqtt", f"mqtt://127.0.0.1:{port}", "--home", home, *options)


@contextmanager
def listening(port):
    """What a broker has been told, as (topic, text), from now on."""
    heard, there = [], threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda *told: heard.append((told[2].topic, told[2].payload.decode()))
    client.on_subscribe = lambda *told: there.set()
    client.connect("127.0.0.1", port)
    client.subscribe("#", 1)
    client.loop_start()
    assert there.wait(20)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def test_inspections_and_reviews_are_published_as_they_are_kept(port, home, engine, keep):
    with a_broker(port), listening(port) as heard, to_broker(port, home, "--retain") as (process, said):
        until(lambda: ("casae/status/mqtt", "online") in heard and all_subscribers(engine))
        record = keep("4711")
        until(lambda: ("casae/3/inspection", record.model_dump_json(by_alias=True)) in heard)
        review(engine, record.id, "OK", "ann", "dust")
        until(lambda: heard[-1][0] == "casae/3/review")
        told = json.loads(heard[-1][1])
        assert (told["inspection_id"], told["new"], told["part"]["serial"]) == (record.id, "OK", "4711")
        until(lambda: all_subscribers(engine)[0].waiting == 0)
        with listening(port) as late:  # what is retained
            until(lambda: len(set(late)) == 3)
        process.terminate()
        assert process.wait(20) == 0
        until(lambda: heard[-1] == ("casae/status/mqtt", "offline"))
    assert any("is told of what is recorded from now on" in line for line in said)


def test_nothing_is_lost_while_the_broker_or_the_publisher_is_away(port, home, engine, keep):
    subscribe(engine, "mqtt")
    kept = [keep("1").id]
    with to_broker(port, home) as (_, said):
        until(lambda: any("cannot be reached; it is tried again" in line for line in said))
        with a_broker(port) as broker, listening(port) as heard:
            until(lambda: _ids(heard) == set(kept))
            until(lambda: all_subscribers(engine)[0].waiting == 0)
            broker.kill()
        kept.append(keep("2").id)
    kept.append(keep("3").id)  # nobody publishes
    with a_broker(port), listening(port) as heard:
        with to_broker(port, home) as (process, _):
            until(lambda: _ids(heard) == set(kept[1:]))
            process.send_signal(signal.SIGKILL)
        until(lambda: ("casae/status/mqtt", "offline") in heard)  # the last will
        kept.append(keep("4").id)
        with to_broker(port, home, "--once") as (process, _):
            assert process.wait(30) == 0
        until(lambda: kept[3] in _ids(heard))
    assert all_subscribers(engine)[0].waiting == 0


def test_killed_at_any_moment_every_record_arrives(port, home, engine, keep):
    subscribe(engine, "mqtt")
    kept = set()
    with a_broker(port), listening(port) as heard:
        for number in range(4):
            with to_broker(port, home) as (process, _):
                kept |= {keep(f"{number}-{each}").id for each in range(10)}
                until(lambda: len(_ids(heard)) > 10 * number)  # noqa: B023
                process.send_signal(signal.SIGKILL)
        with to_broker(port, home, "--once") as (process, _):
            assert process.wait(30) == 0
        until(lambda: _ids(heard) == kept)


def test_a_broker_that_refuses_us_ends_it_and_a_dropped_subscriber_too(port, home, engine, tmp_path, keep):
    passwords = tmp_path / "passwords"
    passwords.write_text("line:$6$not.a.hash\n")
    with a_broker(port, "passwords", str(passwords)), to_broker(port, home) as (process, said):
        assert process.wait(30) == 2
    assert re.search(r"refuses this client \(.+\); check user and password", said[-1])
    with a_broker(port), to_broker(port, home) as (process, said):
        until(lambda: any("publishing" in line for line in said))
        unsubscribe(engine, "mqtt")
        assert process.wait(30) == 2
    assert "nobody of this name is told any more" in said[-1]


def test_it_speaks_tls_and_believes_the_authorities_it_is_told(port, home, engine, keep, tmp_path):
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "broker.pem")
    subscribe(engine, "mqtt")
    keep("1")
    url = ("mqtt", f"mqtts://127.0.0.1:{port}", "--home", home, "--once")
    with a_broker(port, "tls", str(tmp_path / "broker.pem")):
        with publishing(*url, "--ca", tmp_path / "other.pem") as (process, said):
            until(lambda: any("cannot be reached" in line for line in said))
        assert all_subscribers(engine)[0].waiting == 1
        with publishing(*url, "--ca", tmp_path / "ca.pem") as (process, _):
            assert process.wait(60) == 0
    assert all_subscribers(engine)[0].waiting == 0


def test_topics_are_what_mqtt_allows(keep):
    record = keep("47/11 #+ß")
    message = Message(record.id, "inspection", record, record.decision, "{}")
    assert Topic("plant/{product}/{serial}/{recipe}/{decision}").of(message) == "plant/ring/47_11 __ß/-/NG"
    for pattern in (
        "a//b",
        "/a",
        "a/",
        "",
        "$SYS/{kind}",
        "a/+",
        "#",
        "a/{colour}",
        "a/{kind",
        "a/{}",
        "a/{kind.real}",
    ):
        with pytest.raises(UsageError, match=re.escape(f"--topic {pattern}: ")):
            Topic(pattern)


def test_brokers_are_named_by_urls(tmp_path):
    assert Broker.of("mqtt://line") == Broker("line", 1883)
    assert Broker.of("mqtts://a%40b:pa%2Fss@line:99", "other") == Broker("line", 99, "a@b", "other", is_encrypted=True)
    assert Broker.of("mqtt://ann:secret@[::1]").password == "secret"
    for url in ("line", "http://line", "mqtt://", "mqtt://line:x", "mqtt://line:99999", "mqtt://line/topic"):
        with pytest.raises(UsageError, match="is no broker"):
            Broker.of(url)
    with pytest.raises(UsageError) as raised:
        Broker.of("mqtt://ann:secret@line/x")
    assert "secret" not in str(raised.value)
    with pytest.raises(UsageError, match="certificates go with mqtts"):
        Broker.of("mqtt://line", authorities=tmp_path)
    with pytest.raises(UsageError, match=r"no\.pem: no such file"):
        Broker.of("mqtts://line", authorities=tmp_path / "no.pem")


def _ids(heard):
    return {json.loads(text)["id"] for topic, text in heard if topic.endswith("/inspection")}
