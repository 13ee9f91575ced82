"""Text messages in several parts: counted, shown, limited; what was sent in parts is as well sent as anything."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = ("Anna", "B" * 140, "Zoë’s", "“" + "C" * 70, "D" * 300)
"""In GSM-7 one part and one; in UCS-2 one; in UCS-2 two; in GSM-7 three."""
SEGMENTS = 1 + 1 + 1 + 2 + 3


@pytest.fixture
def texts(house: Any, contents: Any) -> Any:
    house.campaign(contents["sms"])
    rows = [list(house.person(number)) for number in range(1, len(NAMES) + 1)]
    for row, name in zip(rows, NAMES, strict=True):
        row[2] = name
    house.people(*rows)
    return house


def test_parts_are_counted_and_shown_in_all(texts: Any) -> None:
    ended = texts.report()

    assert ended.code == 0
    assert ended.counts == {("sms", "sent", ""): 3, ("sms", "sent", "2_segments"): 1, ("sms", "sent", "3_segments"): 1}
    assert ended.json["segments"] == {"sms": SEGMENTS}
    assert ended.json["outcomes"]["sent"] == len(NAMES)
    assert sorted(text.segments for text in texts.texts()) == [1, 1, 1, 2, 3]


def test_nothing_looks_as_if_it_were_wrong(texts: Any) -> None:
    shown = texts.run().out

    (row,) = [line.split() for line in shown.splitlines() if line.startswith("sent")]
    assert row == ["sent", "5", "5"]
    assert "sms: 5 sent in 8 segments" in shown
    assert "_segments" not in shown
    (run,) = texts.shop.connect("runs", "list", "--json").json
    for command in (("report", "hello"), ("runs", "show", run["id"])):
        again = texts.shop.connect(*command).out
        assert "sms: 5 sent in 8 segments" in again
        assert "_segments" not in again


def test_two_runs_are_added_up(texts: Any) -> None:
    texts.run()
    texts.run("--again")

    report = texts.shop.connect("report", "hello", "--json").json

    assert (report["outcomes"]["sent"], report["segments"]) == (2 * len(NAMES), {"sms": 2 * SEGMENTS})


def test_a_campaign_without_texts_says_nothing_of_parts(house: Any, contents: Any) -> None:
    house.campaign(contents["email"])
    house.crowd(2)

    assert "segment" not in house.run().out
    assert house.shop.connect("report", "hello", "--json").json["segments"] == {}


def test_more_parts_than_the_campaign_allows_are_refused(texts: Any, contents: Any) -> None:
    texts.campaign({**contents["sms"], "max_segments": 1})

    ended = texts.report()

    assert ended.counts == {("sms", "sent", ""): 3, ("sms", "refused", "too_many_segments"): 2}
    assert ended.json["segments"] == {"sms": 3}
    assert ended.json["problems"] == [{"problem": "too_many_segments: `body` of the sms content", "count": 2}]
    assert {text.segments for text in texts.texts()} == {1}


def test_texts_that_were_refused_were_sent_in_no_parts(texts: Any) -> None:
    texts.shop.table("opt_outs", "id text, address text, status text", [("id-00005", None, "unsubscribed")])

    assert texts.report().json["segments"] == {"sms": SEGMENTS - 3}
