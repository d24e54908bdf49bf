"""What Prometheus is told: counters of the records, times of requests and inspections, room, jobs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select

from casae.records.database import reading
from casae.records.schema import counts, jobs, models

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # names the folder that several processes count in
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REGISTRY = CollectorRegistry()
REQUEST_SECONDS = Histogram(
    "casae_request_seconds", "Of requests", ("method", "route", "status"), buckets=SECONDS, registry=REGISTRY
)
INSPECTION_SECONDS = Histogram(
    "casae_inspection_seconds", "Of inspections, without waiting", buckets=SECONDS, registry=REGISTRY
)
WAITING = Gauge(
    "casae_waiting_pictures",
    "That are inspected or wait for it",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)


class OfRecords(Collector):
    """What the records know, the same in every process.

    Args:
        engine: of the records.
        home: whose disk is looked at.
    """

    def __init__(self, engine: Engine, home: Path) -> None:
        self._engine, self._home = engine, home

    def collect(self) -> Iterator[Metric]:
        """The families."""
        inspected = CounterMetricFamily(
            "casae_inspections", "That are recorded", labels=("product", "model", "decision")
        )
        total = func.sum(counts.c.inspections)
        wanted = select(counts.c.product, models.c.name, counts.c.decision, total)
        named = wanted.join_from(counts, models, models.c.sha256 == counts.c.model_sha256)
        with reading(self._engine) as connection:
            for *labels, number in connection.execute(
                named.group_by(counts.c.product, models.c.name, counts.c.decision)
            ):
                inspected.add_metric([str(label) for label in labels], float(number))
            states = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        yield inspected
        of_jobs = GaugeMetricFamily("casae_jobs", "By state", labels=("state",))
        for state, number in states:
            of_jobs.add_metric([state], number)
        yield of_jobs
        yield GaugeMetricFamily("casae_disk_free_bytes", "Of the home", shutil.disk_usage(self._home).free)


def forget_the_dead() -> None:
    """Drop what processes that ended said of themselves; those of several count in one folder."""
    folder = os.environ.get(SHARED)
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        process = int(file.stem.rsplit("_", 1)[1])
        if not Path(f"/proc/{process}").exists():
            mark_process_dead(process, folder)  # type: ignore[no-untyped-call]


def exposition(engine: Engine, home: Path) -> bytes:
    """All of them, as Prometheus reads them."""
    registry = REGISTRY
    forget_the_dead()
    if SHARED in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    known = CollectorRegistry()
    known.register(OfRecords(engine, home))
    return generate_latest(registry) + generate_latest(known)
