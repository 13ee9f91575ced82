"""A campaign goes out, and everything about it comes back: reports of the provider, people who want no more of it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.redact import Secret
from connect.testing.api import ApiServer
from connect.testing.fakes.resend import FakeResend
from tests.stories.everything_that_comes_back.world import World, form, identity, signed

pytest.importorskip("fastapi")

STRANGER = Secret("whsec_Z3Vlc3NlZCBieSBzb21lYm9keSBlbHNl")

REPORTED_AS = {"bounced": "hard_bounced"}
REPORTED = ("delivered", "opened", "clicked", "hard_bounced", "soft_bounced", "complained", "unsubscribed")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    resend = FakeResend()
    with ApiServer(resend) as server:
        made = World(tmp_path / "shop", resend, server.url)
        try:
            yield made
        finally:
            made.stop()


def test_a_campaign_its_events_and_its_opt_outs(world: World) -> None:
    world.connect("subscriptions", "init", "--yes")
    world.connect("destination", "init", "--yes")
    first = world.connect("run", "hello", "--yes", "--json")
    assert first["outcomes"] == {"sent": 6, "skipped": 0, "refused": 0, "failed": 0, "unknown": 0}
    world.serve()

    # In bad order, some twice, some not the provider's.
    link = f"https://shop.example/offer/{identity('anna')}"
    clicked = world.webhook("anna", "clicked", 1, click={"link": link, "timestamp": ""})
    opened = world.webhook("anna", "opened", 2)
    delivered = [world.webhook(name, "delivered", 3) for name in ("anna", "ben", "cleo", "emil", "fay")]
    permanent = {"type": "Permanent", "subType": "General", "message": "No such mailbox."}
    bounced = world.webhook("dora", "bounced", 4, bounce=permanent)
    complained = world.webhook("emil", "complained", 5)
    body, _ = world.webhook("fay", "complained", 6)
    assert world.report((body, signed("msg_forged", body, STRANGER))) in (400, 401, 403)
    for each in (clicked, clicked, opened, bounced, *delivered, opened, complained, *delivered[:2], bounced):
        assert world.report(each) // 100 == 2
    altered = delivered[4][0].replace(b"email.delivered", b"email.complained")
    assert world.report((altered, delivered[4][1])) in (400, 401, 403)

    # One leaves by one click of the mail program, one by the page.
    one_click = b"List-Unsubscribe=One-Click"
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    assert world.call("GET", world.leaving("fay")).status == 200  # a scanner, which changes nothing
    left = world.call("POST", world.leaving("ben"), one_click, **urlencoded)
    assert left.status == 200
    page = world.call("GET", world.leaving("cleo"))
    assert page.status == 200
    action, fields = form(page.body)
    path = urllib.parse.urljoin(world.leaving("cleo"), action)
    assert world.call("POST", path, urllib.parse.urlencode(fields).encode(), **urlencoded).status == 200
    assert world.call("POST", f"{world.leaving('fay')[:-6]}AAAAAA", one_click, **urlencoded).status in (400, 404)

    # The next run knows all of it at once.
    again = world.connect("run", "hello", "--again", "--yes", "--json")
    assert {(one["outcome"], one["reason"]): one["count"] for one in again["tallies"]} == {
        ("sent", ""): 2,
        ("skipped", "unsubscribed"): 2,
        ("skipped", "bounced"): 1,
        ("skipped", "complained"): 1,
    }

    # The report and plain SQL agree.
    report = world.connect("report", "hello", "--json")
    world.stop()
    assert [link["name"] for link in report["by"]["link"]] == ["https://shop.example/offer/{{ user.id }}"]
    sql = "select outcome, sum(deliveries)::int from connect_deliveries group by all"
    assert dict(world.ask(sql)) == {name: count for name, count in report["outcomes"].items() if count}
    found = dict(world.ask("select type, count(*)::int from connect_events group by all"))
    assert found == {"delivered": 5, "opened": 1, "clicked": 1, "bounced": 1, "complained": 1, "unsubscribed": 2}
    figures = {name: figure["total"] for name, figure in report["figures"].items() if name in REPORTED}
    assert figures == {REPORTED_AS.get(name, name): count for name, count in found.items()}
    assert world.ask("select link from connect_events where type = 'clicked'") == [(link,)]
    statuses = world.ask("select status, count(*)::int from opt_outs group by all order by all")
    assert statuses == [("bounced", 1), ("complained", 1), ("unsubscribed", 2)]

    # And nothing about anybody was kept.
    assert world.hits() == []
