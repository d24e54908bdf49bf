"""An MQTT broker on loopback: `python broker.py PORT [passwords FILE | tls PEM]`. It may be killed."""

import asyncio
import sys

from amqtt.broker import Broker


async def run(port: int, kind: str = "", file: str = "") -> None:
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    if kind == "tls":
        listener |= {"ssl": True, "certfile": file, "keyfile": file}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": kind != "passwords"}}
    if kind == "passwords":
        plugins["amqtt.plugins.authentication.FileAuthPlugin"] = {"password_file": file}
    await Broker({"listeners": {"default": listener}, "plugins": plugins}).start()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":  # and not where doctests are looked for
    asyncio.run(run(int(sys.argv[1]), *sys.argv[2:]))
