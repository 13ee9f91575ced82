"""Every provider's webhooks, over a real socket: believed where they are genuine, counted once, applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.testing.messages import MAKE
from connect.testing.providers import Happened
from tests.stories.providers_report.conftest import REPORTING, Shop, account_of

NAMES = [name for name in REPORTING if hasattr(catalog.load(name), "parse_events")]


def _webhooks(rig: Any, happened: list[Happened], at: datetime) -> list[Webhook]:
    one_each = getattr(rig, "one_at_a_time", False)
    return [rig.webhook([each], at) for each in happened] if one_each else [rig.webhook(happened, at)]


def _everything(rig: Any, first: int) -> list[Happened]:
    """One event of each type, and a bounce of each kind, each about another person."""
    channel = min(rig.adapter.capabilities.channels)
    kinds: list[tuple[EventType, Bounce | None]] = [(type, None) for type in sorted(rig.reports - {EventType.bounced})]
    kinds += [(EventType.bounced, bounce) for bounce in sorted(rig.bounces)]
    return [
        Happened(type, MAKE[channel](first + number), bounce, f"https://shop.example/offer/{number}?to=ada")
        if type is EventType.clicked
        else Happened(type, MAKE[channel](first + number), bounce)
        for number, (type, bounce) in enumerate(kinds)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_genuine_is_written_counted_once_and_applied(
    reporting: tuple[Shop, Mapping[str, Any]], name: str
) -> None:
    shop, built = reporting
    rig, account = built[name], account_of(name)
    happened = _everything(rig, 1000 * NAMES.index(name))
    before = shop.counted()
    webhooks = _webhooks(rig, happened, datetime.now(UTC))
    for webhook in (*webhooks, *reversed(webhooks)):  # as providers do that were not answered in time
        assert shop.post(account, webhook)[0] == 200
    wanted = Counter((each.type.value, each.bounce.value if each.bounce else "") for each in happened)
    assert shop.counted() - before == wanted
    assert shop.written() == shop.counted()
    assert shop.rows(f"select count(*) from connect_events where provider = '{account}'") == [(len(happened),)]
    _applied(shop, happened)


_STATUSES = {
    EventType.bounced: "bounced",
    EventType.complained: "complained",
    EventType.unsubscribed: "unsubscribed",
    EventType.resubscribed: "subscribed",
}


def _applied(shop: Shop, happened: list[Happened]) -> None:
    """Those who are not to be written to any more, and who came back, are in the table of opt-outs, and nobody else."""
    wanted = {
        (each.outgoing.message.address, each.outgoing.channel.value, _STATUSES[each.type], "webhook")
        for each in happened
        if each.type in _STATUSES and each.bounce is not Bounce.soft
    }
    people = {each.outgoing.message.address for each in happened}
    assert {row[:4] for row in shop.opt_outs() if row[0] in people} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_what_is_forged_or_old_is_refused(reporting: tuple[Shop, Mapping[str, Any]], name: str) -> None:
    shop, built = reporting
    rig, account = built[name], account_of(name)
    happened = _everything(rig, 500_000)[:1]
    now = datetime.now(UTC)
    forged = [rig.forged(webhook) for webhook in _webhooks(rig, happened, now)]
    refused = [shop.post(account, webhook) for webhook in forged]
    if rig.ages:
        refused += [shop.post(account, webhook) for webhook in _webhooks(rig, happened, now - timedelta(days=3))]
    assert all(status in (401, 403) for status, _, _ in refused)
    for _, headers, body in refused:
        assert headers["content-type"] == "application/problem+json"
        assert happened[0].outgoing.message.address.encode() not in body
    assert happened[0].outgoing.message.address not in {row[0] for row in shop.opt_outs()}


def test_the_link_that_is_counted_is_that_of_the_template(reporting: tuple[Shop, Mapping[str, Any]]) -> None:
    shop, built = reporting
    clicked = Happened(
        EventType.clicked,
        MAKE[min(built["ses"].adapter.capabilities.channels)](77),
        None,
        "https://shop.example/offer/ada",
    )
    assert shop.post("ses", built["ses"].webhook([clicked], datetime.now(UTC)))[0] == 200
    links = {one.link for one in shop.site.ledger.events("01lg030gehin6t3j") if one.type == "clicked"}
    assert links == {"https://shop.example/offer/{{ user.product }}", ""}
    assert ("https://shop.example/offer/ada",) in shop.rows("select link from connect_events where type = 'clicked'")
