"""The sentences of verdicts in German: one for each kind, with every measure that a rule may limit."""

from typing import get_args

import pytest

from asked import png, send
from casae.inspection.record import DecisionRecord
from casae.inspection.rules import DISTANCES, SIZES, TOGETHER
from casae.inspection.verdict import Kind
from casae.service.pages.reasons import GERMAN, _german


def told(kind, **values):
    fields = dict.fromkeys(("rule", "class", "zone", "field", "value", "limit"))
    return DecisionRecord.model_validate({**fields, "kind": kind, **values})


def test_every_measure_has_a_german_word():
    assert set(GERMAN) == {*SIZES, *TOGETHER, *DISTANCES}
    assert all(text.count("{}") == 1 for text in GERMAN.values())


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_verdict_has_a_german_sentence(kind):
    field = "area_px" if kind == "limit" else None
    said = _german(told(kind, **{"class": "Kratzer", "field": field, "value": 1234.5678, "limit": 1000.0}), "NG")
    assert said
    assert "None" not in said
    assert "1,234" not in said  # as Germans write numbers


def test_limits_say_what_is_allowed_needed_or_left_to_a_person():
    size = told("limit", **{"class": "Kratzer", "zone": "Rand", "field": "length_mm", "value": 0.51234, "limit": 0.5})
    assert _german(size, "NG") == "Kratzer auf Rand 0,512 mm lang, 0,5 erlaubt"
    assert _german(size, "REVIEW") == "Kratzer auf Rand 0,512 mm lang, über 0,5 entscheidet ein Mensch"
    distance = told("limit", field="distance_px", value=3.0, limit=10.0)
    assert _german(distance, "NG") == "alle Fehler: 3 px bis zum nächsten, 10 nötig"


def test_pages_and_the_api_answer_in_the_language_that_is_asked_for(client):
    record = send(client, png())
    german = {"Accept-Language": "de-DE,de;q=0.9"}
    path = f"/api/v1/inspections/{record['id']}"
    assert client.get(path).json()["reason"] == record["reason"]
    assert client.get(path, headers=german).json()["reason"].endswith("keine Regel nimmt das an")
    assert "keine Regel nimmt das an" in client.get(f"/inspections/{record['id']}", headers=german).text
