"""What live mode needs, with an account that really reaches people: each is refused with the way out."""

from __future__ import annotations

from typing import Any

import pytest

from connect.testing.smtp import SmtpServer

UNSUBSCRIBE = 'unsubscribe: {url: "https://shop.example/leave"}\n'
OPT_OUTS = "subscriptions:\n  sql: select id, address, status from opt_outs\n"


@pytest.fixture
def live(shop: Any, server: SmtpServer) -> Any:
    shop.people(3)
    shop.configure_smtp(server)
    return shop


def refused(shop: Any, server: SmtpServer, *options: str) -> Any:
    ended = shop.run("hello", *options)
    assert ended.code == 2
    assert server.messages == []
    shop.nothing_happened()
    return ended.error


def test_nowhere_to_read_opt_outs(live: Any, server: SmtpServer) -> None:
    live.configure_smtp(server, more=UNSUBSCRIBE)

    error = refused(live, server)

    assert error.code == "live-without-opt-outs"
    assert error.place == live.place("select * from people")
    assert "add `subscriptions` to connect.yml, return a `subscribed` column" in error.hint


def test_a_subscribed_column_is_somewhere(live: Any, server: SmtpServer) -> None:
    live.configure_smtp(server, more=UNSUBSCRIBE)
    live.campaign(sql="sql: select *, id <> 'id-00002' as subscribed from people")

    ended = live.run("hello", "--json")

    opted_out = live.number("select count(*) from people where id = 'id-00002'")
    assert ended.counts == {
        ("email", "sent", ""): live.number("select count(*) from people") - opted_out,
        ("email", "skipped", "unsubscribed"): opted_out,
    }
    assert len(server.messages) == 2


def test_no_largest_audience(live: Any, server: SmtpServer) -> None:
    live.campaign(limits="timeout: 5m")

    error = refused(live, server)

    assert error.code == "live-without-limit"
    assert error.hint == "set `limits: {max: N}` to the largest audience that you would still believe"


def test_no_unsubscribe_url(live: Any, server: SmtpServer) -> None:
    live.configure_smtp(server, more=OPT_OUTS)
    live.campaign(text="text: Good day")

    error = refused(live, server)

    assert error.code == "live-without-unsubscribe"
    assert "unsubscribe: {url: ...}" in error.hint


def test_everything_that_is_missing_is_told_at_once(live: Any, server: SmtpServer) -> None:
    live.configure_smtp(server, more="")
    live.campaign(status="status: draft", limits="timeout: 5m", text="text: Good day")

    ended = live.run()

    assert ended.code == 2
    assert {error.code for error in ended.errors} == {
        "campaign-not-live",
        "live-without-opt-outs",
        "live-without-limit",
        "live-without-unsubscribe",
    }
    assert server.messages == []
    live.nothing_happened()


@pytest.mark.parametrize("status", ["draft", "paused"])
def test_a_campaign_that_is_not_live(live: Any, server: SmtpServer, status: str) -> None:
    live.campaign(status=f"status: {status}")

    error = refused(live, server)

    assert error.code == "campaign-not-live"
    assert error.place.startswith("campaigns/hello.yml:")
    assert status in error.message
    assert "`--mode test`" in error.hint


def test_a_transactional_message_needs_no_opt_outs(live: Any, server: SmtpServer) -> None:
    live.configure_smtp(server, more="")
    live.campaign(limits="timeout: 5m", content="transactional: true\n  content:", text="text: Good day")

    ended = live.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): live.number("select count(*) from people")}
    assert "transactional" in ended.err


def test_the_option_can_not_make_a_target_live(live: Any, server: SmtpServer) -> None:
    path = live.root / "connect.yml"
    path.write_text(path.read_text().replace("mode: live", "mode: test"))

    error = refused(live, server, "--mode", "live")

    assert error.code == "mode-not-in-file"
    assert error.place == live.place("test", "connect.yml")
    assert error.under == "test"
    assert error.hint == "write `mode: live` at the top in connect.yml"


def test_a_campaign_that_has_run_is_not_repeated(live: Any, server: SmtpServer) -> None:
    assert live.run().code == 0

    ended = live.run()

    assert (ended.code, ended.error.code) == (2, "already-ran")
    assert "`--again`" in ended.error.hint
    assert len(server.messages) == live.number("select count(*) from people")
