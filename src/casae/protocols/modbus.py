"""Modbus TCP: a server whose registers show one message; a controller reads them, and writes what it has seen.

Holding and input registers are the same. Numbers of several registers have the high word first, texts are UTF-8, two
bytes a register, filled with zeros. All of it fits into one request, so that it belongs together.
"""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from casae.errors import UsageError
from casae.protocols.handover import Handover, Shown, event_loop

MAP = 1  # version of what stands where
DECISIONS = {"OK": 1, "REVIEW": 2, "NG": 3}
KINDS = {"inspection": 1, "review": 2}
HEAD = struct.Struct(">HHHHHHIfQHH")
TEXT, ID = 16, 18  # registers
ACKNOWLEDGED = 114
COUNT = 115
WRITES = (6, 16)


def registers(shown: Shown) -> list[int]:
    """Of a message, all but the heartbeat and what was acknowledged; docs/how-to/tell-the-plant.md names them."""
    record, part = shown.record, shown.record.part
    head = HEAD.pack(
        MAP,
        0,
        shown.sequence,
        DECISIONS[shown.message.decision],
        KINDS[shown.message.kind],
        _small(len(record.defects)),
        record.largest_px,
        float("nan") if shown.longest_mm is None else shown.longest_mm,
        round(shown.inspected_at.timestamp() * 1000),
        _small(shown.waiting),
        0,
    )
    texts = [_text(each or "", TEXT) for each in (part.serial, part.batch, part.product, part.station, shown.worst)]
    data = head + b"".join(texts) + _text(shown.message.id, ID)
    return [*struct.unpack(f">{ACKNOWLEDGED}H", data), 0]


@dataclass
class ModbusServer:
    """A Modbus TCP server on an address; reaches whoever can reach that, for Modbus knows no passwords.

    Attributes:
        host, port: where it listens.
        waits: each message is shown until its sequence is written to `ACKNOWLEDGED`; else the newest one is.
        stop: ends waiting.
    """

    host: str
    port: int
    waits: bool
    stop: threading.Event
    handover: Handover = field(init=False)

    def __post_init__(self) -> None:
        self.handover = Handover(self._show, self.waits, self.stop)
        self._registers = [MAP, *[0] * (COUNT - 1)]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer as long as this lasts.

        Raises:
            UsageError: the address cannot be listened on.
        """
        device = SimDevice(0, [SimData(0, COUNT, 0, DataType.REGISTERS)], action=self._asked)
        with event_loop() as run:

            async def begin() -> ModbusTcpServer:
                server = ModbusTcpServer(device, address=(self.host, self.port))
                await server.serve_forever(background=True)
                return server

            try:
                server = run(begin())
            except RuntimeError as error:
                way = "name another --port, or end what listens there"
                raise UsageError(f"{self.host}:{self.port}: cannot be listened on; {way}") from error
            try:
                yield
            finally:
                run(server.shutdown())  # type: ignore[no-untyped-call]

    def _show(self, shown: Shown) -> None:
        self._registers = [*registers(shown)[:ACKNOWLEDGED], self._registers[ACKNOWLEDGED]]

    async def _asked(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Fill in what is read; of what is written, one register counts and the others are refused."""
        if written is not None:
            if function not in WRITES or address != ACKNOWLEDGED or count != 1:
                return ExcCodes.ILLEGAL_ADDRESS
            self._registers[ACKNOWLEDGED] = int(written[0])
            self.handover.acknowledge(int(written[0]))
        self._registers[1] = int(monotonic()) % 65_536
        current[:] = self._registers
        return None


def _small(number: int) -> int:
    return min(number, 65_535)


def _text(text: str, count: int) -> bytes:
    """As many whole characters as fit into so many registers."""
    return text.encode()[: 2 * count].decode(errors="ignore").encode().ljust(2 * count, b"\0")
