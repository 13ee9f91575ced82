"""A message goes out, and its link is used: the next run skips that person, and the message's run counts it."""

from __future__ import annotations

import http.client
import re
from typing import Any

from connect.testing.serving import Served, served
from connect.testing.smtp import SmtpServer
from tests.stories.opting_out.conftest import WRITTEN
from tests.stories.opting_out.test_by_hand import skipped
from tests.unit.server.test_unsubscribe import drained

SERVED = WRITTEN.replace(
    'unsubscribe: {url: "https://shop.example/leave"}',
    'unsubscribe: {mailto: leave@shop.example}\nserve: {base_url: "https://connect.shop.example"}',
)


def one_click(server: Served, link: str) -> int:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    path = link.removeprefix("https://connect.shop.example")
    connection.request(
        "POST", path, "List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_click_from_a_message(listing: Any) -> None:
    listing.configure(more=SERVED)
    assert listing.run().code == 0
    message = next(one for one in listing.sent() if one.to[0].address.startswith("anna00003"))
    headers = dict(message.headers)
    link = re.search("<(https://connect.shop.example/u/[^>]+)>", headers["List-Unsubscribe"])[1]  # type: ignore[index]
    assert "<mailto:leave@shop.example>" in headers["List-Unsubscribe"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link in message.text
    with served(listing.root) as server:
        assert [one_click(server, link), one_click(server, link)] == [200, 200]
        drained(server)
    with served(listing.root) as server:  # the one before has finished what it had taken on
        ledger = server.site.ledger
        (counted,) = [one for one in ledger.events(ledger.runs()[0].id) if one.type == "unsubscribed"]
    assert (counted.channel, counted.count, counted.firsts) == ("email", 1, 1)
    assert skipped(listing) == {("email", "unsubscribed"): 1}


def test_links_that_nobody_could_heed_are_refused(listing: Any, server: SmtpServer) -> None:
    listing.configure_smtp(server, more=SERVED.replace("{write: connect_opt_outs}", "{sql: select id from opt_outs}"))
    error = listing.run().error
    assert (error.code, "subscriptions init" in error.hint) == ("unsubscribe-not-heeded", True)
    assert server.messages == []
