"""A service in a process of its own, on a free loopback port."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from asked import png


class Served:
    """A running service.

    Attributes:
        url: where it answers.
        said: its lines so far.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self.said, self.url = process, list[str](), ""
        for line in process.stderr:
            self.said.append(line)
            found = re.search(r"listening on (http://[\w.:/\[\]-]+)", line)
            if found:
                self.url = found[1]
            if "Application startup complete" in line:
                break
        threading.Thread(target=lambda: self.said.extend(process.stderr), daemon=True).start()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(home: Path | str, *options: str) -> Iterator[Served]:
    """`casae serve` until the end of this."""
    command = [sys.executable, "-m", "casae", "serve", "--home", str(home), "--port", "0", *options]
    shown = os.environ | {"CASAE_SERVE_ROOM_MB": "0"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=shown, process_group=0) as process:
        try:
            running = Served(process)
            assert running.url, "".join(running.said)
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def asking(clients: int) -> Iterator[tuple[Callable[[str], None], list[str]]]:
    """Clients that send pictures again and again, wherever the service is now; and ids that were answered."""
    answered, stop, place = list[str](), threading.Event(), [""]

    def ask(number: int) -> None:
        chance = random.Random(number)
        with httpx2.Client(timeout=10) as client:
            while not stop.wait(0.005):
                image = png(chance.randrange(60, 255), 1, chance.randrange(40, 400))
                with suppress(httpx2.HTTPError, httpx2.UnsupportedProtocol):
                    answer = client.post(f"{place[0]}/api/v1/inspections", files={"image": ("a.png", image)})
                    if answer.is_success:
                        answered.append(answer.json()["id"])

    def ask_at(url: str) -> None:
        place[0] = url

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield ask_at, answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
