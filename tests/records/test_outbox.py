import json
import threading
from datetime import UTC, datetime

import pytest

from casae.errors import RecordsError, UsageError
from casae.records.outbox import all_subscribers, delivered, subscribe, unsubscribe, waiting_for
from casae.records.queries import Filter, page, prune
from casae.records.store import add_records, import_records, review


def _keys(engine, name="mes"):
    return [each.id for each in waiting_for(engine, name, 100)]


def test_a_subscriber_is_told_of_what_is_kept_from_then_on_until_they_have_it(engine, made):
    add_records(engine, [made(1)])
    assert subscribe(engine, "mes")
    assert not subscribe(engine, "mes")  # who comes back is known
    assert _keys(engine) == []
    add_records(engine, [made(2), made(1)])  # the second one is there already
    said = review(engine, made(1).id, "OK", "ann", "dust", findings='[{"number": 1, "class": null}]')
    first, second = waiting_for(engine, "mes", 100)
    assert (first.id, first.kind, first.decision, first.record) == (made(2).id, "inspection", "NG", made(2))
    assert json.loads(first.content) == json.loads(made(2).model_dump_json(by_alias=True))
    assert (second.id, second.kind, second.decision, second.record) == (said, "review", "OK", made(1))
    told = json.loads(second.content)
    assert (told["inspection_id"], told["who"], told["why"], told["part"]["serial"]) == (made(1).id, "ann", "dust", "1")
    assert told["findings"] == [{"number": 1, "class": None}]
    assert told["blind"] is False
    delivered(engine, "mes", [first.id])
    assert _keys(engine) == [said]
    assert [(each.name, each.waiting) for each in all_subscribers(engine)] == [("mes", 1)]


def test_each_subscriber_has_a_queue_of_their_own(engine, made):
    for name in ("mes", "plc"):
        subscribe(engine, name)
    add_records(engine, [made(1), made(2)])
    delivered(engine, "plc", [made(1).id])
    assert (_keys(engine), _keys(engine, "plc")) == ([made(1).id, made(2).id], [made(2).id])
    assert waiting_for(engine, "mes", 1)[0].id == made(1).id
    assert unsubscribe(engine, "mes") == 2
    assert _keys(engine, "plc") == [made(2).id]
    for ask in (lambda: unsubscribe(engine, "mes"), lambda: _keys(engine)):
        with pytest.raises(UsageError, match="mes: nobody of this name is told"):
            ask()


def test_nobody_is_told_of_what_is_imported_or_was_not_kept(engine, made):
    subscribe(engine, "mes")
    import_records(engine, [made(1)])
    with pytest.raises(RecordsError):
        add_records(engine, [made(2), made(3).model_copy(update={"id": None})])
    assert _keys(engine) == []


def test_what_is_pruned_waits_for_nobody(engine, made):
    subscribe(engine, "mes")
    add_records(engine, [made(1), made(2)])
    review(engine, made(2).id, "OK", "ann", "dust")
    assert prune(engine, datetime(2027, 1, 1, tzinfo=UTC)) == 1
    assert [row.id for row in page(engine, Filter())] == [made(2).id]
    assert len(_keys(engine)) == 2  # the reviewed one stays


def test_writers_at_once_forget_nothing(engine, made):
    subscribe(engine, "mes")

    def write(first):
        for number in range(first, first + 10):
            add_records(engine, [made(number)])

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _keys(engine) == [made(number).id for number in range(30)]
