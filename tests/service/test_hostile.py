"""Five hundred uploads that mean no good: each is answered in the one form, and the service lives."""

import random
import struct
import zlib

import cv2
import httpx2
import numpy as np
import pytest

from asked import png

MANY = 500


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_says(width, height, data=b"", depth=8, colour=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def formats():
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return [cv2.imencode(suffix, image)[1].tobytes() for suffix in (".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm")]


def contents(chance):
    """Bytes of every bad kind, without an end."""
    whole = formats()
    while True:
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data)
        yield bytes(data[: chance.randrange(len(data))])
        yield chance.randbytes(chance.randrange(0, 5000))
        yield png_that_says(chance.choice((0, 1, 65535, 2**31 - 1)), chance.choice((0, 1, 65535, 2**31 - 1)))
        yield png_that_says(9000, 9000, bytes(10**6))  # little that says it is much
        yield b"\xff\xd8\xff\xe1" + struct.pack(">H", 65535) + b"Exif\0\0" + chance.randbytes(500)
        yield b"II*\0" + struct.pack("<I", chance.randrange(2**32)) + chance.randbytes(300)
        yield b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><svg>&b;</svg>"
        yield b"GIF89a" + chance.randbytes(200)
        yield b"PK\x03\x04" + chance.randbytes(200)
        yield whole[0] + chance.randbytes(1000)  # a picture with something behind it
        yield b""


NAMES = (
    "part.png",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\x.png",
    "\x00.png",
    "a" * 3000,
    "<script>alert(1)</script>.png",
    "'; DROP TABLE inspections; --",
    "{{7*7}}.png",
    "CON.png",
    "\u202egnp.exe",
    "",
    "\r\nX-Evil: 1",
)


def bodies(chance):
    """Whole requests that are none: content type and body."""
    good = png()
    for edge in (b"x", b"x" * 70, b""):
        yield f"multipart/form-data; boundary={edge.decode()}", b"--" + edge + b"\r\nContent-Disposition: form-data"
        part = b'\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        yield f"multipart/form-data; boundary={edge.decode()}", b"--" + edge + part + good
        yield f"multipart/form-data; boundary={edge.decode()}", (b"--" + edge + part + good + b"\r\n") * 50
    yield "multipart/form-data", good
    yield "application/json", b"{" * 5000
    yield "application/x-www-form-urlencoded", b"image=" + b"%00" * 1000
    yield "image/png", good
    yield "text/plain", chance.randbytes(1000)
    many = b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % n for n in range(500))
    yield "multipart/form-data; boundary=x", many + b"--x--\r\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Starlette leaves a part open
def test_whatever_is_sent_is_answered_in_the_one_form(client, tmp_path):
    chance = random.Random(0)
    bad, statuses = contents(chance), set[int]()
    answers = []
    for kind, body in bodies(chance):
        answers.append(client.post("/api/v1/inspections", content=body, headers={"Content-Type": kind}))
    while len(answers) < MANY:
        name, content = NAMES[len(answers) % len(NAMES)], next(bad)
        part = {"serial": chance.choice(("4711", "\x00", "x" * 300, "<b>", "../x", "\U0001f600", "'\""))}
        try:
            answers.append(client.post("/api/v1/inspections", files={"image": (name, content)}, data=part))
        except httpx2.HTTPError as error:
            pytest.fail(f"{name}: {error!r}")
    for answer in answers:
        statuses.add(answer.status_code)
        if answer.status_code in (200, 201):
            assert answer.json()["source"].count("/") == 0
        else:
            assert answer.status_code in (400, 413, 415, 422), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert set(answer.json()) == {"type", "title", "status", "detail", "instance"}
            assert "Traceback" not in answer.text
            assert str(tmp_path) not in answer.text
    assert {201, 400, 413, 422} <= statuses
    assert client.get("/health").status_code == 200
    assert client.post("/api/v1/inspections", files={"image": ("good.png", png())}).status_code == 201
    kept = [
        file for file in (tmp_path / "home").rglob("*") if file.is_file() and file.suffix not in (".casae", ".toml")
    ]
    assert all(file.parent.parent.name == "images" or file.name.startswith("records.db") for file in kept)
