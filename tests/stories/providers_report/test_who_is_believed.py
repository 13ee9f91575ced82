"""What is no webhook, or comes from nobody, is refused, and nothing of it is kept or said."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connect.providers.events import Bounce, EventType
from connect.testing.canaries import Canaries
from connect.testing.messages import RUN_ID, an_email
from connect.testing.providers import Happened
from connect.testing.topic import CERTIFICATE_URL, Topic
from tests.stories.providers_report.conftest import Shop, account_of

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now() -> None:
    """What is signed minutes ago is not believed, and others may have been tested in this process meanwhile."""
    global NOW
    NOW = datetime.now(UTC)


def test_looking_whether_somebody_is_there_is_harmless(reporting: tuple[Shop, Mapping[str, Any]]) -> None:
    shop, built = reporting
    for name in built:
        assert shop.ask("GET", f"/webhooks/{account_of(name)}")[0] == 200
        assert shop.ask("HEAD", f"/webhooks/{account_of(name)}")[::2] == (200, b"")
    assert shop.ask("PUT", "/webhooks/sendgrid")[0] == 405


@pytest.mark.parametrize("path", ["nobody", "", "sendgrid/more", "SENDGRID", "%00", "a" * 5000])
def test_an_account_that_is_not_there_is_not_found(reporting: tuple[Shop, Mapping[str, Any]], path: str) -> None:
    shop, _ = reporting
    for method in ("GET", "POST"):
        assert shop.ask(method, f"/webhooks/{path}", b"{}" if method == "POST" else b"")[0] == 404


def test_a_topic_is_confirmed_if_the_settings_name_it(reporting: tuple[Shop, Mapping[str, Any]]) -> None:
    shop, built = reporting
    (arn,) = built["ses"].account().settings.webhook_topic_arn
    asked = Topic(arn).confirmation(NOW)
    confirmed = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={arn}&Token=2"
    shop.fetched.clear()
    assert shop.post("ses", asked)[0] == 503  # the URL does not answer
    shop.certificates[confirmed] = b"<ok/>"
    assert shop.post("ses", asked)[0] == 200
    assert shop.fetched.count(confirmed) == 2
    assert shop.fetched.count(CERTIFICATE_URL) <= 1  # it is kept
    shop.fetched.clear()
    assert shop.post("ses", Topic("arn:aws:sns:eu-west-1:123456789012:of-others").confirmation(NOW))[0] == 403
    assert shop.fetched == []


_NAMES = st.sampled_from(
    [
        "content-type",
        "authorization",
        "x-twilio-signature",
        "x-amz-sns-message-type",
        "svix-id",
        "messagebird-signature",
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    ]
)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


def test_whatever_comes_is_refused_and_never_trouble(reporting: tuple[Shop, Mapping[str, Any]]) -> None:
    shop, built = reporting

    @settings(
        max_examples=60, deadline=None, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
    )
    @given(
        name=st.sampled_from(sorted(built)),
        body=st.binary(max_size=300),
        headers=st.dictionaries(_NAMES, _VALUES.map(str.strip), max_size=4),
    )
    def comes(name: str, body: bytes, headers: dict[str, str]) -> None:
        given = {key: value.encode("latin-1") for key, value in headers.items()}
        status, told, _ = shop.ask("POST", f"/webhooks/{account_of(name)}", body, given)  # type: ignore[arg-type]
        assert status in (400, 401, 403)
        assert told["content-type"] == "application/problem+json"

    before = shop.counted(), shop.rows("select count(*) from connect_events")
    comes()
    assert (shop.counted(), shop.rows("select count(*) from connect_events")) == before


def test_nobody_is_in_the_ledger_nor_in_what_is_said(
    shop: tuple[Shop, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    home, rig = shop
    canaries = Canaries()
    address, link = "canary-jd83kq@mail.example", "https://shop.example/offer/canary-p0s8dk2"
    canaries.add("address", address)
    canaries.add("link", link)
    from connect.channels.message import Mailbox

    letter = an_email(1, to=(Mailbox(address, ""),))
    happened = [Happened(EventType.clicked, letter, None, link), Happened(EventType.bounced, letter, Bounce.hard)]
    with caplog.at_level(logging.DEBUG), home.listening():
        home.run()
        webhook = rig.webhook(happened, NOW)
        assert home.post("sendgrid", webhook)[0] == 200
        assert home.post("sendgrid", rig.forged(webhook))[0] == 401
        assert home.counted(RUN_ID)["clicked", ""] == 1
        home.opt_outs()
    found = canaries.search_files([home.folder], [home.folder / "shop.duckdb", home.folder / "shop.duckdb.wal"])
    said = "".join(capfd.readouterr()) + caplog.text
    assert "webhook-refused" in said
    assert found | canaries.search("what was said", said.encode()) == set()
