import threading

import pytest

from casae.protocols.handover import SEQUENCES, Handover
from casae.records.outbox import Message


@pytest.fixture
def messages(keep):
    """Two inspections, as a subscriber is told of them."""
    records = [keep("1"), keep("2", is_bad=False)]
    return [Message(each.id, "inspection", each, each.decision, each.model_dump_json()) for each in records]


def test_the_newest_is_shown_where_nobody_acknowledges(messages):
    shown = []
    handover = Handover(shown.append, False, threading.Event())
    assert handover.deliver(messages) == [each.id for each in messages]
    assert [(each.message, each.waiting) for each in shown] == [(messages[1], 0)]


def test_one_after_the_other_is_shown_where_somebody_does(messages):
    shown, stop = [], threading.Event()
    handover = Handover(shown.append, True, stop)
    done = []
    waiting = threading.Thread(target=lambda: done.extend(handover.deliver(messages)))
    waiting.start()
    while not shown:
        pass
    handover.acknowledge(shown[0].sequence % SEQUENCES + 1)  # of another message
    waiting.join(0.3)
    assert waiting.is_alive()
    handover.acknowledge(shown[0].sequence)
    waiting.join(20)
    assert done == [messages[0].id]
    assert (shown[0].message, shown[0].waiting) == (messages[0], 1)
    stop.set()
    assert handover.deliver(messages[1:]) == []  # shown, but nobody has seen it
    assert shown[1].sequence == shown[0].sequence % SEQUENCES + 1


def test_what_is_shown_of_defects(messages):
    shown = []
    handover = Handover(shown.append, False, threading.Event())
    for message in messages:
        handover.deliver([message])
    bad, good = shown
    assert (bad.worst, bad.record.largest_px, bad.longest_mm) == (bad.record.defects[0].defect_class, 80, None)
    assert (good.worst, good.record.largest_px, good.longest_mm) == ("", 0, None)
