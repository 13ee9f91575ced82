"""APNs: which requests are made, over how many connections, and what each answer means for each message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from pydantic import ValidationError

from connect.channels.message import Device, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers import apns_payload, apns_replies
from connect.providers.apns import Apns, Settings
from connect.providers.interface import Account, Receipt, Status
from connect.redact import Secret
from connect.testing.fakes.apns import Answer, ApnsServer, Push, Trouble
from connect.testing.messages import a_push
from connect.testing.rigs.apns import KEY, TEAM, TOPIC, a_key
from connect.vocabulary import Platform

PRIVATE, PUBLIC = a_key()


@pytest.fixture
def server() -> Iterator[ApnsServer]:
    with ApnsServer(PUBLIC, team_id=TEAM, key_id=KEY, topic=TOPIC) as running:
        yield running


@asynccontextmanager
async def opened(server: ApnsServer, seconds: float = 20, **fields: object) -> AsyncIterator[Apns]:
    provider = Apns(account(server, seconds, **fields))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def account(server: ApnsServer, seconds: float = 20, **fields: object) -> Account:
    given: dict[str, object] = {
        "team_id": TEAM,
        "key_id": KEY,
        "private_key": Secret(PRIVATE),
        "topic": TOPIC,
        "endpoint_url": server.url,
        "ca_file": str(server.ca_file),
    }
    settings = Settings.model_validate({**given, **fields})
    return Account("ios", settings, Path(), concurrency=200, timeout=timedelta(seconds=seconds))


async def sent(server: ApnsServer, outgoing: Outgoing, **fields: object) -> tuple[Receipt, Push]:
    """What became of one message that was written."""
    async with opened(server, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    return receipt, server.pushes[-1]


async def refused_unsent(server: ApnsServer, outgoing: Outgoing, **fields: object) -> tuple[Status, str]:
    async with opened(server, **fields) as provider:
        (receipt,) = await provider.send([outgoing])
    assert server.pushes == []
    return receipt.status, receipt.reason


async def test_a_request_as_apple_documents_it(server: ApnsServer) -> None:
    outgoing = a_push(
        0,
        title="Größe 42",
        body="Für dich 🎉",
        badge=3,
        sound="default",
        image="https://acme.example/a.png",
        url="acme://orders/1",
        data=(("order", "JS-1"),),
        collapse_key="orders",
        ios={"aps": {"thread-id": "orders", "alert": {"subtitle": "Neu"}}, "deep": {"er": [1, None]}},
    )
    receipt, push = await sent(server, outgoing)
    assert receipt == Receipt(Status.accepted, provider_id=push.headers["apns-id"])
    headers = dict(push.headers)
    assert headers.pop("authorization") == f"bearer {headers_token(server)}"
    assert headers == {
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-id": apns_payload.apns_id(outgoing.key),
        "apns-collapse-id": "orders",
        "accept": "*/*",
        "user-agent": "connect-campaigns",
        "content-length": str(len(push.body)),
    }
    assert push.token == outgoing.message.address
    assert push.json == {
        "aps": {
            "alert": {"title": "Größe 42", "body": "Für dich 🎉", "subtitle": "Neu"},
            "badge": 3,
            "sound": "default",
            "mutable-content": 1,
            "thread-id": "orders",
        },
        "image": "https://acme.example/a.png",
        "url": "acme://orders/1",
        "order": "JS-1",
        "deep": {"er": [1, None]},
    }
    assert "🎉".encode() in push.body, "as UTF-8: escapes would count against the limit"
    assert server.misfits == []


def headers_token(server: ApnsServer) -> str:
    (token,) = server.provider_tokens
    return token


async def test_a_plain_message_says_no_more_than_it_has_to(server: ApnsServer) -> None:
    _, push = await sent(server, a_push(0, title="", body="News", data=()))
    assert push.body == b'{"aps":{"alert":{"body":"News"}}}'
    assert "apns-expiration" not in push.headers


async def test_a_repeated_message_has_the_same_ids(server: ApnsServer) -> None:
    async with opened(server) as provider:
        for number in (0, 0, 1):
            await provider.send([a_push(number)])
    first, again, other = ((push.headers["apns-id"], push.headers["apns-collapse-id"]) for push in server.pushes)
    assert first == again != other
    assert UUID(first[0]).version == 5
    assert first[1] == a_push(0).key.hex()


@pytest.mark.parametrize(
    ("ttl", "expiration"),
    [(timedelta(0), "0"), (timedelta(milliseconds=3), "0"), (timedelta(hours=6), str(1_800_000_000 + 6 * 3600))],
)
async def test_how_long_it_is_kept(
    server: ApnsServer, ttl: timedelta, expiration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, server, 1_800_000_000)
    _, push = await sent(server, a_push(0, ttl=ttl))
    assert push.headers["apns-expiration"] == expiration


def at(monkeypatch: pytest.MonkeyPatch, server: ApnsServer, ours: float, theirs: float | None = None) -> None:
    """What the clocks show."""
    monkeypatch.setattr("connect.providers.apns.time", SimpleNamespace(time=lambda: ours))
    server.clock(lambda: ours if theirs is None else theirs)


async def test_of_which_kind_and_how_urgent(server: ApnsServer) -> None:
    _, push = await sent(server, a_push(0), push_type="background", priority="5")
    assert (push.headers["apns-push-type"], push.headers["apns-priority"]) == ("background", "5")
    assert server.misfits == []


@pytest.mark.parametrize("address", ["", "../../3/device/aa", "aa/bb", "ä" * 64, "a" * 201, "zz", "aa\n"])
async def test_what_can_not_be_a_token_is_not_asked(server: ApnsServer, address: str) -> None:
    outgoing = a_push(0, device=Device(address, Platform.ios))
    assert await refused_unsent(server, outgoing) == (Status.rejected_recipient, "bad_device_token")


@pytest.mark.parametrize("key", ["x" * 65, "Angebote für dich", "a\r\nb: c", " padded"])
async def test_a_collapse_key_that_no_header_can_carry_is_refused(server: ApnsServer, key: str) -> None:
    assert await refused_unsent(server, a_push(0, collapse_key=key)) == (Status.rejected_content, "bad_collapse_key")


@pytest.mark.parametrize("data", [(("aps", "x"),), (("url", "x"),), (("image", "x"),)])
async def test_data_does_not_push_anything_aside(server: ApnsServer, data: tuple[tuple[str, str], ...]) -> None:
    outgoing = a_push(0, data=data, url="acme://1", image="https://acme.example/a.png")
    assert await refused_unsent(server, outgoing) == (Status.rejected_content, "reserved_data_key")


async def test_data_may_have_the_name_of_what_is_not_there(server: ApnsServer) -> None:
    receipt, push = await sent(server, a_push(0, data=(("url", "the app's"),)))
    assert (receipt.status, push.json["url"]) == (Status.accepted, "the app's")


@pytest.mark.parametrize(("push_type", "most"), [("alert", 4096), ("voip", 5120)])
async def test_a_payload_is_measured_before_it_is_sent(server: ApnsServer, push_type: str, most: int) -> None:
    room = most - len('{"aps":{"alert":{"body":""}}}')
    fits, over = (
        a_push(0, title="", body="ß" * (room // 2) + "x" * more, data=()) for more in (room % 2, room % 2 + 1)
    )
    too_large = (Status.rejected_content, "payload_too_large")
    assert await refused_unsent(server, over, push_type=push_type) == too_large
    server.answer(Answer())
    receipt, push = await sent(server, fits, push_type=push_type)
    assert (receipt.status, len(push.body)) == (Status.accepted, most)


async def test_characters_that_utf_8_does_not_have_do_no_harm(server: ApnsServer) -> None:
    receipt, _ = await sent(server, a_push(0, body="half \ud83d"))
    assert receipt.status is Status.accepted


@pytest.mark.parametrize("reason", sorted(apns_replies.REASONS.keys() - {apns_replies.EXPIRED}))
async def test_every_reason_has_its_meaning(server: ApnsServer, reason: str) -> None:
    server.answer(Answer(400, reason))
    receipt, _ = await sent(server, a_push(0))
    assert (receipt.status, receipt.reason) == apns_replies.REASONS[reason]
    assert server.delivered == []


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer(400, "SomethingNew"), Status.rejected_content, "other"),
        (Answer(403, "SomethingNew"), Status.config, "access_denied"),
        (Answer(410), Status.rejected_recipient, "unregistered"),
        (Answer(429, headers={"retry-after": "7"}), Status.throttled, "slow_down"),
        (Answer(500), Status.transient, "provider_failed"),
        (Answer(502), Status.ambiguous, "unrecognised_answer"),
        (Answer(301), Status.config, "redirected"),
        (Answer(204), Status.ambiguous, "unrecognised_answer"),  # APNs says 200, and nothing else
    ],
)
async def test_answers_without_a_reason_that_is_known(
    server: ApnsServer, answer: Answer, status: Status, reason: str
) -> None:
    server.answer(answer)
    receipt, _ = await sent(server, a_push(0))
    assert (receipt.status, receipt.reason, receipt.detail) == (status, reason, answer.reason)
    assert receipt.retry_after == (timedelta(seconds=7) if answer.headers else None)


@pytest.mark.parametrize("status", [200, 429])
async def test_a_field_that_is_not_ascii_is_passed_over(server: ApnsServer, status: int) -> None:
    server.answer(Answer(status, headers={"x-greeting": "é", "retry-after": "7"}))
    receipt, push = await sent(server, a_push(0))
    if status == 200:
        assert receipt == Receipt(Status.accepted, provider_id=push.headers["apns-id"])
    else:
        assert (receipt.status, receipt.retry_after) == (Status.throttled, timedelta(seconds=7))


# Connections


async def test_a_hundred_requests_at_a_time_are_on_one_connection(server: ApnsServer) -> None:
    async with opened(server) as provider:
        await provider.send([a_push(0)])
        server.hold(100)  # they are answered only if they are all under way
        receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(100)))
    assert {receipt.status for (receipt,) in receipts} == {Status.accepted}
    assert (server.connections, len(server.provider_tokens)) == (1, 1)


async def test_a_crowd_at_the_door_makes_one_connection(server: ApnsServer) -> None:
    """And many at the moment in which a server leaves."""
    server.answer(Trouble.leave, Answer(), token=a_push(300).message.address)
    async with opened(server) as provider:
        receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(400)))
    assert {receipt.status for (receipt,) in receipts} == {Status.accepted}
    assert len(server.delivered) == 400
    assert server.connections <= 3


@pytest.mark.parametrize("trouble", [Trouble.refused, Trouble.leave, Trouble.leave_calm])
async def test_what_apns_says_it_did_not_process_goes_again(server: ApnsServer, trouble: Trouble) -> None:
    async with opened(server) as provider:
        await provider.send([a_push(0)])
        server.answer(trouble)
        ((receipt,),) = [await provider.send([a_push(1)])]
        server.forget_answers()
        ((again,),) = [await provider.send([a_push(1)])]
    assert (receipt.status, receipt.reason) == (Status.transient, "turned_away")
    assert again.status is Status.accepted
    assert len(server.delivered) == 2


@pytest.mark.parametrize("trouble", [Trouble.leave_late, Trouble.reset, Trouble.drop])
async def test_what_apns_may_have_processed_is_in_doubt(server: ApnsServer, trouble: Trouble) -> None:
    async with opened(server) as provider:
        await provider.send([a_push(0)])
        server.answer(trouble)
        ((receipt,),) = [await provider.send([a_push(1)])]
    assert (receipt.status, receipt.reason) == (Status.ambiguous, "connection_lost_after_write")
    assert len(server.pushes) == 2, "and nothing is asked twice"


async def test_who_waits_behind_a_first_request_without_an_answer_was_not_written(server: ApnsServer) -> None:
    server.answer(Trouble.hang)
    for seconds in (0.4, 4, 40):  # on a busy machine a short one is over before anything was written
        async with opened(server, seconds=seconds) as provider:
            receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(5)))
        if server.pushes:
            break
    statuses = sorted(receipt.status for (receipt,) in receipts)
    assert statuses == [Status.ambiguous] + [Status.transient] * 4
    assert len(server.pushes) == 1


# The provider token's end


async def test_a_token_that_has_expired_by_their_clock_is_renewed_once(
    server: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is 35 minutes behind: half an hour after its time, the token is too old there, and one of 20 minutes not."""
    now = 1_800_000_000 // 2400 * 2400 + 30 * 60
    at(monkeypatch, server, now, now + 35 * 60)
    async with opened(server) as provider:
        receipts = await asyncio.gather(*(provider.send([a_push(number)]) for number in range(20)))
        before = len(server.pushes)
        (later,) = await provider.send([a_push(20)])
    assert {receipt.status for (receipt,) in receipts} == {Status.accepted} == {later.status}
    assert len(server.delivered) == 21
    assert len(server.pushes) - before == 1
    assert len(server.provider_tokens) == 1, "the one that was good"


@pytest.mark.parametrize("minutes", [10, 30])  # with, and without, a younger token
async def test_a_clock_that_is_far_off_is_a_persons_to_mend(
    server: ApnsServer, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000 // 2400 * 2400 + minutes * 60
    at(monkeypatch, server, now, now + 2 * 3600)
    receipt, _ = await sent(server, a_push(0))
    assert (receipt.status, receipt.reason) == (Status.config, "clock_is_wrong")
    assert len(server.pushes) == (1 if minutes == 10 else 2)


# Settings, opening, checking


@pytest.mark.parametrize(
    "fields",
    [
        {"push_type": "background"},
        {"priority": 7},
        {"environment": "test"},
        {"push_type": "Alert"},
        {"endpoint_url": "http://localhost"},
        {"team_id": ""},
        {"tpic": "x"},
    ],
)
def test_settings_that_can_not_work_are_refused(server: ApnsServer, fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        account(server, **fields)


def test_where_it_is_sent(server: ApnsServer) -> None:
    hosts = {
        environment: Apns(account(server, environment=environment, endpoint_url=None))._url
        for environment in ("production", "sandbox")
    }
    assert hosts == {
        "production": "https://api.push.apple.com/3/device/",
        "sandbox": "https://api.sandbox.push.apple.com/3/device/",
    }


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"private_key": "no key at all"}, "apns-private-key"),
        ({"private_key": PUBLIC}, "apns-private-key"),
        ({"ca_file": "not/there.pem"}, "apns-ca-file"),
        ({"ca_file": __file__}, "apns-ca-file"),
    ],
)
async def test_settings_that_turn_out_not_to_work(server: ApnsServer, fields: dict[str, str], code: str) -> None:
    with pytest.raises(RunTrouble) as caught:
        async with opened(server, **fields):
            pass
    (problem,) = caught.value.problems
    assert (problem.code, caught.value.disposition) == (code, Disposition.pause)
    assert problem.hint
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "which might show the key"


async def checked(server: ApnsServer, **fields: object) -> str:
    """What check says, or the code and the hint of its trouble."""
    provider = Apns(account(server, **fields))
    try:
        return await provider.check()
    except RunTrouble as trouble:
        return f"{trouble.problems[0].code}: {trouble.problems[0].hint}"
    finally:
        await provider.close()


async def test_check_asks_about_a_device_that_nobody_has(server: ApnsServer) -> None:
    assert await checked(server) == f"signed in; {TOPIC}, production"
    (push,) = server.pushes
    assert (push.token, push.json) == ("0" * 64, {"aps": {}})
    assert (server.delivered, server.misfits) == ([], [])


async def test_check_says_what_is_wrong(server: ApnsServer) -> None:
    assert (await checked(server, topic="somebody.elses")).startswith("apns-refused: `topic`")
    assert (await checked(server, private_key=a_key()[0])).startswith("apns-refused: `private_key`")
    assert (await checked(server, endpoint_url="https://localhost:1")).startswith("apns-unreachable: ")
    server.answer(Answer(503, "Shutdown"))
    assert (await checked(server)).startswith("apns-unreachable: ")


async def test_a_webhook_that_never_comes(server: ApnsServer) -> None:
    """APNs reports nothing afterwards."""
    assert not hasattr(Apns, "parse_events")


async def test_nothing_of_a_message_is_in_an_unknown_reason(server: ApnsServer) -> None:
    outgoing = a_push(7)
    server.answer(Answer(400, f"Bad {outgoing.message.address} for {json.dumps(outgoing.message.title)}"))
    receipt, _ = await sent(server, outgoing)
    assert receipt.detail == "Bad *** for ***" or "***" in receipt.detail
    assert outgoing.message.address not in receipt.detail
