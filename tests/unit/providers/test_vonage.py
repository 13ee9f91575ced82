"""Vonage: what is asked and how it signs in, what each answer means, and which statuses are believed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError

from connect.errors import RunTrouble
from connect.identity import read_correlation_id
from connect.providers import vonage_events, vonage_replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Status
from connect.providers.replays import Remembered
from connect.providers.vonage import HOST, Settings, Vonage, _Pass
from connect.redact import Secret
from connect.testing import an_sms
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.fakes.vonage import APPLICATION, KEY, SECRET, FakeVonage, code, problem

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "vonage.md"
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SIGNATURE_SECRET = "only for tests: the signature secret of an account"

_KEY = rsa.generate_private_key(65537, 2048)
PRIVATE = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


class Fake(FakeVonage):
    def __init__(self) -> None:
        super().__init__(PUBLIC)
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


ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)

BY_KEY: dict[str, object] = {"api_key": KEY, "api_secret": Secret(SECRET)}
BY_APPLICATION: dict[str, object] = {"application_id": APPLICATION, "private_key": Secret(PRIVATE)}


@asynccontextmanager
async def opened(fake: Fake, **fields: object) -> AsyncIterator[Vonage]:
    made = Settings.model_validate({**(fields or BY_KEY), "endpoint_url": fake.url})
    provider = Vonage(Account("texts", made, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def test_the_whole_request(fake: Fake) -> None:
    sms = an_sms(1, body="Grüße 🎉\nMorgen", sender="+4915999")
    status_url = "https://hooks.acme.example/texts"
    async with opened(fake, **BY_KEY, status_url=status_url) as provider:
        (receipt,) = await provider.send([sms])
    (call,) = fake.calls
    assert (call.method, call.path) == ("POST", "/v1/messages")
    assert call.json == {
        "message_type": "text",
        "channel": "sms",
        "to": "4915112000001",
        "from": "4915999",
        "text": "Grüße 🎉\nMorgen",
        "client_ref": sms.correlation_id,
        "webhook_url": status_url,
        "webhook_version": "v1",
    }
    assert (receipt.status, len(receipt.provider_id)) == (Status.accepted, 36)
    assert HOST == "https://api.nexmo.com"


def test_the_correlation_id_fits_the_client_ref() -> None:
    assert len(an_sms(1).correlation_id) <= 100


async def test_an_application_signs_in(fake: Fake) -> None:
    async with opened(fake, **BY_APPLICATION) as provider:
        assert await provider.check() == "signed in with an application"
        statuses = [(await provider.send([an_sms(number)]))[0].status for number in range(2)]
    assert statuses == [Status.accepted] * 2
    tokens = {call.headers["authorization"] for call in fake.calls}
    assert len(tokens) == 1, "a token is used for a while"
    claims = jwt.decode(tokens.pop().removeprefix("Bearer "), PUBLIC, algorithms=["RS256"])
    assert claims.keys() == {"application_id", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 900


def test_a_token_is_made_again_before_it_is_out_of_date() -> None:
    now = [1_000_000.0]
    ticket = _Pass(Settings.model_validate(BY_APPLICATION), clock=lambda: now[0])
    first = ticket.authorization()
    now[0] += 599
    assert ticket.authorization() == first
    now[0] += 1
    second = ticket.authorization()
    assert second != first
    now[0] -= 3600
    assert ticket.authorization() not in (first, second), "a clock that was set back"


async def test_a_private_key_may_be_one_line(fake: Fake) -> None:
    one_line = {**BY_APPLICATION, "private_key": Secret(PRIVATE.replace("\n", "\\n"))}
    async with opened(fake, **one_line) as provider:
        assert (await provider.send([an_sms(1)]))[0].status is Status.accepted


@pytest.mark.parametrize("text", ["", "not a key", PUBLIC, PRIVATE[:200], ELLIPTIC])
async def test_what_is_no_private_key_is_said_when_opening(fake: Fake, text: str) -> None:
    with pytest.raises(RunTrouble, match="vonage-private-key") as trouble:
        async with opened(fake, **{**BY_APPLICATION, "private_key": Secret(text)}):
            pass
    assert trouble.value.problems[0].hint
    assert not text or text not in str(trouble.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"api_key": KEY},
        {"application_id": APPLICATION},
        {**BY_KEY, **BY_APPLICATION},
        {**BY_KEY, "sender": "Acme"},
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(fields)


@pytest.mark.parametrize(("mine", "sent"), [("", "Shop"), ("Acme", "Acme")])
async def test_the_contents_sender_wins(fake: Fake, mine: str, sent: str) -> None:
    async with opened(fake, **BY_KEY, **{"from": "Shop"}) as provider:
        await provider.send([an_sms(1, sender=mine)])
    assert fake.delivered[0]["from"] == sent


async def test_what_vonage_can_not_carry_is_not_asked(fake: Fake) -> None:
    async with opened(fake) as provider:
        receipts = [(await provider.send([sms]))[0] for sms in (an_sms(1, sender=""), an_sms(2, body="x" * 1001))]
        assert (await provider.send([an_sms(3, body="x" * 1000)]))[0].status is Status.accepted
    assert [(receipt.status, receipt.reason) for receipt in receipts] == [
        (Status.config, "sender_missing"),
        (Status.rejected_content, "message_too_large"),
    ]
    assert len(fake.calls) == 1


def test_what_one_country_does_not_take_is_nobody_elses_trouble() -> None:
    """A run that paused for it would never get past this person."""
    assert vonage_replies.ERRORS["1120"][0] is Status.rejected_recipient


@pytest.mark.parametrize(("name", "meaning"), vonage_replies.ERRORS.items())
async def test_every_code_means_something(fake: Fake, name: str, meaning: tuple[Status, str]) -> None:
    sms = an_sms(1)
    kind = code(int(name)) if name.isdigit() else f"https://developer.vonage.com/api-errors#{name}"
    fake.arranged["4915112000001"] = problem(422, kind, "no")
    async with opened(fake) as provider:
        (receipt,) = await provider.send([sms])
    assert (receipt.status, receipt.reason) == meaning


def invalid(*names: str) -> Answer:
    listed = [{"name": name, "reason": "is not valid"} for name in names]
    return problem(422, code(1020), "Invalid params", invalid_parameters=listed)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (invalid("to"), (Status.rejected_recipient, "invalid_number")),
        (invalid("from"), (Status.config, "sender_not_usable")),
        (invalid("text"), (Status.rejected_content, "invalid_parameters")),
        (invalid("to", "from"), (Status.rejected_content, "invalid_parameters")),
        (problem(422, code(1020), "x", invalid_parameters="to"), (Status.rejected_content, "invalid_parameters")),
        (problem(422, code(9999), "something new"), (Status.rejected_content, "other")),
        (problem(400, "about:blank", "no"), (Status.rejected_content, "other")),
        (problem(401, "about:blank", "who"), (Status.config, "authentication_failed")),
        (problem(402, "about:blank", "pay"), (Status.quota, "balance_used_up")),
        (problem(429, "about:blank", "slow"), (Status.throttled, "slow_down")),
        (problem(503, "about:blank", "later"), (Status.transient, "provider_failed")),
        (Answer(502, b"<html>"), (Status.ambiguous, "unrecognised_answer")),
        (Answer(202, b""), (Status.ambiguous, "unreadable_answer")),
        (Answer(202, {"message_uuid": 7}), (Status.ambiguous, "unreadable_answer")),
    ],
)
async def test_other_answers(fake: Fake, answer: Answer, meaning: tuple[Status, str]) -> None:
    fake.arranged["4915112000001"] = answer
    async with opened(fake) as provider:
        (receipt,) = await provider.send([an_sms(1)])
    assert (receipt.status, receipt.reason) == meaning


async def test_a_number_is_hidden_however_it_is_spaced(fake: Fake) -> None:
    fake.arranged["4915112000007"] = problem(422, code(1170), "49 151 12000007 is not valid")
    async with opened(fake) as provider:
        (receipt,) = await provider.send([an_sms(7)])
    assert receipt.detail == "*** is not valid: *** is not valid"


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "vonage-credentials"), (403, "vonage-credentials"), (402, "vonage-balance"), (503, "vonage-unreachable")],
)
async def test_check_says_what_to_mend(status: int, said: str) -> None:
    with ApiServer(lambda _: problem(status, "about:blank", "no")) as server:
        made = Settings.model_validate({**BY_KEY, "endpoint_url": server.url})
        provider = Vonage(Account("texts", made, Path(), 1, timedelta(seconds=5)))
        with pytest.raises(RunTrouble, match=said) as trouble:
            await provider.check()
        await provider.close()
    assert trouble.value.problems[0].hint


# Events

STATUS: dict[str, object] = {
    "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
    "to": "4915112000001",
    "from": "Acme",
    "timestamp": "2026-11-20T09:29:58.123Z",
    "status": "delivered",
    "client_ref": an_sms(1).correlation_id,
    "channel": "sms",
}


def reported(status: object, secret: str = SIGNATURE_SECRET, algorithm: str = "HS256", **claims: object) -> Webhook:
    body = status if isinstance(status, bytes) else json.dumps(status).encode()
    given = {"iat": int(NOW.timestamp()), "payload_hash": hashlib.sha256(body).hexdigest(), "api_key": KEY, **claims}
    token = jwt.encode({name: value for name, value in given.items() if value is not None}, secret, algorithm)
    return Webhook({"authorization": f"Bearer {token}"}, body, "https://hooks.acme.example/texts", NOW, Remembered())


SETTINGS = Settings.model_validate({**BY_KEY, "webhook_secret": Secret(SIGNATURE_SECRET)})


def parsed(webhook: Webhook) -> list[Event]:
    return vonage_events.parse_events(webhook, SETTINGS)  # type: ignore[return-value]


def refused(webhook: Webhook) -> str:
    with pytest.raises(EventsRefused) as refusal:
        parsed(webhook)
    return refusal.value.reason


def test_delivered() -> None:
    (event,) = parsed(reported(STATUS))
    assert event.type is EventType.delivered
    assert event.id == "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab:delivered"
    assert event.at == datetime(2026, 11, 20, 9, 29, 58, 123000, tzinfo=UTC)
    assert (event.run_id, event.key) == read_correlation_id(an_sms(1).correlation_id)
    assert event.address == "+4915112000001"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20 09:00:00 +0000", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T10:00:00+01:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:00:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("yesterday", NOW),
        (7, NOW),
    ],
)
def test_times_as_vonage_has_written_them(text: object, at: datetime) -> None:
    (event,) = parsed(reported({**STATUS, "timestamp": text}))
    assert event.at == at


@pytest.mark.parametrize("status", ["submitted", "read", "new", None])
def test_what_is_on_its_way_is_no_event(status: object) -> None:
    assert parsed(reported({**STATUS, "status": status})) == []


def test_other_channels_are_left_out() -> None:
    assert parsed(reported({**STATUS, "channel": "whatsapp"})) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"type": code(int(name)), "title": int(name)}, kind) for name, kind in vonage_events.BOUNCES.items()]
    + [
        ({"title": 1190}, (Bounce.hard, "unknown_number")),
        ({"title": "1190"}, (Bounce.hard, "unknown_number")),
        ({"type": code(9999)}, (Bounce.soft, "other")),
        (None, (Bounce.soft, "other")),
        ("1190", (Bounce.soft, "other")),
    ],
)
@pytest.mark.parametrize("status", ["rejected", "undeliverable"])
def test_bounces(status: str, error: object, kind: tuple[Bounce, str]) -> None:
    (event,) = parsed(reported({**STATUS, "status": status, "error": error}))
    assert (event.type, (event.bounce, event.reason)) == (EventType.bounced, kind)


def test_messages_that_are_not_ours() -> None:
    (event,) = parsed(reported({**STATUS, "client_ref": "somebody else's"}))
    assert (event.run_id, event.key) == (None, None)


def test_only_what_the_secret_signed_is_believed() -> None:
    genuine = reported(STATUS)
    assert refused(replace(genuine, body=genuine.body.replace(b"delivered", b"rejected"))) == "bad_signature"
    assert refused(replace(genuine, headers={})) == "bad_signature"
    assert refused(replace(genuine, headers={"authorization": "Bearer x.y.z"})) == "bad_signature"
    assert refused(replace(genuine, headers={"authorization": genuine.headers["authorization"][7:]})) == "bad_signature"
    assert refused(reported(STATUS, algorithm="none", secret="")) == "bad_signature"
    assert refused(reported(STATUS, algorithm="HS512", secret=SIGNATURE_SECRET * 2)) == "bad_signature"
    assert refused(reported(STATUS, payload_hash=None)) == "bad_signature"
    assert refused(reported(STATUS, iat=None)) == "bad_signature"


def test_a_scheme_in_any_case_and_a_hash_in_any_case() -> None:
    body = json.dumps(STATUS).encode()
    genuine = reported(STATUS, payload_hash=hashlib.sha256(body).hexdigest().upper())
    assert parsed(replace(genuine, headers={"authorization": "bearer" + genuine.headers["authorization"][6:]}))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_old_and_early_ones_are_refused(minutes: int) -> None:
    at = NOW + timedelta(minutes=minutes)
    assert refused(reported(STATUS, iat=int(at.timestamp()))) == "too_old"
    assert parsed(reported(STATUS, iat=int((NOW + timedelta(minutes=minutes) / 2).timestamp())))


def test_times_are_those_of_the_webhook_not_of_this_machine() -> None:
    assert parsed(reported(STATUS, exp=1, nbf=9_999_999_999))


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"message_uuid"', b"\xff"])
def test_signed_bodies_that_are_no_status(body: bytes) -> None:
    assert refused(reported(body)) == "unreadable"


def test_the_page_explains_every_reason() -> None:
    tables = (vonage_replies.ERRORS, vonage_replies.STATUSES, vonage_replies.FIELDS, vonage_events.BOUNCES)
    reasons = {reason for table in tables for _, reason in table.values()}
    assert reasons - set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text())) == set()
