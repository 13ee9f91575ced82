"""The page of a report: everything in it, nothing from outside, and nothing that runs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import pytest

from connect.reports.counts import Report
from connect.reports.page import report_page
from connect.reports.parts import Asking, ConversionCount, Part, Via
from connect.vocabulary import Outcome
from tests.unit.reports.some_parts import DAY, EMAIL, SMS, ended, event, one_run, report, run, sent

NOW = datetime(2026, 9, 9, 8, tzinfo=UTC)
LINK = 'https://shop.example/?a=1&b="{{ user.id }}"'
TALLIES = (sent(1000), sent(300, SMS), ended(Outcome.skipped, 40, "unsubscribed"), ended(Outcome.failed, 2, "<other>"))
EVENTS = (
    *(event("delivered", 990), event("opened", 500, 400), event("opened", 200, machine=True)),
    *(event("clicked", 40, 30, link=LINK), event("clicked", 0, 30), event("opened", 7, day=date(2026, 9, 6))),
)


class Read(HTMLParser):
    """What a browser sees: its text, and every element with its attributes."""

    void = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(found: Report) -> Read:
    read = Read(report_page(found, NOW))
    assert read.open == []
    return read


FULL = one_run(TALLIES, *EVENTS)


def test_it_has_every_number() -> None:
    texts = page(FULL).texts
    for said in (
        "hello",
        "1,300",
        "of 1,342 deliveries",
        "1,000 sent",
        "990 delivered",
        "41.1 %",
        "opened by machines",
        "200",
    ):
        assert any(said in text for text in texts), said
    for title in ("What became of it", "Days", "Channels", "Links", "Runs", "Why not sent"):
        assert title in texts
    assert LINK in texts
    assert "<other>" in texts


def test_nothing_is_from_outside_and_nothing_runs() -> None:
    read = page(FULL)
    assert not {name for name, _ in read.elements} & {"script", "link", "img", "iframe", "object", "form", "a", "base"}
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]
    text = report_page(FULL, NOW)
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [meta["content"] for meta in read.all("meta") if "http-equiv" in meta]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_who_does_not_see_the_plots_hears_the_numbers() -> None:
    read = page(FULL)
    images = [attributes for attributes in read.all("svg") if attributes.get("aria-hidden") != "true"]
    assert images
    assert all(image["role"] == "img" and image["aria-label"] for image in images)
    assert "opened by day, from 2026-09-02 to 2026-09-06, at most 400 a day" in [
        image["aria-label"] for image in images
    ]
    heads = read.all("th")
    assert all(head["scope"] in ("col", "row") for head in heads)
    assert len(read.all("caption")) == len(read.all("table"))
    assert "2026-09-06" in read.texts  # of the table of days


def test_days_are_drawn_where_they_are() -> None:
    """A day without anything leaves its place empty."""
    opened = re.search(r'aria-label="opened by day.*?</svg>', report_page(FULL, NOW))
    assert opened is not None
    places = [float(x) for x in re.findall(r'class="column" x="([\d.]+)"', opened[0])]
    heights = [float(height) for height in re.findall(r'class="column".*? height="([\d.]+)"', opened[0])]
    assert len(places) == 2
    assert places[1] - places[0] == pytest.approx(3 * (720 - 68) / 5, abs=0.2)
    assert heights[0] > heights[1] > 0


def test_what_is_not_known_is_said() -> None:
    texts = page(one_run([sent(10)])).texts
    assert "No events have been reported: see docs/webhooks.md." in texts
    assert "Links" not in texts
    assert "0.0 %" not in texts
    assert any(text.startswith("Never reported: ") for text in page(FULL).texts)


def test_a_campaign_of_which_nothing_is_known_is_a_page_too() -> None:
    assert "no runs" in page(report()).texts
    assert "Why not sent" in page(one_run([ended(Outcome.skipped, 4, "unsubscribed")])).texts


def test_who_converted_is_told_with_what_they_had_done() -> None:
    count = ConversionCount(EMAIL, "", Via.clicked, DAY, 5, 4, None)
    part = Part(run(), TALLIES, EVENTS, (count,))
    found = Report("hello", (part.run,), part.tallies, parts=(part,), asking=Asking(timedelta(days=7)))
    assert "Converted within 7 days of the last message: 4 after a click." in page(found).texts
    untold = Report(
        "hello", (part.run,), part.tallies, parts=(part,), asking=Asking(timedelta(days=7), "no such table")
    )
    assert "Who converted is not known: no such table." in page(untold).texts
