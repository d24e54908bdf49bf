"""Sources and results behind URLs: an S3 server on loopback, and a file system in memory."""

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from casae.batch.job import Batch, begin, read_batch
from casae.batch.manifest import Manifest, finished, write_manifest
from casae.batch.places import Place, filesystem
from casae.batch.rows import read_rows, record_in
from casae.batch.run import Engine, run_batch
from casae.batch.shard import inspect_shard
from casae.batch.sources import Listing
from casae.batch.summary import write_summary
from casae.errors import MissingExtraError, OutputError, UsageError
from casae.inspection.inspector import Inspector


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, archive: Path) -> Iterator[str]:
    """A bucket with the archive under `in/`, and as `in.tar`, on a server of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    known = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for variable, value in (known | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(variable, value)
    client = boto3.client("s3")
    name = f"parts-{uuid4()}"  # what one server knew, the next one in this process knows as well
    client.create_bucket(Bucket=name)
    for file in archive.rglob("*.*"):
        client.upload_file(str(file), name, f"in/{file.relative_to(archive)}")
    with tarfile.open(archive.parent / "in.tar", "w") as tar:
        tar.add(archive, ".")
    client.upload_file(str(archive.parent / "in.tar"), name, "in.tar")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield f"s3://{name}"
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize("source", ["in", "in/*/*.png", "in.tar"])
def test_a_bucket_is_read_and_written(bucket, dark_model, source):
    place = Place.of(f"{bucket}/out")
    batch = Batch(sources=(f"{bucket}/{source}",), model="", shard=2, overlays=True)
    run = run_batch(place, batch, {"model": dark_model}, Engine(workers=1))
    assert run.decisions == {"NG": 4, "OK": 1}
    rows = list(read_rows(place))
    prefix = f"{bucket}/in.tar/" if source == "in.tar" else f"{bucket}/in/"
    assert {row["entry"]["source"] for row in rows if row["failure"] is None} == {
        f"{prefix}{name}" for name in ("a/1.png", "a/2.png", "b/1.png", "b/4711_left.png", "b/clean.png")
    }
    record = next(record for row in rows if (record := record_in(row)) and record.defects)
    assert record.file_bytes is None
    assert datetime.fromisoformat(record.taken_at) <= datetime.now(UTC)
    assert place.has(next(row["overlay"] for row in rows if row["overlay"]))
    assert run_batch(place, batch, {"model": dark_model}, Engine(workers=1)).done == 0
    write_summary(place)
    assert b"images a second" in place.read("report.html")


def test_an_object_that_went_is_a_failure_that_names_it(bucket, dark_model, tmp_path):
    place = Place.of(str(tmp_path / "out"))
    batch = begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    write_manifest(place, Listing([f"{bucket}/in/a"]), 64)
    boto3.client("s3").delete_object(Bucket=bucket.removeprefix("s3://"), Key="in/a/1.png")
    tally = inspect_shard(Manifest(place).shard(0), Inspector(dark_model), place, batch)
    assert (tally.images, tally.failed) == (2, 1)
    reasons = [row["failure"] for row in read_rows(place) if row["failure"]]
    assert reasons == [f"{bucket}/in/a/1.png: cannot be read (is not there); check it"]


def test_a_bucket_that_is_not_there_is_named(bucket):
    with pytest.raises(UsageError, match=r"s3://nobodys/in: (holds nothing|cannot be looked into)"):
        list(Listing(["s3://nobodys/in"]))
    with pytest.raises(OutputError, match=r"s3://nobodys/out/batch\.json: cannot be written"):
        Place.of("s3://nobodys/out").write("batch.json", b"{}")


def test_other_urls_and_missing_libraries_are_named(monkeypatch):
    with pytest.raises(UsageError, match=r"nosuch://x: Protocol not known: nosuch; check the URL"):
        filesystem("nosuch://x")
    with pytest.raises(MissingExtraError, match=r"hdfs|smb"):
        filesystem("smb://host/share")


def test_a_place_in_memory_is_as_one_on_disk(dark_model, archive):
    place = Place.of("memory://out")
    batch = begin(place, Batch(sources=(str(archive),), model="", shard=3), {"model": dark_model})
    write_manifest(place, Listing(batch.sources), 3)
    manifest = Manifest(place)
    assert (manifest.images, manifest.shards) == (6, 2)
    for shard in manifest:
        inspect_shard(shard, Inspector(dark_model), place, read_batch(place))
    assert finished(place) == {0, 1}
    assert not list(place.names("working"))
