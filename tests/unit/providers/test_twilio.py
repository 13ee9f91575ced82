"""Twilio: what is asked, what each answer means, and which status callbacks are believed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.identity import read_correlation_id
from connect.providers import twilio_events, twilio_replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Status
from connect.providers.replays import Remembered
from connect.providers.twilio import HOSTS, Settings, Twilio
from connect.redact import Secret
from connect.testing import an_sms
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio, refusal

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "twilio.md"
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
CALLBACK = "https://hooks.acme.example/texts"


class Fake(FakeTwilio):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.url = ""

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        return super().answer(call)


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    with ApiServer(fake.answer) as server:
        fake.url = server.url
        yield fake
    assert fake.misfits == []


def settings(**fields: object) -> Settings:
    given: dict[str, object] = {"account_sid": ACCOUNT, "auth_token": Secret(TOKEN)}
    return Settings.model_validate({**given, **fields})


@asynccontextmanager
async def opened(fake: Fake, **fields: object) -> AsyncIterator[Twilio]:
    made = settings(endpoint_url=fake.url, **fields)
    provider = Twilio(Account("texts", made, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def test_the_whole_request(fake: Fake) -> None:
    sms = an_sms(1, body="Grüße & 100% für dich 🎉\nMorgen", sender="Acme")
    async with opened(fake, status_callback=CALLBACK) as provider:
        (receipt,) = await provider.send([sms])
    (call,) = fake.calls
    assert (call.method, call.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert call.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    assert call.form == [
        ("To", "+4915112000001"),
        ("From", "Acme"),
        ("Body", "Grüße & 100% für dich 🎉\nMorgen"),
        ("StatusCallback", f"{CALLBACK}?connect_id={sms.correlation_id}"),
    ]
    assert receipt.status is Status.accepted
    assert receipt.provider_id.startswith("SM")


@pytest.mark.parametrize(
    ("fields", "sender", "sent"),
    [
        ({"messaging_service_sid": "MG1"}, "", {"MessagingServiceSid": "MG1"}),
        ({"messaging_service_sid": "MG1"}, "+15005550006", {"From": "+15005550006"}),
        ({"from": "+15005550007"}, "", {"From": "+15005550007"}),
        ({"from": "+15005550007"}, "Acme", {"From": "Acme"}),
    ],
)
async def test_the_contents_sender_wins(
    fake: Fake, fields: dict[str, object], sender: str, sent: dict[str, str]
) -> None:
    async with opened(fake, **fields) as provider:
        await provider.send([an_sms(1, sender=sender)])
    (message,) = fake.delivered
    assert {name: message[name] for name in ("From", "MessagingServiceSid") if name in message} == sent


async def test_without_any_sender_nothing_is_asked(fake: Fake) -> None:
    async with opened(fake) as provider:
        (receipt,) = await provider.send([an_sms(1, sender="")])
    assert (receipt.status, receipt.reason) == (Status.config, "sender_missing")
    assert fake.calls == []


async def test_an_api_key_signs_in(fake: Fake) -> None:
    async with opened(fake, auth_token=None, api_key="SK1", api_secret=Secret(TOKEN)) as provider:
        (receipt,) = await provider.send([an_sms(1)])
        assert await provider.check() == "signed in with an API key"
    assert receipt.status is Status.accepted
    assert fake.calls[1].query == {"PageSize": "1"}


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.example/hook", "https://a.example/hook?connect_id=c1.r.k"),
        ("https://a.example/hook?token=1", "https://a.example/hook?token=1&connect_id=c1.r.k"),
        ("https://a.example/hook#rc=5&rp=all", "https://a.example/hook?connect_id=c1.r.k#rc=5&rp=all"),
    ],
)
def test_the_correlation_id_is_in_the_callbacks_query(url: str, sent: str) -> None:
    from connect.providers.twilio_callback import callback

    assert callback(url, "c1.r.k") == sent


async def test_the_region_has_its_own_address() -> None:
    assert HOSTS == {"us1": "https://api.twilio.com", "ie1": "https://api.dublin.ie1.twilio.com"}
    for region, host in HOSTS.items():
        made = settings(region=region)
        assert Twilio(Account("texts", made, Path(), 1))._messages_url.startswith(f"{host}/2010-04-01/Accounts/AC")


@pytest.mark.parametrize(
    "fields",
    [
        {"auth_token": None},
        {"api_key": "SK1"},
        {"auth_token": None, "api_secret": Secret("x")},
        {"account_sid": "SK0123456789abcdef0123456789abcdef"},
        {"messaging_service_sid": "MG1", "from": "Acme"},
        {"status_callback": "hooks.acme.example/texts"},
        {"region": "eu"},
        {"sender": "Acme"},
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**fields)


@pytest.mark.parametrize(("code", "meaning"), twilio_replies.ERRORS.items())
async def test_every_code_means_something(fake: Fake, code: int, meaning: tuple[Status, str]) -> None:
    sms = an_sms(1)
    fake.arranged[sms.message.address] = refusal(400, code, "no")
    async with opened(fake) as provider:
        (receipt,) = await provider.send([sms])
    assert (receipt.status, receipt.reason) == meaning


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (refusal(400, 99999, "something new"), (Status.rejected_content, "other")),
        (refusal(401, 99999, "who"), (Status.config, "authentication_failed")),
        (refusal(403, 99999, "no"), (Status.config, "access_denied")),
        (refusal(500, 20500, "oops"), (Status.transient, "provider_failed")),
        (refusal(429, 0, "slow"), (Status.throttled, "slow_down")),
        (Answer(502, b"<html>"), (Status.ambiguous, "unrecognised_answer")),
        (Answer(504, b""), (Status.ambiguous, "unrecognised_answer")),
        (Answer(201, b"<html>"), (Status.ambiguous, "unreadable_answer")),
        (Answer(201, {"status": "queued"}), (Status.ambiguous, "unreadable_answer")),
        (Answer(200, [1]), (Status.ambiguous, "unreadable_answer")),
        (
            Answer(201, {"sid": "SM1", "status": "failed", "error_code": 21610, "error_message": "STOP"}),
            (Status.rejected_recipient, "unsubscribed"),
        ),
        (Answer(201, {"sid": "SM1", "status": "failed", "error_code": None}), (Status.rejected_content, "other")),
        (Answer(201, {"sid": "SM1", "status": ["failed"], "error_code": [1]}), (Status.accepted, "")),
    ],
)
async def test_other_answers(fake: Fake, answer: Answer, meaning: tuple[Status, str]) -> None:
    sms = an_sms(1)
    fake.arranged[sms.message.address] = answer
    async with opened(fake) as provider:
        (receipt,) = await provider.send([sms])
    assert (receipt.status, receipt.reason) == meaning


async def test_a_number_is_hidden_however_it_is_spaced(fake: Fake) -> None:
    sms = an_sms(7)
    fake.arranged["+4915112000007"] = refusal(400, 21211, "To +49 151 1200-0007 (4915112000007) is not valid")
    async with opened(fake) as provider:
        (receipt,) = await provider.send([sms])
    assert receipt.detail == "To *** (***) is not valid"


async def test_check_says_what_kind_of_account_it_is(fake: Fake) -> None:
    async with opened(fake) as provider:
        assert await provider.check() == "signed in"
        fake.type = "Trial"
        assert "verified numbers" in await provider.check()
        fake.status = "suspended"
        with pytest.raises(RunTrouble, match="twilio-suspended"):
            await provider.check()


@pytest.mark.parametrize(
    ("status", "code"), [(401, "twilio-credentials"), (404, "twilio-credentials"), (503, "twilio-unreachable")]
)
async def test_check_says_what_to_mend(status: int, code: str) -> None:
    with ApiServer(lambda _: refusal(status, 1, "no")) as server:
        provider = Twilio(Account("texts", settings(endpoint_url=server.url), Path(), 1, timedelta(seconds=5)))
        with pytest.raises(RunTrouble, match=code) as trouble:
            await provider.check()
        await provider.close()
    assert trouble.value.problems[0].hint


# Events


def reported(
    fields: dict[str, str], outgoing: Outgoing | None = None, url: str = CALLBACK, signed_url: str = ""
) -> Webhook:
    sms = outgoing or an_sms(1)
    query = f"?connect_id={sms.correlation_id}"
    text = (signed_url or url) + query + "".join(name + fields[name] for name in sorted(fields))
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": twilio_events.signature(TOKEN.encode(), text, ""),
    }
    return Webhook(headers, urlencode(fields).encode(), url + query, NOW, Remembered())


def parsed(webhook: Webhook, made: Settings | None = None) -> list[Event]:
    return twilio_events.parse_events(webhook, made or settings())  # type: ignore[return-value]


def refused(webhook: Webhook, made: Settings | None = None) -> str:
    with pytest.raises(EventsRefused) as refusal:
        parsed(webhook, made)
    return refusal.value.reason


DELIVERED = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4915112000001", "ApiVersion": "2010-04-01"}


def test_delivered() -> None:
    sms = an_sms(1)
    (event,) = parsed(reported(DELIVERED, sms))
    assert (event.type, event.id, event.at, event.provider_id) == (EventType.delivered, "SM1:delivered", NOW, "SM1")
    assert (event.run_id, event.key) == read_correlation_id(sms.correlation_id)
    assert event.address == "+4915112000001"


@pytest.mark.parametrize(
    "status", ["accepted", "scheduled", "queued", "sending", "sent", "canceled", "read", "new", ""]
)
def test_what_is_on_its_way_is_no_event(status: str) -> None:
    assert parsed(reported({**DELIVERED, "MessageStatus": status})) == []


@pytest.mark.parametrize("status", ["undelivered", "failed"])
@pytest.mark.parametrize(
    ("code", "bounce", "reason"),
    [(str(code), *kind) for code, kind in twilio_events.BOUNCES.items()]
    + [
        ("21610", Bounce.hard, "unsubscribed"),
        ("21211", Bounce.hard, "invalid_number"),
        ("21606", Bounce.soft, "sender_not_usable"),
        ("99999", Bounce.soft, "other"),
        ("", Bounce.soft, "other"),
        ("²", Bounce.soft, "other"),
        ("9" * 5000, Bounce.soft, "other"),
    ],
)
def test_bounces(status: str, code: str, bounce: Bounce, reason: str) -> None:
    (event,) = parsed(reported({**DELIVERED, "MessageStatus": status, "ErrorCode": code}))
    assert (event.type, event.bounce, event.reason) == (EventType.bounced, bounce, reason)
    assert event.id == f"SM1:{status}"


def test_a_message_that_is_not_ours() -> None:
    webhook = reported(DELIVERED)
    text = CALLBACK + "".join(name + DELIVERED[name] for name in sorted(DELIVERED))
    signature = twilio_events.signature(TOKEN.encode(), text, "")
    (event,) = parsed(replace(webhook, url=CALLBACK, headers={**webhook.headers, "x-twilio-signature": signature}))
    assert (event.run_id, event.key) == (None, None)


def test_the_signature_of_twilios_own_libraries() -> None:
    """The vectors that they are tested with."""
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = "CallSidCA1234567890ABCDECaller+14158675309Digits1234From+14158675309To+18005551212"
    assert twilio_events.signature(b"12345", url, fields) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    digest = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    assert twilio_events.signature(b"12345", f"{url}&bodySHA256={digest}", "") == "a9nBmqA0ju/hNViExpshrM61xv4="


@pytest.mark.parametrize(
    ("came", "signed"),
    [
        ("https://a.example/hook", "https://a.example:443/hook"),
        ("https://a.example:443/hook", "https://a.example/hook"),
        ("https://a.example:8443/hook", "https://a.example/hook"),
        ("http://a.example/hook", "http://a.example:80/hook"),
        ("https://[2001:db8::1]/hook", "https://[2001:db8::1]:443/hook"),
    ],
)
def test_the_url_is_tried_with_and_without_its_port(came: str, signed: str) -> None:
    assert parsed(reported(DELIVERED, url=came, signed_url=signed))


def test_a_proxy_may_change_the_url_where_the_account_says_what_it_is() -> None:
    webhook = reported(DELIVERED, url="http://10.0.0.7:8000/texts", signed_url=CALLBACK)
    assert refused(webhook) == "bad_signature"
    assert parsed(webhook, settings(status_callback=CALLBACK))
    assert parsed(webhook, settings(status_callback=f"{CALLBACK}#rc=5&rp=all"))


def test_the_id_of_another_message_is_not_believed() -> None:
    webhook = reported(DELIVERED, an_sms(1))
    other = an_sms(2).correlation_id
    assert refused(replace(webhook, url=f"{CALLBACK}?connect_id={other}")) == "bad_signature"
    assert refused(replace(webhook, url=f"{webhook.url}&connect_id={other}")) == "bad_signature"


@pytest.mark.parametrize("change", [{"MessageStatus": "failed"}, {"To": "+4915112000002"}, {"ErrorCode": "30005"}])
def test_changed_fields_are_not_believed(change: dict[str, str]) -> None:
    assert refused(replace(reported(DELIVERED), body=urlencode({**DELIVERED, **change}).encode())) == "bad_signature"


def test_fields_that_are_divided_otherwise_are_a_replay() -> None:
    """The signature does not cover where a name ends."""
    webhook = reported({**DELIVERED, "ErrorCode": "30005"})
    assert parsed(webhook)
    assert parsed(webhook), "Twilio may try again"
    shifted = urlencode({**DELIVERED, "ErrorCode3": "0005"}).encode()
    assert refused(replace(webhook, body=shifted)) == "replayed"


def test_repeated_fields_count_once() -> None:
    webhook = reported(DELIVERED)
    assert parsed(replace(webhook, body=webhook.body + b"&MessageSid=SM1"))


def json_report(body: bytes, digest: str) -> Webhook:
    url = f"{CALLBACK}?connect_id={an_sms(1).correlation_id}&bodySHA256={digest}"
    signature = twilio_events.signature(TOKEN.encode(), url, "")
    return Webhook({"content-type": "application/json", "x-twilio-signature": signature}, body, url, NOW, Remembered())


def test_json_bodies_are_proved_by_their_hash() -> None:
    import hashlib

    body = json.dumps({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": 30005}).encode()
    webhook = json_report(body, hashlib.sha256(body).hexdigest())
    (event,) = parsed(webhook)
    assert (event.bounce, event.reason) == (Bounce.hard, "unknown_number")
    assert refused(replace(webhook, body=body.replace(b"30005", b"30003"))) == "bad_signature"
    assert refused(replace(webhook, url=CALLBACK)) == "bad_signature"
    assert refused(json_report(b"[]", hashlib.sha256(b"[]").hexdigest())) == "unreadable"
    assert refused(json_report(b"{", hashlib.sha256(b"{").hexdigest())) == "unreadable"


@pytest.mark.parametrize("body", [b"\xff", b"&".join(b"a%d=1" % number for number in range(300))])
def test_bodies_that_are_no_form_are_unreadable(body: bytes) -> None:
    assert refused(replace(reported(DELIVERED), body=body)) == "unreadable"


def test_webhooks_are_signed_with_the_auth_token_also_beside_an_api_key() -> None:
    key = {"auth_token": None, "api_key": "SK1", "api_secret": Secret("x")}
    assert refused(reported(DELIVERED), settings(**key)) == "not_configured"
    assert parsed(reported(DELIVERED), settings(**key, webhook_secret=Secret(TOKEN)))
    assert refused(reported(DELIVERED), settings(webhook_secret=Secret("another"))) == "bad_signature"


def test_the_page_explains_every_reason() -> None:
    reasons = {reason for _, reason in (*twilio_replies.ERRORS.values(), *twilio_events.BOUNCES.values())}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text())) == set()
