"""Amazon SNS: which calls are made for push and text messages, and what each answer means."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.serialize import create_serializer
from pydantic import ValidationError

from connect.channels.message import Device
from connect.errors import RunTrouble
from connect.providers import sns_payload, sns_replies
from connect.providers.aws_replies import HTTP_STATUSES
from connect.providers.interface import Account, Receipt, Status
from connect.providers.sns import Settings, Sns
from connect.redact import Secret
from connect.testing import aws
from connect.testing.api import Answer, ApiServer
from connect.testing.aws import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from connect.testing.fakes.sns import DROP, error
from connect.testing.fakes.sns import Sns as Fake
from connect.testing.messages import a_push, an_sms
from connect.testing.rigs.sns import an_endpoint
from connect.vocabulary import Platform


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
async def opened(url: str, **fields: object) -> AsyncIterator[Sns]:
    given: dict[str, object] = {
        "region": REGION,
        "access_key_id": Secret(ACCESS_KEY_ID),
        "secret_access_key": Secret(SECRET_ACCESS_KEY),
        "endpoint_url": url,
    }
    settings = Settings.model_validate({**given, **fields})
    provider = Sns(Account("aws", settings, Path(), concurrency=2, timeout=timedelta(seconds=5)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def sent(url: str, outgoing: Any, **fields: object) -> Receipt:
    async with opened(url, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt


async def published(fake: Fake, server: ApiServer, outgoing: Any, **fields: object) -> dict[str, Any]:
    assert (await sent(server.url, outgoing, **fields)).status is Status.accepted
    return fake.published[-1]


def strings(attributes: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in attributes.items()}


EVERYTHING: dict[str, Any] = {
    "title": "Größe 42 🎉",
    "image": "https://acme.example/i.png",
    "badge": 0,
    "sound": "chime.caf",
    "url": "acme://offer/1",
    "ttl": timedelta(hours=1),
    "collapse_key": "offers",
}


async def test_a_message_to_an_iphone(fake: Fake, server: ApiServer) -> None:
    additions = {"aps": {"category": "OFFER", "badge": 7}, "own": {"deep": [1]}}
    outgoing = an_endpoint(0, **EVERYTHING, ios=additions)
    assert await published(fake, server, outgoing) == {
        "TargetArn": outgoing.message.address,
        "MessageStructure": "json",
        "Message": {
            "default": "There is something new for person 0",
            "APNS": {
                "aps": {
                    "alert": {"title": "Größe 42 🎉", "body": "There is something new for person 0"},
                    "badge": 7,
                    "sound": "chime.caf",
                    "mutable-content": 1,
                    "category": "OFFER",
                },
                "image": "https://acme.example/i.png",
                "url": "acme://offer/1",
                "order": "JS-0",
                "own": {"deep": [1]},
            },
        },
        "MessageAttributes": {
            "AWS.SNS.MOBILE.APNS.TTL": {"DataType": "String", "StringValue": "3600"},
            "AWS.SNS.MOBILE.APNS.PUSH_TYPE": {"DataType": "String", "StringValue": "alert"},
            "AWS.SNS.MOBILE.APNS.COLLAPSE_ID": {"DataType": "String", "StringValue": "offers"},
        },
    }


async def test_a_message_to_an_android(fake: Fake, server: ApiServer) -> None:
    outgoing = an_endpoint(1, **EVERYTHING, android={"priority": "high", "notification": {"color": "#ff0000"}})
    found = await published(fake, server, outgoing)
    assert found["Message"]["GCM"] == {
        "fcmV1Message": {
            "message": {
                "notification": {
                    "title": "Größe 42 🎉",
                    "body": "There is something new for person 1",
                    "image": "https://acme.example/i.png",
                },
                "data": {"order": "JS-1", "url": "acme://offer/1"},
                "android": {
                    "notification": {"sound": "chime.caf", "notification_count": 0, "color": "#ff0000"},
                    "ttl": "3600s",
                    "collapse_key": "offers",
                    "priority": "high",
                },
            }
        }
    }
    assert strings(found["MessageAttributes"]) == {"AWS.SNS.MOBILE.FCM.TTL": "3600"}


async def test_an_iphone_may_be_firebases(fake: Fake, server: ApiServer) -> None:
    outgoing = an_endpoint(0, "GCM", sound="chime.caf")
    device = Device(outgoing.message.address, Platform.ios, "sns_arn")
    found = await published(fake, server, a_push(0, device=device, sound="chime.caf"))
    inner = found["Message"]["GCM"]["fcmV1Message"]["message"]
    assert inner["apns"]["payload"]["aps"]["sound"] == "chime.caf"
    assert "android" not in inner


async def test_a_message_with_as_little_as_possible(fake: Fake, server: ApiServer) -> None:
    found = await published(fake, server, an_endpoint(1, body="", data=()))
    assert found["Message"] == {
        "default": "News 1",
        "GCM": {"fcmV1Message": {"message": {"notification": {"title": "News 1"}}}},
    }
    assert "MessageAttributes" not in found


@pytest.mark.parametrize("service", ["APNS_SANDBOX", "MACOS", "MACOS_SANDBOX"])
async def test_each_service_of_apples_has_keys_of_its_own(fake: Fake, server: ApiServer, service: str) -> None:
    found = await published(fake, server, an_endpoint(0, service, ttl=timedelta(0)))
    assert set(found["Message"]) == {"default", service}
    assert strings(found["MessageAttributes"])[f"AWS.SNS.MOBILE.{service}.TTL"] == "0"


@pytest.mark.parametrize(
    ("outgoing", "status", "reason"),
    [
        (a_push(1), Status.rejected_recipient, "not_an_endpoint"),
        (
            a_push(1, device=Device("arn:aws:sns:eu-west-1:123456789012:everybody")),
            Status.rejected_recipient,
            "not_an_endpoint",
        ),
        (
            a_push(1, device=Device("arn:aws:sns:eu-west-1:123456789012:app/APNS/acme")),
            Status.rejected_recipient,
            "not_an_endpoint",
        ),
        (an_endpoint(0, "BAIDU"), Status.rejected_recipient, "unsupported_platform"),
        (an_endpoint(0, "ADM"), Status.rejected_recipient, "unsupported_platform"),
        (an_endpoint(0, body="x" * 4096), Status.rejected_content, "payload_too_large"),
        (an_endpoint(1, body="ö" * 2048), Status.rejected_content, "payload_too_large"),
        (an_endpoint(0, data=(("aps", "1"),)), Status.rejected_content, "reserved_data_key"),
        (an_endpoint(1, data=(("url", "1"),), url="acme://"), Status.rejected_content, "reserved_data_key"),
        (an_endpoint(0, collapse_key="x" * 65), Status.rejected_content, "bad_collapse_key"),
    ],
)
async def test_what_can_not_be_published(
    fake: Fake, server: ApiServer, outgoing: Any, status: Status, reason: str
) -> None:
    receipt = await sent(server.url, outgoing)
    assert (receipt.status, receipt.reason) == (status, reason)
    assert server.calls == []


async def test_a_text_message(fake: Fake, server: ApiServer) -> None:
    outgoing = an_sms(1, body="Größe 42 & mehr = 50 %+\n🎉", sender="")
    found = await published(
        fake, server, outgoing, sms_type="Transactional", sender="Acme", max_price="0.10", session_token=Secret("token")
    )
    assert found == {
        "PhoneNumber": "+4915112000001",
        "Message": "Größe 42 & mehr = 50 %+\n🎉",
        "MessageAttributes": {
            "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"},
            "AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": "Acme"},
            "AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": "0.10"},
        },
    }
    operation = aws.operation("Publish", of="sns")
    botocores = create_serializer("query").serialize_to_request(found, operation)
    (call,) = server.calls
    assert dict(call.form) == botocores["body"]
    assert call.headers["content-type"] == botocores["headers"]["Content-Type"]
    assert (call.method, call.path) == (botocores["method"], botocores["url_path"])


@pytest.mark.parametrize(
    ("own", "accounts", "expected"),
    [
        ("", None, {}),
        ("Acme", None, {"AWS.SNS.SMS.SenderID": "Acme"}),
        ("Acme", "+4915100000", {"AWS.SNS.SMS.SenderID": "Acme"}),
        ("", "+4915100000", {"AWS.MM.SMS.OriginationNumber": "+4915100000"}),
        ("12345", "Acme", {"AWS.MM.SMS.OriginationNumber": "12345"}),
    ],
)
async def test_the_contents_own_sender_wins(
    fake: Fake, server: ApiServer, own: str, accounts: str | None, expected: dict[str, str]
) -> None:
    found = await published(fake, server, an_sms(1, sender=own), sender=accounts)
    assert strings(found["MessageAttributes"]) == {"AWS.SNS.SMS.SMSType": "Promotional", **expected}


@pytest.mark.parametrize(
    ("code", "words", "http_status", "status", "reason"),
    [
        ("EndpointDisabled", "Endpoint is disabled", 400, Status.rejected_recipient, "unregistered"),
        (
            "InvalidParameter",
            "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified",
            400,
            Status.rejected_recipient,
            "unregistered",
        ),
        (
            "InvalidParameter",
            "Invalid parameter: TargetArn Reason: it is elsewhere",
            400,
            Status.rejected_recipient,
            "bad_endpoint",
        ),
        (
            "InvalidParameter",
            "Invalid parameter: PhoneNumber Reason: +1 is not valid to publish to",
            400,
            Status.rejected_recipient,
            "invalid_number",
        ),
        ("InvalidParameter", "Invalid parameter: Message too long", 400, Status.rejected_content, "message_too_large"),
        ("InvalidParameter", "Invalid parameter: SenderID", 400, Status.config, "sender_not_found"),
        ("InvalidParameter", "Invalid parameter: what", 400, Status.rejected_content, "invalid_parameter"),
        ("PlatformApplicationDisabled", "", 400, Status.config, "platform_application_disabled"),
        ("AuthorizationError", "not authorized", 403, Status.config, "access_denied"),
        ("SignatureDoesNotMatch", "no", 403, Status.config, "authentication_failed"),
        ("RequestExpired", "no", 400, Status.config, "clock_is_wrong"),
        ("Throttled", "Rate exceeded", 400, Status.throttled, "slow_down"),
        ("Throttling", "Rate exceeded", 400, Status.throttled, "slow_down"),
        ("InternalError", "", 500, Status.transient, "provider_failed"),
        ("SomethingNew", "", 418, Status.rejected_content, "other"),
        ("SomethingNew", "", 503, Status.transient, "provider_failed"),
        ("SomethingNew", "", 502, Status.ambiguous, "unrecognised_answer"),
    ],
)
async def test_what_an_error_means(
    fake: Fake, server: ApiServer, code: str, words: str, http_status: int, status: Status, reason: str
) -> None:
    fake.answers[""] = error(code, words, http_status)
    receipt = await sent(server.url, an_endpoint(1))
    assert (receipt.status, receipt.reason) == (status, reason)
    assert receipt.detail.startswith(code)


async def test_what_is_not_found_is_an_endpoint_or_a_mistake(fake: Fake, server: ApiServer) -> None:
    fake.answers[""] = error("NotFound", "no", 404)
    assert (await sent(server.url, an_endpoint(1))).reason == "unregistered"
    assert (await sent(server.url, an_sms(1))).status is Status.config


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"<PublishResponse><PublishResult></PublishResult></PublishResponse>",
        b'<?xml version="1.0" encoding="utf-9"?><a/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><MessageId>&b;</MessageId>'.encode(
            "utf-16"
        ),
        b'<!DOCTYPE a [<!ENTITY b "c">]><PublishResponse><MessageId>&b;</MessageId></PublishResponse>',
    ],
)
async def test_an_answer_that_is_none(fake: Fake, server: ApiServer, body: bytes) -> None:
    fake.answers[""] = Answer(200, body)
    assert (await sent(server.url, an_sms(1))).status is Status.ambiguous


async def test_a_call_that_is_not_answered_is_not_repeated(fake: Fake, server: ApiServer) -> None:
    fake.answers[""] = DROP
    assert (await sent(server.url, an_sms(1))).status is Status.ambiguous
    assert len(server.calls) == 1


def test_every_error_of_the_model_is_mapped() -> None:
    codes = {shape.metadata["error"]["code"] for shape in aws.operation("Publish", of="sns").error_shapes}
    assert codes <= set(sns_replies.ERRORS)


async def test_check_says_what_it_may(fake: Fake, server: ApiServer) -> None:
    async with opened(server.url) as provider:
        assert "may not ask" in await provider.check()
        fake.applications = ()
        assert await provider.check() == "signed in; no platform application for push; text messages"
        fake.in_sandbox = True
        fake.applications = ("arn:aws:sns:eu-west-1:1:app/GCM/acme", "arn:aws:sns:eu-west-1:1:app/APNS/acme")
        assert (
            await provider.check()
            == "signed in; push to APNS, GCM; text messages in the sandbox (only verified numbers)"
        )
        for answer, code in (
            (error("InvalidClientTokenId", "no", 403), "sns-credentials"),
            (Answer(200, b"<html>"), "sns-unreachable"),
        ):
            fake.answers[""] = answer
            with pytest.raises(RunTrouble) as caught:
                await provider.check()
            assert caught.value.problems[0].code == code


@pytest.mark.parametrize("fields", [{"sms_type": "Marketing"}, {"max_price": "1"}, {"access_key_id": Secret("AKIA")}])
def test_settings_that_can_not_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(fields)


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "providers" / "sns.md").read_text()
    reasons = {reason for table in (sns_replies.ERRORS, HTTP_STATUSES) for _, reason in table.values()}
    reasons |= {reason for _, (_, reason) in sns_replies.BY_WORDS}
    reasons |= set(re.findall(r'Receipt\(Status\.\w+, "(\w+)"\)', inspect.getsource(sns_payload)))
    assert {reason for reason in reasons if f"`{reason}`" not in page} - {""} == set()
