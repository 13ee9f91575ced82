"""AWS End User Messaging SMS: the requests, what each answer means, and what is reported later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.serialize import create_serializer
from pydantic import ValidationError

from connect.errors import RunTrouble
from connect.identity import read_correlation_id
from connect.providers import aws_sms_events, aws_sms_replies
from connect.providers.aws_replies import HTTP_STATUSES
from connect.providers.aws_sms import AwsSms, Settings
from connect.providers.events import Bounce, Confirmation, Event, EventType
from connect.providers.interface import Account, Receipt, Status
from connect.redact import Secret
from connect.testing import aws
from connect.testing.api import Answer, ApiServer
from connect.testing.aws import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from connect.testing.fakes.aws_sms import AwsSms as Fake
from connect.testing.fakes.aws_sms import error
from connect.testing.messages import an_sms
from connect.testing.rigs.aws_sms import an_event
from connect.testing.topic import Topic
from connect.vocabulary import Channel

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
TOPIC = Topic()


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    assert fake.misfits == [], "a request that the service's own model refuses"


@pytest.fixture
def server(fake: Fake) -> Iterator[ApiServer]:
    with ApiServer(fake.answer) as running:
        yield running


@asynccontextmanager
async def opened(url: str, sandbox: bool = False, **fields: object) -> AsyncIterator[AwsSms]:
    given: dict[str, object] = {
        "region": REGION,
        "access_key_id": Secret(ACCESS_KEY_ID),
        "secret_access_key": Secret(SECRET_ACCESS_KEY),
        "endpoint_url": url,
    }
    settings = Settings.model_validate({**given, **fields})
    account = Account("sms", settings, Path(), concurrency=2, timeout=timedelta(seconds=5), sandbox=sandbox)
    provider = AwsSms(account)
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def sent(url: str, outgoing: Any, **fields: object) -> Receipt:
    async with opened(url, **fields) as provider:  # type: ignore[arg-type]
        (receipt,) = await provider.send([outgoing])
    return receipt


async def test_a_message_with_everything(fake: Fake, server: ApiServer) -> None:
    outgoing = an_sms(1, body="Größe 42 🎉\nmehr", sender="")
    receipt = await sent(
        server.url,
        outgoing,
        session_token=Secret("a token"),
        origination_identity="pool-1",
        configuration_set="campaigns",
        message_type="TRANSACTIONAL",
        max_price="0.10",
        ttl=timedelta(minutes=5),
        protect_configuration="protect-1",
        india_entity_id="1101",
        india_template_id="1107",
    )
    expected = {
        "DestinationPhoneNumber": "+4915112000001",
        "OriginationIdentity": "pool-1",
        "MessageBody": "Größe 42 🎉\nmehr",
        "MessageType": "TRANSACTIONAL",
        "ConfigurationSetName": "campaigns",
        "MaxPrice": "0.10",
        "TimeToLive": 300,
        "ProtectConfigurationId": "protect-1",
        "DestinationCountryParameters": {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"},
        "Context": {"connect_id": outgoing.correlation_id},
    }
    assert fake.inputs == [expected]
    assert receipt == Receipt(Status.accepted, provider_id="message-1")
    (call,) = server.calls
    operation = aws.operation("SendTextMessage", of="pinpoint-sms-voice-v2")
    botocores = create_serializer("json").serialize_to_request(expected, operation)
    for name, value in botocores["headers"].items():
        assert call.headers[name.lower()] == value
    assert (call.method, call.path) == (botocores["method"], botocores["url_path"])


async def test_a_message_with_as_little_as_possible(fake: Fake, server: ApiServer) -> None:
    outgoing = an_sms(1, sender="")
    await sent(server.url, outgoing)
    assert fake.inputs == [
        {
            "DestinationPhoneNumber": "+4915112000001",
            "MessageBody": "News for person 1",
            "MessageType": "PROMOTIONAL",
            "Context": {"connect_id": outgoing.correlation_id},
        }
    ]


async def test_the_contents_own_sender_wins(fake: Fake, server: ApiServer) -> None:
    await sent(server.url, an_sms(1, sender="Acme"), origination_identity="pool-1")
    assert fake.inputs[0]["OriginationIdentity"] == "Acme"


async def test_an_endpoint_below_a_path(fake: Fake, server: ApiServer) -> None:
    receipt = await sent(f"{server.url}/proxy/", an_sms(1))
    assert server.calls[0].path == "/proxy/"
    assert (receipt.status, receipt.reason) == (Status.config, "endpoint_not_found")  # AWS itself has no such path


async def test_the_sandbox_is_a_dry_run(fake: Fake, server: ApiServer) -> None:
    assert (await sent(server.url, an_sms(1), sandbox=True)).status is Status.accepted
    assert fake.inputs[0]["DryRun"] is True
    assert fake.delivered == []


async def test_half_a_surrogate_pair_does_not_stop_a_message(fake: Fake, server: ApiServer) -> None:
    assert (await sent(server.url, an_sms(1, body="a\ud800b"))).status is Status.accepted
    assert fake.inputs[0]["MessageBody"] == "a?b"


@pytest.mark.parametrize("why", aws_sms_replies.REASONS)
async def test_what_a_reason_means(fake: Fake, server: ApiServer, why: str) -> None:
    fake.answers[""] = error("ConflictException", "no", Reason=why)
    receipt = await sent(server.url, an_sms(1))
    assert (receipt.status, receipt.reason) == aws_sms_replies.REASONS[why]
    assert receipt.detail == f"ConflictException ({why}): no"


@pytest.mark.parametrize("why", ["SENDER_ID_NOT_REGISTERED", "SENDER_ID_REQUIRES_REGISTRATION", "COUNTRY_NOT_ENABLED"])
def test_what_one_country_does_not_take_is_nobody_elses_trouble(why: str) -> None:
    """A run that paused for it would never get past this person."""
    assert aws_sms_replies.REASONS[why][0] is Status.rejected_recipient


@pytest.mark.parametrize("code", aws_sms_replies.ERRORS)
async def test_what_a_code_means(fake: Fake, server: ApiServer, code: str) -> None:
    fake.answers[""] = error(code, "no", Reason="SOMETHING_NEW")
    receipt = await sent(server.url, an_sms(1))
    assert (receipt.status, receipt.reason) == aws_sms_replies.ERRORS[code]


@pytest.mark.parametrize("name", aws_sms_replies.FIELDS)
async def test_what_a_field_means(fake: Fake, server: ApiServer, name: str) -> None:
    fields = [{"Name": "SomethingNew", "Message": "?"}, {"Name": name, "Message": "is not valid"}]
    fake.answers[""] = error("ValidationException", "no", Reason="INVALID_PARAMETER", Fields=fields)
    receipt = await sent(server.url, an_sms(1))
    assert (receipt.status, receipt.reason) == aws_sms_replies.FIELDS[name]


def test_what_the_tables_name_exists() -> None:
    operation: Any = aws.operation("SendTextMessage", of="pinpoint-sms-voice-v2")
    reasons = {
        value
        for shape in operation.error_shapes
        if "Reason" in shape.members
        for value in shape.members["Reason"].metadata["enum"]
    }
    assert set(aws_sms_replies.REASONS) <= reasons
    assert {shape.name for shape in operation.error_shapes} <= set(aws_sms_replies.ERRORS)
    assert set(aws_sms_replies.FIELDS) <= set(operation.input_shape.members)
    kinds = set(aws.service("pinpoint-sms-voice-v2").shape_for("EventType").metadata["enum"])
    final = {kind for kind in kinds if kind.startswith("TEXT_")} - {
        "TEXT_ALL",
        "TEXT_SENT",
        "TEXT_PENDING",
        "TEXT_QUEUED",
    }
    assert final <= set(aws_sms_events.TYPES)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (error("SomethingNew", "no"), Status.rejected_content, "other"),
        (error("SomethingNew", "no", 403), Status.config, "access_denied"),
        (error("SomethingNew", "no", 429), Status.throttled, "slow_down"),
        (error("SomethingNew", "no", 503), Status.transient, "provider_failed"),
        (Answer(504, b""), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, b"<html>"), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {}), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"MessageId": None}), Status.ambiguous, "unrecognised_answer"),
        (Answer(407, b""), Status.config, "proxy_in_the_way"),
        (Answer(408, b""), Status.transient, "try_again_later"),
        (Answer(400, {"__type": "ConflictException", "Fields": 7, "Reason": ["x"]}), Status.config, "conflict"),
    ],
)
async def test_answers_that_are_in_no_table(
    fake: Fake, server: ApiServer, answer: Answer, status: Status, reason: str
) -> None:
    fake.answers[""] = answer
    receipt = await sent(server.url, an_sms(1))
    assert (receipt.status, receipt.reason) == (status, reason)


async def test_check_says_what_it_may(fake: Fake, server: ApiServer) -> None:
    async with opened(server.url) as provider:
        assert "may not ask" in await provider.check()
        fake.tier = "SANDBOX"
        assert (
            await provider.check()
            == "signed in; in the sandbox (only verified numbers); at most 1,000 US dollars a month"
        )
        fake.tier = "PRODUCTION"
        assert await provider.check() == "signed in; at most 1,000 US dollars a month"
        fake.answers[""] = error("UnrecognizedClientException", "The security token is invalid.")
        with pytest.raises(RunTrouble) as caught:
            await provider.check()
    assert caught.value.problems[0].code == "aws-sms-credentials"


async def test_check_reaches_nobody() -> None:
    async with opened("http://127.0.0.1:1") as provider:
        with pytest.raises(RunTrouble) as caught:
            await provider.check()
    assert caught.value.problems[0].code == "aws-sms-unreachable"


@pytest.mark.parametrize(
    "fields",
    [
        {"ttl": timedelta(seconds=4)},
        {"ttl": timedelta(days=4)},
        {"max_price": "1"},
        {"message_type": "MARKETING"},
        {"origination_identity": "Acme News"},
        {"access_key_id": Secret("AKIA")},
    ],
)
def test_settings_that_can_not_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(fields)


def events(kind: str, **fields: object) -> list[Event | Confirmation]:
    message = an_event(kind, an_sms(1), NOW) | fields
    settings = Settings.model_validate({"webhook_topic_arn": TOPIC.arn})
    return AwsSms.parse_events(TOPIC.notification(message, NOW), settings)


@pytest.mark.parametrize("kind", aws_sms_events.TYPES)
def test_an_event(kind: str) -> None:
    (event,) = events(kind)
    assert isinstance(event, Event)
    assert (event.type, event.bounce, event.reason) == aws_sms_events.TYPES[kind]
    assert (event.channel, event.at, event.address) == (Channel.sms, NOW, "+4915112000001")
    assert (event.run_id, event.key) == read_correlation_id(an_sms(1).correlation_id)
    assert event.provider_id == "862a8790-60c0-4430-9b2b-658bdexample"


def test_what_bounces_for_good() -> None:
    hard = {kind for kind, (_, bounce, _) in aws_sms_events.TYPES.items() if bounce is Bounce.hard}
    assert hard == {"TEXT_INVALID", "TEXT_BLOCKED"}


@pytest.mark.parametrize("kind", ["TEXT_QUEUED", "TEXT_PENDING", "TEXT_SENT", "VOICE_COMPLETED", "SomethingNew"])
def test_what_is_not_final_is_left_out(kind: str) -> None:
    assert events(kind) == []


def test_what_the_carrier_has_is_delivered_where_nothing_more_will_come() -> None:
    assert events("TEXT_SUCCESSFUL", isFinal=False) == []
    (event,) = events("TEXT_SUCCESSFUL", isFinal=True)
    assert isinstance(event, Event)
    assert event.type is EventType.delivered


@pytest.mark.parametrize("rubbish", [None, 7, [], {}, "text", True, 1e300])
def test_rubbish_is_nothing_worse_than_nothing(rubbish: object) -> None:
    (event,) = events("TEXT_DELIVERED", eventTimestamp=rubbish, context=rubbish, messageId=rubbish)
    assert isinstance(event, Event)
    assert event.run_id is None
    assert event.at.tzinfo is not None
    assert events("TEXT_DELIVERED", eventType=rubbish) == []


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "providers" / "aws_sms.md").read_text()
    tables = (aws_sms_replies.ERRORS, aws_sms_replies.REASONS, aws_sms_replies.FIELDS, HTTP_STATUSES)
    reasons = {reason for table in tables for _, reason in table.values()}
    reasons |= {reason for _, _, reason in aws_sms_events.TYPES.values()}
    assert {reason for reason in reasons if f"`{reason}`" not in page} - {""} == set()
