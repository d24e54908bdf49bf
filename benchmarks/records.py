"""How long lists, filters and exports take of many inspections, and how many a second are kept.

    python benchmarks/records.py --home /tmp/casae-home --count 1000000

Rows are made of one record, with other ids, parts and decisions, over a year; the database must be new. Times are the
best of `--rounds` after one that warms up. An export is timed up to its first row.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np
from sqlalchemy import text

from casae import Inspector, Part
from casae.inspection.record import InspectionRecord
from casae.records.database import opened, writing
from casae.records.queries import Filter, page, prunable, records
from casae.records.schema import counts, defects, images, inspections, models, rules
from casae.records.store import add_records, counted

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 5000
DECISIONS = ("OK",) * 17 + ("REVIEW", "NG", "NG")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    record = _record()
    with opened(wanted.home) as engine:
        began = time.perf_counter()
        with writing(engine) as connection:
            connection.execute(models.insert(), {"sha256": record.model_sha256, "name": record.model})
            connection.execute(rules.insert(), {"sha256": record.rules_sha256, "content": None})
        days: Counter[tuple[str, str, str]] = Counter()
        made = _rows(record, wanted.count, days)
        while batch := list(islice(made, BATCH)):
            with writing(engine) as connection:
                for place, table in enumerate((images, inspections, defects)):
                    connection.execute(table.insert(), [row[place] for row in batch])
        with writing(engine) as connection:
            if engine.url.get_backend_name() == "postgresql":  # it counts on by itself
                connection.execute(text(f"SELECT setval('images_id_seq', {wanted.count})"))
            told = ("day", "product", "decision")
            rows = [dict(zip(told, key, strict=True)) | {"inspections": n} for key, n in days.items()]
            connection.execute(counts.insert(), [row | {"model_sha256": record.model_sha256} for row in rows])
        print(f"{wanted.count:,} rows made in {time.perf_counter() - began:.0f} s")
        late = BEGAN + timedelta(days=364)
        middle = page(engine, Filter(until=BEGAN + timedelta(days=180)), None, 1)[0].id
        asked: dict[str, Callable[[], object]] = {
            "first page": lambda: page(engine, Filter()),
            "a page in the middle": lambda: page(engine, Filter(), middle),
            "NG": lambda: page(engine, Filter(decision="NG")),
            "NG, a page in the middle": lambda: page(engine, Filter(decision="NG"), middle),
            "a serial": lambda: page(engine, Filter(serial=f"s{wanted.count // 2}")),
            "a serial that is not there": lambda: page(engine, Filter(serial="none")),
            "a product": lambda: page(engine, Filter(product="p7")),
            "a product, NG": lambda: page(engine, Filter(product="p7", decision="NG")),
            "a class": lambda: page(engine, Filter(defect_class="rare")),
            "a class that is not there": lambda: page(engine, Filter(defect_class="none")),
            "a model that is not there": lambda: page(engine, Filter(model="none")),
            "a picture that is not there": lambda: page(engine, Filter(picture="none")),
            "a picture's name": lambda: page(engine, Filter(picture="12345.png")),
            "the last day": lambda: page(engine, Filter(since=late)),
            "counts": lambda: counted(engine),
            "export, first row": lambda: next(records(engine, Filter())),
            "export of NG, first row": lambda: next(records(engine, Filter(decision="NG"))),
            "what prune would drop": lambda: prunable(engine, BEGAN + timedelta(days=30)),
        }
        for name, ask in asked.items():
            times = []
            for _ in range(wanted.rounds + 1):
                began = time.perf_counter()
                ask()
                times.append(1e3 * (time.perf_counter() - began))
            print(f"{name}: {min(times[1:]):.1f} ms, the first time {times[0]:.1f}", flush=True)
        began, kept = time.perf_counter(), 200
        for number in range(kept):
            add_records(engine, [_changed(record, wanted.count + number)])
        print(f"{kept / (time.perf_counter() - began):.0f} inspections a second, each on disk before the next")


def _record() -> InspectionRecord:
    """A picture with two defects."""
    image = np.full((408, 544), 120, np.uint8)
    image[100:140, 100:160] = image[300:320, 300:420] = 30
    return Inspector("component").inspect(image, Part(product="p")).record()


def _id(number: int, seconds: float) -> str:
    milliseconds = f"{round((BEGAN.timestamp() + seconds) * 1000):012x}"
    digits = f"{milliseconds}7{number % 4096:03x}8{number:015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _changed(record: InspectionRecord, number: int) -> InspectionRecord:
    part = Part(serial=f"s{number}", product=f"p{number % 20}")
    values = {"id": _id(number, 400 * 86400 + number), "sha256": f"{number:064x}", "source": f"/line/{number}.png"}
    return record.model_copy(update=values | {"part": part})


def _rows(
    record: InspectionRecord, count: int, days: "Counter[tuple[str, str, str]]"
) -> Iterator[tuple[dict[str, object], dict[str, object], dict[str, object]]]:
    """Rows of images, inspections and defects."""
    content = record.model_dump_json(by_alias=True)
    step, size = 365 * 86400 / count, {"width_px": 544, "height_px": 408}
    for number in range(count):
        key, product, decision = _id(number, number * step), f"p{number % 20}", DECISIONS[number % len(DECISIONS)]
        sha256 = f"{number:064x}"
        days[(BEGAN + timedelta(seconds=number * step)).date().isoformat(), product, decision] += 1
        image = {"id": number + 1, "sha256": sha256, "source": f"/line/{number}.png", "name": f"{number}.png", **size}
        inspection = {
            "id": key,
            "known_by": sha256,
            "image_id": number + 1,
            "model_sha256": record.model_sha256,
            "rules_sha256": record.rules_sha256,
            "serial": f"s{number}",
            "product": product,
            "decision": decision,
            "kind": "no defect",
            "defects": 1,
            "largest_px": 100,
            "record": content,
        }
        name = "rare" if number % 5000 == 0 else "scratch"
        sizes = {"probability": 0.9, "area_px": 100, "length_px": 20.0, "width_px": 5.0}
        yield image, inspection, {"inspection_id": key, "number": 1, "class": name, "first": True} | sizes


if __name__ == "__main__":
    main()
