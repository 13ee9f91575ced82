"""FCM: which calls are made, how access tokens are come by, and what each answer means for each message."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connect.channels.message import Device, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers import fcm_replies
from connect.providers.fcm import Fcm, Settings
from connect.providers.fcm_message import camel
from connect.providers.interface import Account, Receipt, Status
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer, Call
from connect.testing.fakes.fcm import PROJECT, FcmFake, error, refusal
from connect.testing.messages import a_push
from connect.testing.rigs.apns import a_key
from connect.vocabulary import Platform


@dataclass
class Google:
    fake: FcmFake
    server: ApiServer

    @property
    def calls(self) -> list[Call]:
        """Those that send."""
        return [call for call in self.server.calls if call.path != "/token"]

    def account(self, seconds: float = 20, *, sandbox: bool = False, **fields: object) -> Account:
        key = Secret(self.fake.service_account(self.server.url))
        settings = Settings.model_validate({"service_account": key, "endpoint_url": self.server.url, **fields})
        return Account("android", settings, Path(), 100, timedelta(seconds=seconds), sandbox=sandbox)


@pytest.fixture
def google() -> Iterator[Google]:
    fake = FcmFake()
    with ApiServer(fake.answer) as server:
        yield Google(fake, server)


@asynccontextmanager
async def opened(account: Account) -> AsyncIterator[Fcm]:
    provider = Fcm(account)
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def sent(google: Google, outgoing: Outgoing, **fields: Any) -> Receipt:
    async with opened(google.account(**fields)) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt


async def message(google: Google, outgoing: Outgoing) -> dict[str, Any]:
    """As it went out, and fits the discovery document."""
    assert (await sent(google, outgoing)).status is Status.accepted
    assert google.fake.misfits == []
    return google.fake.delivered[-1]


def full(platform: Platform | None, **fields: object) -> Outgoing:
    given: dict[str, object] = {
        "device": Device("token:1", platform),
        "title": "Größe 42",
        "body": "Für dich 🎉",
        "data": (("order", "JS-1"),),
        "image": "https://acme.example/a.png",
        "badge": 3,
        "sound": "chime.wav",
        "url": "https://acme.example/orders/1",
        "ttl": timedelta(hours=6),
        "collapse_key": "orders",
        "android": {"notification": {"channel_id": "offers"}, "direct_boot_ok": True, "data": {"snake_case": "x"}},
        "ios": {"aps": {"thread-id": "orders"}},
    }
    return a_push(0, **{**given, **fields})


NOTIFICATION = {"title": "Größe 42", "body": "Für dich 🎉", "image": "https://acme.example/a.png"}
DATA = {"order": "JS-1", "url": "https://acme.example/orders/1"}
ANDROID = {
    "notification": {"tag": "orders", "sound": "chime.wav", "notificationCount": 3, "channelId": "offers"},
    "ttl": "21600s",
    "collapseKey": "orders",
    "directBootOk": True,
    "data": {"snake_case": "x"},
}
WEBPUSH = {
    "notification": {"tag": "orders"},
    "headers": {"TTL": "21600", "Topic": "orders"},
    "fcmOptions": {"link": "https://acme.example/orders/1"},
}


async def test_an_android_gets_its_block_alone(google: Google) -> None:
    made = await message(google, full(Platform.android))
    assert made == {"token": "token:1", "notification": NOTIFICATION, "data": DATA, "android": ANDROID}
    (call,) = google.calls
    assert call.path == f"/v1/projects/{PROJECT}/messages:send"
    assert call.headers["authorization"] == "Bearer ya29.access-0"
    assert call.headers["content-type"] == "application/json"
    assert "🎉".encode() in call.body, "as UTF-8: escapes would count against the limit"


async def test_an_iphone_gets_its_block_alone(google: Google) -> None:
    began = int(time.time())
    made = await message(google, full(Platform.ios))
    expires = int(made["apns"]["headers"].pop("apns-expiration"))
    assert began + 6 * 3600 <= expires <= time.time() + 6 * 3600
    assert made == {
        "token": "token:1",
        "notification": NOTIFICATION,
        "data": DATA,
        "apns": {
            "headers": {"apns-collapse-id": "orders"},
            "payload": {"aps": {"badge": 3, "sound": "chime.wav", "mutable-content": 1, "thread-id": "orders"}},
        },
    }


async def test_a_browser_gets_its_block_alone(google: Google) -> None:
    made = await message(google, full(Platform.web))
    assert made == {"token": "token:1", "notification": NOTIFICATION, "data": DATA, "webpush": WEBPUSH}


async def test_a_device_of_which_nothing_is_known_gets_all_of_them(google: Google) -> None:
    made = await message(google, full(None))
    assert (made["android"], made["webpush"]) == (ANDROID, WEBPUSH)
    assert made["apns"]["payload"]["aps"]["badge"] == 3


async def test_a_plain_message_says_no_more_than_it_has_to(google: Google) -> None:
    outgoing = a_push(1, title="", body="News", data=())
    made = await message(google, outgoing)
    assert made == {
        "token": outgoing.message.address,
        "notification": {"body": "News"},
        "android": {"notification": {"tag": outgoing.key.hex()}},
    }


@pytest.mark.parametrize(
    ("device", "field"),
    [
        (Device("cAbc0123456789_-ABCDEF"), "fid"),
        (Device("dAbc0123456789_-ABCDEF", kind="fcm_token"), "token"),
        (Device("anything", kind="fcm_fid"), "fid"),
        (Device("gAbc0123456789_-ABCDEF"), "token"),
        (Device("cAbc0123456789_-ABCDEFG"), "token"),
        (Device("cAbc0123456789_-ABCDEF:APA91bH" + "x" * 120), "token"),
    ],
)
async def test_a_token_or_an_installation(google: Google, device: Device, field: str) -> None:
    made = await message(google, a_push(0, device=device))
    assert made[field] == device.address
    assert ("token" in made) != ("fid" in made)


async def test_no_longer_than_fcm_keeps_anything(google: Google) -> None:
    made = await message(google, a_push(0, device=Device("t"), ttl=timedelta(days=90)))
    assert (made["android"]["ttl"], made["webpush"]["headers"]["TTL"]) == ("2419200s", "2419200")


async def test_now_or_never(google: Google) -> None:
    made = await message(google, a_push(0, device=Device("t"), ttl=timedelta(0)))
    assert (made["android"]["ttl"], made["apns"]["headers"]["apns-expiration"]) == ("0s", "0")


async def test_a_key_that_browsers_can_not_take_has_one_that_stands_for_it(google: Google) -> None:
    made = [await message(google, full(Platform.web, collapse_key=key)) for key in ("für dich", "für dich", "für alle")]
    first, again, other = (each["webpush"]["headers"]["Topic"] for each in made)
    assert first == again != other
    assert len(first) == 32


async def test_a_link_of_the_apps_own_is_only_in_the_data(google: Google) -> None:
    made = await message(google, full(Platform.web, url="acme://orders/1"))
    assert "fcmOptions" not in made["webpush"]
    assert made["data"]["url"] == "acme://orders/1"


async def test_a_label_groups_reports(google: Google) -> None:
    assert (await sent(google, a_push(0), analytics_label="spring~sale")).status is Status.accepted
    assert google.fake.delivered[0]["fcmOptions"] == {"analyticsLabel": "spring~sale"}
    assert google.fake.misfits == []


def test_names_are_as_in_the_reference() -> None:
    tree = {"click_action": 1, "data": {"a_b": "c_d"}, "light_settings": {"light_on_duration": [1]}, "ttl": "3s"}
    assert camel(tree) == {
        "clickAction": 1,
        "data": {"a_b": "c_d"},
        "lightSettings": {"lightOnDuration": [1]},
        "ttl": "3s",
    }


@pytest.mark.parametrize("name", ["from", "message_type", "google.x", "gcm.notification.x", "url"])
async def test_words_that_fcm_keeps_for_itself(google: Google, name: str) -> None:
    receipt = await sent(google, a_push(0, data=((name, "x"),), url="acme://1"))
    assert (receipt.status, receipt.reason) == (Status.rejected_content, "reserved_data_key")
    assert google.calls == []


async def test_a_payload_is_measured_before_it_is_sent(google: Google) -> None:
    """Without the address; of three platforms' blocks the largest counts."""
    device = Device("t" * 300)
    fixed = len('{"notification":{"body":""}}') + len('{"headers":{"apns-collapse-id":""}}') + 32
    fits, over = (a_push(0, device=device, title="", body="x" * (4096 - fixed + more), data=()) for more in (0, 1))
    assert (await sent(google, fits)).status is Status.accepted
    receipt = await sent(google, over)
    assert (receipt.status, receipt.reason) == (Status.rejected_content, "payload_too_large")
    assert len(google.calls) == 1


async def test_additions_that_the_reference_does_not_have_are_what_the_fake_finds(google: Google) -> None:
    receipt = await sent(google, a_push(0, device=Device("t"), android={"notification": {"colour": "#fff"}}))
    assert (receipt.status, receipt.reason) == (Status.rejected_content, "invalid_argument")
    assert google.fake.misfits == ["message.android.notification: additionalProperties"]


# What FCM says


@pytest.mark.parametrize("code", sorted(fcm_replies.ERRORS))
async def test_every_error_has_its_meaning(google: Google, code: str) -> None:
    google.fake.reply(refusal(400, code, "in other words"))
    receipt = await sent(google, a_push(0))
    assert (receipt.status, receipt.reason) == fcm_replies.ERRORS[code]
    assert receipt.detail == "in other words"


@pytest.mark.parametrize("code", sorted(fcm_replies.CODES))
async def test_every_code_without_an_error_has_its_meaning(google: Google, code: str) -> None:
    google.fake.reply(error(499, code, ""))
    receipt = await sent(google, a_push(0))
    assert (receipt.status, receipt.reason) == fcm_replies.CODES[code]


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("message.token", Status.rejected_recipient),
        ("message.fid", Status.rejected_recipient),
        ("message.data", Status.rejected_content),
        ("", Status.rejected_content),
    ],
)
async def test_an_argument_is_the_devices_only_where_that_is_said(google: Google, field: str, status: Status) -> None:
    google.fake.reply(refusal(400, "INVALID_ARGUMENT", "The registration token is not valid", field=field))
    receipt = await sent(google, a_push(0))
    assert receipt.status is status
    assert receipt.reason == ("bad_device_token" if status is Status.rejected_recipient else "invalid_argument")


OTHER = (Status.rejected_content, "other")


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer(400, b"<html>no</html>"), Status.rejected_content, "other"),
        (Answer(400, {"error": {"status": "NEW", "details": [{"fieldViolations": "?"}, 7]}}), *OTHER),
        (Answer(500, {"error": "?"}), Status.transient, "provider_failed"),
        (Answer(502, b""), Status.ambiguous, "unrecognised_answer"),
        (Answer(302, b""), Status.config, "redirected"),
        (Answer(200, b"fine"), Status.ambiguous, "unrecognised_answer"),  # somebody else's word
        (Answer(200, {}), Status.ambiguous, "unrecognised_answer"),
        (Answer(204, b""), Status.ambiguous, "unrecognised_answer"),
        (DROP, Status.ambiguous, "connection_lost_after_write"),
    ],
)
async def test_answers_of_another_shape(google: Google, answer: Answer, status: Status, reason: str) -> None:
    google.fake.reply(answer)
    receipt = await sent(google, a_push(0))
    assert (receipt.status, receipt.reason) == (status, reason)


@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"retry-after": "17"}, 17)])
async def test_how_long_to_wait(google: Google, headers: dict[str, str], seconds: int) -> None:
    google.fake.reply(refusal(429, "QUOTA_EXCEEDED", "", headers=headers))
    assert (await sent(google, a_push(0))).retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("violation", "meaning"),
    [
        ({"subject": "device", "description": "Device message rate exceeded"}, (Status.transient, "device_slow_down")),
        ({"subject": "project", "description": "Message rate exceeded"}, (Status.throttled, "slow_down")),
        ({"description": 7}, (Status.throttled, "slow_down")),
        ("odd", (Status.throttled, "slow_down")),
    ],
)
async def test_a_quota_of_one_device_makes_nobody_else_wait(
    google: Google, violation: object, meaning: tuple[Status, str]
) -> None:
    details = [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "QUOTA_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
    ]
    google.fake.reply(error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", *details))
    receipt = await sent(google, a_push(0))
    assert (receipt.status, receipt.reason) == meaning


async def test_a_message_has_an_id(google: Google) -> None:
    assert (await sent(google, a_push(0))).provider_id == "0:1"


async def test_the_sandbox_only_validates(google: Google) -> None:
    assert (await sent(google, a_push(0), sandbox=True)).status is Status.accepted
    assert (len(google.fake.validated), google.fake.delivered) == (1, [])


# Access tokens


async def test_a_crowd_shares_one_access_token(google: Google) -> None:
    async with opened(google.account()) as provider:
        receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(50)))
    assert {receipt.status for (receipt,) in receipts} == {Status.accepted}
    assert len(google.fake.tokens) == 1


async def test_a_token_is_renewed_before_it_runs_out(google: Google) -> None:
    """Within its last five minutes, which is all that this one has."""
    google.fake.lifetime = 200
    async with opened(google.account()) as provider:
        await provider.send([a_push(0)])
        google.fake.lifetime = 3599
        for number in (1, 2):
            await provider.send([a_push(number)])
    assert len(google.fake.tokens) == 2
    assert len(google.fake.delivered) == 3


async def test_a_token_that_is_still_good_outlives_trouble_with_the_next(google: Google) -> None:
    google.fake.lifetime = 200
    async with opened(google.account()) as provider:
        await provider.send([a_push(0)])
        google.fake.token_answer = Answer(503, b"")
        (receipt,) = await provider.send([a_push(1)])
    assert receipt.status is Status.accepted


async def test_a_token_that_was_taken_back_is_replaced_once(google: Google) -> None:
    async with opened(google.account()) as provider:
        await provider.send([a_push(0)])
        google.fake.tokens.append("another one is good now")
        receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(1, 20)))
    assert {receipt.status for (receipt,) in receipts} == {Status.accepted}
    assert len(google.fake.tokens) == 3
    assert len(google.fake.delivered) == 20


async def test_a_token_that_is_never_good_is_a_persons_to_mend(google: Google) -> None:
    google.fake.reply(error(401, "UNAUTHENTICATED", "who are you"))
    async with opened(google.account()) as provider:
        (receipt,) = await provider.send([a_push(0)])
    assert (receipt.status, receipt.reason) == (Status.config, "authentication_failed")
    assert (len(google.fake.tokens), len(google.calls)) == (2, 2)


async def test_credentials_for_apples_devices_are_not_ours(google: Google) -> None:
    google.fake.reply(refusal(401, "THIRD_PARTY_AUTH_ERROR", ""))
    receipt = await sent(google, a_push(0))
    assert (receipt.status, receipt.reason) == (Status.config, "third_party_auth")
    assert (len(google.fake.tokens), len(google.calls)) == (1, 1)


@pytest.mark.parametrize("lifetime", ["1e999", "9" * 400, "NaN", "-1", "null", "true"])
async def test_a_token_may_be_said_to_last_for_any_time(google: Google, lifetime: str) -> None:
    answer = b'{"access_token": "ya29.access-0", "expires_in": %b}' % lifetime.encode()
    google.fake.tokens, google.fake.token_answer = ["ya29.access-0"], Answer(200, answer)
    assert (await sent(google, a_push(0))).status is Status.accepted


CLOCK = "Invalid JWT: Token must be a short-lived token (60 minutes). Check your iat and exp values in the JWT claim."


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer(400, {"error": "invalid_grant", "error_description": CLOCK}), Status.config, "clock_is_wrong"),
        (Answer(401, {"error": "invalid_client"}), Status.config, "authentication_failed"),
        (Answer(404, b"not here"), Status.config, "endpoint_not_found"),
        (Answer(429, b""), Status.transient, "no_access_token"),
        (Answer(500, b"[]"), Status.transient, "no_access_token"),
        (Answer(200, {"access_token": 7}), Status.transient, "no_access_token"),
        (DROP, Status.transient, "no_access_token"),
        (HANG, Status.transient, "no_access_token"),
    ],
)
async def test_without_a_token_nothing_was_written(google: Google, answer: Answer, status: Status, reason: str) -> None:
    google.fake.token_answer = answer
    receipt = await sent(google, a_push(0), seconds=0.4 if answer is HANG else 20)
    assert (receipt.status, receipt.reason) == (status, reason)
    assert google.calls == []


# Settings, opening, checking


@pytest.mark.parametrize("fields", [{"project_id": "a/b"}, {"analytics_label": "two words"}, {"projet": "x"}])
def test_settings_that_can_not_work_are_refused(google: Google, fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        google.account(**fields)


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "authorized_user"},
        {"private_key": "no key"},
        {"private_key": a_key()[0]},  # of another kind
        {"client_email": None, "private_key": None},
    ],
)
async def test_what_is_no_service_account(google: Google, changed: dict[str, object]) -> None:
    text = google.fake.service_account(google.server.url, **changed)
    await no_service_account(google, text)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"'])
async def test_what_is_no_json_of_one(google: Google, text: str) -> None:
    await no_service_account(google, text)


async def no_service_account(google: Google, text: str) -> None:
    with pytest.raises(RunTrouble) as caught:
        async with opened(google.account(service_account=Secret(text))):
            pass
    assert caught.value.problems[0].code == "fcm-service-account"
    assert caught.value.disposition is Disposition.pause
    assert caught.value.__context__ is None, "which might show the key"


async def test_the_project_may_be_another(google: Google) -> None:
    receipt = await sent(google, a_push(0), project_id="some-other")
    assert (receipt.status, receipt.reason) == (Status.config, "project_not_found")
    assert google.calls[0].path == "/v1/projects/some-other/messages:send"


async def checked(account: Account) -> str:
    """What check says, or the code and the message of its trouble."""
    provider = Fcm(account)
    try:
        return await provider.check()
    except RunTrouble as trouble:
        (problem,) = trouble.problems
        return f"{problem.code}: {problem.message}" if problem.hint else "no hint"
    finally:
        await provider.close()


async def test_check_validates_a_message_to_nobody(google: Google) -> None:
    assert await checked(google.account()) == f"signed in; project {PROJECT}"
    assert google.fake.misfits == []
    assert json.loads(google.calls[0].body)["validateOnly"] is True
    assert google.fake.delivered == []


async def test_check_says_what_is_wrong(google: Google) -> None:
    assert await checked(google.account(project_id="other")) == "fcm-refused: FCM: project_not_found (NOT_FOUND)"
    google.fake.reply(error(403, "PERMISSION_DENIED", "the API is not switched on"))
    assert await checked(google.account()) == "fcm-refused: FCM: access_denied (PERMISSION_DENIED)"
    google.fake.reply(Answer(503, b""))
    assert await checked(google.account()) == "fcm-unreachable: FCM: provider_failed (503)"
    google.fake.token_answer = Answer(401, b"")
    assert await checked(google.account()) == "fcm-refused: FCM: authentication_failed"
    google.fake.token_answer = None
    assert await checked(google.account(endpoint_url="http://localhost:1")) == "fcm-unreachable: FCM: unreachable"


def test_the_sandbox_is_a_capability() -> None:
    assert Fcm.capabilities.sandbox
    assert Fcm.capabilities.platforms == frozenset(Platform)
