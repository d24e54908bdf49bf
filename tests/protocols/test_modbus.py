import math
import struct
import time
from contextlib import contextmanager
from datetime import datetime

import pytest

from casae.records.outbox import all_subscribers, subscribe
from casae.records.store import review
from protocol_processes import publishing, until

pymodbus = pytest.importorskip("pymodbus.client", reason="pymodbus is not installed")


@contextmanager
def reading(port):
    """A controller that is connected."""
    client = pymodbus.ModbusTcpClient("127.0.0.1", port=port, timeout=5)
    until(client.connect)
    try:
        yield lambda: client.read_holding_registers(0, count=115).registers, client
    finally:
        client.close()


def _text(values):
    return struct.pack(f">{len(values)}H", *values).rstrip(b"\0").decode()


def test_a_controller_reads_the_newest_inspection(port, home, engine, keep):
    with publishing("modbus", "--home", home, "--port", port), reading(port) as (read, client):
        until(lambda: all_subscribers(engine))
        assert read()[0] == 1
        assert read()[2:6] == [0, 0, 0, 0]  # nothing yet
        record = keep("4711-ä")
        until(lambda: read()[2])
        told = read()
        assert told[3:6] == [3, 1, 1]  # NG, an inspection, a defect
        assert told == client.read_input_registers(0, count=115).registers[:1] + told[1:]
        largest, longest, at = struct.unpack(">IfQ", struct.pack(">8H", *told[6:14]))
        assert (largest, math.isnan(longest)) == (80, True)
        assert at == round(datetime.fromisoformat(record.inspected_at).timestamp() * 1000)
        texts = [_text(told[start : start + 16]) for start in (16, 32, 48, 64, 80)]
        assert texts == ["4711-ä", "B7", "ring", "3", record.defects[0].defect_class]
        assert _text(told[96:114]) == record.id
        said = review(engine, record.id, "OK", "ann", "dust")
        until(lambda: read()[2] == told[2] % 65_535 + 1)
        assert read()[3:5] == [1, 2]  # OK, a review
        assert _text(read()[96:114]) == said
        beat = read()[1]
        until(lambda: read()[1] != beat)
        until(lambda: all_subscribers(engine)[0].waiting == 0)


def test_each_message_is_shown_until_it_is_acknowledged(port, home, engine, keep):
    subscribe(engine, "modbus")
    kept = [keep(str(number), is_bad=number % 2 > 0).id for number in range(3)]
    with publishing("modbus", "--home", home, "--port", port, "--acknowledge"), reading(port) as (read, client):
        for number, key in enumerate(kept):
            until(lambda: _text(read()[96:114]) == key)  # noqa: B023
            told = read()
            assert (told[3], told[14]) == (3 if number % 2 else 1, 2 - number)
            client.write_register(114, (told[2] + 1) % 65_536)  # not this one
            time.sleep(0.3)
            assert _text(read()[96:114]) == key
            client.write_register(114, told[2])
            until(lambda: all_subscribers(engine)[0].waiting == 2 - number)  # noqa: B023


def test_nothing_else_may_be_written(port, home):
    with publishing("modbus", "--home", home, "--port", port), reading(port) as (read, client):
        for address, values in ((0, [7]), (113, [1, 1]), (3, [1])):
            assert client.write_registers(address, values).isError()
        assert client.write_coil(1, True).isError()
        assert client.read_holding_registers(100, count=20).isError()
        assert read()[:1] == [1]


def test_a_port_that_is_taken_is_named(port, home):
    with publishing("modbus", "--home", home, "--port", port), reading(port):
        with publishing("modbus", "--home", home, "--port", port) as (second, said):
            assert second.wait(60) == 2
        assert said[-1].startswith(f"casae: 127.0.0.1:{port}: cannot be listened on; name another --port")


def test_long_texts_are_cut_at_whole_characters():
    from casae.protocols.modbus import _text as packed

    assert packed("ä" * 20, 16) == ("ä" * 16).encode()
    assert packed("a" + "ä" * 20, 16) == ("a" + "ä" * 15).encode() + b"\0"
