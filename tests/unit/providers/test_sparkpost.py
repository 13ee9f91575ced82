"""SparkPost: what is asked, what each answer means, and what its webhooks report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from pydantic import ValidationError

from connect.channels.message import Mailbox
from connect.errors import Disposition, RunTrouble
from connect.identity import read_correlation_id
from connect.providers import sparkpost_events, sparkpost_replies
from connect.providers.events import Bounce, Event, EventsRefused, EventType, Webhook
from connect.providers.interface import Account, Receipt, Status
from connect.providers.replays import Remembered
from connect.providers.sparkpost import Settings, SparkPost
from connect.providers.sparkpost_calls import literal
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.api import Answer, ApiServer
from connect.testing.fakes.sparkpost import API_KEY, FakeSparkPost, accepted, error
from connect.testing.messages import RUN_ID, an_attachment
from connect.testing.rigs.accounts import Nobody


@pytest.fixture
def fake() -> FakeSparkPost:
    return FakeSparkPost()


@pytest.fixture
def server(fake: FakeSparkPost) -> Iterator[ApiServer]:
    with ApiServer(fake) as running:
        yield running
    assert fake.misfits == []


def account(url: str | None, **fields: object) -> Account:
    settings = Settings.model_validate({"api_key": Secret(API_KEY), "endpoint_url": url, **fields})
    return Account("mail", settings, Path(), concurrency=2, timeout=timedelta(seconds=5))


@asynccontextmanager
async def opened(url: str, **fields: object) -> AsyncIterator[SparkPost]:
    provider = SparkPost(account(url, **fields))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


async def test_a_call_is_as_documented(server: ApiServer) -> None:
    outgoing = an_email(
        1,
        subject="Grüße 🎉",
        headers=(("List-Unsubscribe", "<https://acme.example/u/1>"), ("X-Connect-ID", "c1")),
        reply_to=(Mailbox("help@acme.example", 'The "Help"'), Mailbox("more@acme.example")),
        attachments=(an_attachment(),),
    )
    async with opened(server.url) as provider:
        await provider.send([outgoing])
    (call,) = server.calls
    assert (call.method, call.path) == ("POST", "/api/v1/transmissions")
    assert call.headers["authorization"] == API_KEY
    assert call.headers["content-type"] == "application/json"
    assert "x-msys-subaccount" not in call.headers
    assert call.json == {
        "campaign_id": RUN_ID,
        "recipients": [
            {
                "address": {"email": "person-1@mail.example", "name": "Person 1"},
                "metadata": {"connect_id": outgoing.correlation_id},
            }
        ],
        "content": {
            "from": {"email": "hello@acme.example", "name": "Acme"},
            "subject": "Grüße 🎉",
            "text": "Dear person 1,\nthere is news.\n",
            "html": "<p>Dear person 1,</p><p>there is news.</p>",
            "reply_to": '"The \\"Help\\"" <help@acme.example>, more@acme.example',
            "headers": {"List-Unsubscribe": "<https://acme.example/u/1>", "X-Connect-ID": "c1"},
            "attachments": [
                {
                    "name": "Größe.pdf",
                    "type": "application/pdf",
                    "data": base64.b64encode(bytes(range(256))).decode(),
                }
            ],
        },
    }


async def test_copies_are_recipients_who_see_the_same(server: ApiServer) -> None:
    outgoing = an_email(1, cc=(Mailbox("cc@mail.example", "Zoë"),), bcc=(Mailbox("bcc@mail.example"),))
    async with opened(server.url) as provider:
        await provider.send([outgoing])
    said = server.calls[0].json
    shown = '"Person 1" <person-1@mail.example>'
    assert said["recipients"] == [
        {
            "address": {"email": "person-1@mail.example", "header_to": shown},
            "metadata": {"connect_id": outgoing.correlation_id},
        },
        {"address": {"email": "cc@mail.example", "header_to": shown}},
        {"address": {"email": "bcc@mail.example", "header_to": shown}},
    ]
    assert said["content"]["headers"] == {"CC": '"Zoë" <cc@mail.example>'}
    assert "bcc@mail.example" not in json.dumps(said["content"])


async def test_settings_reach_every_message(server: ApiServer) -> None:
    fields = {
        "subaccount": 0,
        "transactional": True,
        "ip_pool": "marketing",
        "open_tracking": False,
        "click_tracking": True,
        "return_path": "bounces@mail.acme.example",
    }
    async with opened(server.url, **fields) as provider:
        await provider.send([an_email(1)])
    (call,) = server.calls
    assert call.headers["x-msys-subaccount"] == "0"
    assert call.json["return_path"] == "bounces@mail.acme.example"
    assert call.json["options"] == {
        "transactional": True,
        "ip_pool": "marketing",
        "open_tracking": False,
        "click_tracking": True,
    }


@pytest.mark.parametrize(
    ("region", "host"), [("us", "https://api.sparkpost.com"), ("eu", "https://api.eu.sparkpost.com")]
)
def test_regions(region: str, host: str) -> None:
    assert SparkPost(account(None, region=region))._url == f"{host}/api/v1/transmissions"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((("X-One", "1"), ("x-one", "2")), "repeated_header"),
        ((("Content-Type", "text/plain"),), "header_not_allowed"),
        ((("Cc", "somebody@mail.example"),), "header_not_allowed"),
    ],
)
async def test_headers_that_the_api_can_not_carry_are_refused(
    server: ApiServer, headers: tuple[tuple[str, str], ...], reason: str
) -> None:
    async with opened(server.url) as provider:
        assert await provider.send([an_email(1, headers=headers)]) == [Receipt(Status.rejected_content, reason)]
    assert server.calls == []


async def test_braces_arrive_everywhere_as_they_were(server: ApiServer, fake: FakeSparkPost) -> None:
    text = "{{ user.name }} {{{x}}} a{b}c {} {{}} {}} {{} }{{ }}{ }}}} {{{{{ @media print{a{b:c}}"
    outgoing = an_email(
        1,
        sender=Mailbox("hello@acme.example", "{{Acme}}"),
        to=(Mailbox("person-1@mail.example", "{{Person}}"),),
        subject=text,
        text=text,
        html=f"<p>{text}</p>",
        headers=(("X-Braces", text),),
        reply_to=(Mailbox("help@acme.example", "{{help}}"),),
    )
    async with opened(server.url) as provider:
        await provider.send([outgoing])
    (delivered,) = fake.delivered
    assert (delivered["subject"], delivered["text"], delivered["html"]) == (text, text, f"<p>{text}</p>")
    assert delivered["headers"] == {"X-Braces": text}
    assert delivered["from"]["name"] == "{{Acme}}"
    assert delivered["reply_to"] == '"{{help}}" <help@acme.example>'
    assert delivered["shown"] == "{{Person}}", "what is no content is no template"


def rendered(template: str) -> str:
    """As SparkPost documents it: an expression goes from its opening braces to the first closing ones."""
    macros = {"opening_double": "{{", "closing_double": "}}", "opening_triple": "{{{", "closing_triple": "}}}"}
    found, rest = "", template
    while rest:
        before, opening, behind = rest.partition("{{")
        assert "}}" not in before
        found += before
        if not opening:
            return found
        assert not behind.startswith("{"), "three braces begin an expression that is not escaped"
        expression, closing, rest = behind.partition("}}")
        assert closing
        macro, default = re.fullmatch(r"(\w+)_curly\(\)", expression), re.fullmatch(r"\w+ or '(.)'", expression)
        found += macros[macro[1]] if macro else default[1] if default else "?"
    return found


def test_every_run_of_braces_is_written_so_that_it_is_read_again() -> None:
    for length in range(1, 8):
        for braces in product("{} ", repeat=length):
            text = f"a{''.join(braces)}b"
            assert rendered(literal(text)) == text


@pytest.mark.parametrize("text", ["", "plain", "a{b}c", "{} {}", "{ { } }", "}{"])
def test_text_without_expressions_is_left_alone(text: str) -> None:
    assert literal(text) is text


def test_single_braces_are_left_alone_beside_expressions_of_others() -> None:
    assert literal("{} {{") == "{} {{opening_double_curly()}}"


async def answered(answer: Answer) -> Receipt:
    with ApiServer(lambda _: answer) as server:
        async with opened(server.url) as provider:
            (receipt,) = await provider.send([an_email(1)])
        assert len(server.calls) == 1
    return receipt


@pytest.mark.parametrize("code", sparkpost_replies.ERRORS)
async def test_what_a_code_means(code: str) -> None:
    receipt = await answered(error(422, code, "No", "for person-1@mail.example"))
    assert (receipt.status, receipt.reason) == sparkpost_replies.ERRORS[code]
    assert receipt.detail == f"{code}: No: for ***"


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (error(400, "1902", "Message generation rejected", "recipient address was suppressed due to customer policy"),
         Status.rejected_recipient, "suppressed"),
        (error(420, "2101", "Exceed Sending Limit (hourly)"), Status.quota, "hourly_limit"),
        (error(420, "2199", "Exceed Sending Limit"), Status.quota, "sending_limit"),
        (Answer(420, b""), Status.quota, "sending_limit"),
        (Answer(401, {"errors": [{"message": "Unauthorized."}]}), Status.config, "authentication_failed"),
        (Answer(403, {"errors": [{"message": "Forbidden."}]}), Status.config, "access_denied"),
        (Answer(405, b""), Status.config, "endpoint_not_found"),
        (Answer(422, {"errors": ["odd", {"code": "9"}, {"code": 7001}]}), Status.config, "sender_not_verified"),
        (Answer(422, {"errors": "odd"}), Status.rejected_content, "other"),
        (Answer(413, b"<html>"), Status.rejected_content, "message_too_large"),
        (Answer(429, b""), Status.throttled, "slow_down"),
        (error(500, "1100", "?"), Status.transient, "provider_failed"),
        (error(503, "1900", "?"), Status.transient, "provider_failed"),
        (error(502, "1900", "?"), Status.ambiguous, "unrecognised_answer"),
        (Answer(504, b""), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, b"ok"), Status.ambiguous, "unrecognised_answer"),
        (Answer(200, {"results": {"id": "7"}}), Status.ambiguous, "unrecognised_answer"),
        (accepted(7, 2, 1), Status.undecidable, "partly_accepted"),
        (accepted(7, 0, 1), Status.rejected_recipient, "recipient_refused"),
        (accepted(7, 0, 0), Status.ambiguous, "unrecognised_answer"),
        (accepted(7), Status.accepted, ""),
    ],
)  # fmt: skip
async def test_what_an_answer_means(answer: Answer, status: Status, reason: str) -> None:
    receipt = await answered(answer)
    assert (receipt.status, receipt.reason) == (status, reason)


async def test_the_id_is_the_transmissions() -> None:
    assert (await answered(accepted(11668787484950529))).provider_id == "11668787484950529"


async def test_several_messages_go_in_calls_of_their_own(server: ApiServer) -> None:
    async with opened(server.url) as provider:
        receipts = await provider.send([an_email(1), an_email(2, to=(Mailbox("no address"),)), an_email(3)])
    assert [receipt.status for receipt in receipts] == [Status.accepted, Status.rejected_recipient, Status.accepted]
    assert len(server.calls) == 3


@pytest.mark.parametrize("key", ["", "14ac\n", "1 4", "schlüssel"])
async def test_keys_that_can_not_be_sent_are_told_before(key: str) -> None:
    """They could not stand in a header, which would be held against each message."""
    with pytest.raises(RunTrouble) as told:
        await SparkPost(account(None, api_key=Secret(key))).open()
    assert told.value.problems[0].code == "sparkpost-credentials"
    assert told.value.disposition is Disposition.pause


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            Answer(200, {"results": {"status": "active", "usage": {"day": {"used": 3, "limit": 9}}}}),
            "signed in; 3 of 9 today",
        ),
        (Answer(200, {"results": {"status": "active"}}), "signed in"),
        (Answer(200, b"odd"), "signed in"),
        (Answer(403, {}), "reachable; this key may not ask for the account (Account: Read)"),
    ],
)
async def test_check_says_what_was_found(server: ApiServer, fake: FakeSparkPost, answer: Answer, found: str) -> None:
    fake.account = answer
    async with opened(server.url) as provider:
        assert await provider.check() == found
    assert (server.calls[0].method, server.calls[0].query) == ("GET", {"include": "usage"})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(401, {}), "sparkpost-credentials"),
        (Answer(500, {}), "sparkpost-unreachable"),
        (Answer(200, {"results": {"status": "suspended"}}), "sparkpost-suspended"),
    ],
)
async def test_check_tells_what_is_wrong(server: ApiServer, fake: FakeSparkPost, answer: Answer, code: str) -> None:
    fake.account = answer
    with pytest.raises(RunTrouble) as told:
        async with opened(server.url) as provider:
            await provider.check()
    assert told.value.problems[0].code == code
    assert told.value.problems[0].hint


async def test_check_tells_that_nobody_is_there() -> None:
    with closing(Nobody()) as nobody, pytest.raises(RunTrouble) as told:
        async with opened(nobody.url) as provider:
            await provider.check()
    assert told.value.problems[0].code == "sparkpost-unreachable"


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint_url": "api.sparkpost.com"},
        {"region": "au"},
        {"subaccount": -1},
        {"return_path": "no address"},
        {"webhook_username": "sparkpost"},
        {"webhook_password": "secret"},
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": "a", **fields})


# What is reported

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SIGN_IN = {"webhook_username": "sparkpost", "webhook_password": "geheim"}


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"sparkpost:{password}".encode()).decode()}


def parsed(said: object, headers: dict[str, str] | None = None, **fields: object) -> list[Event]:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    headers = basic("geheim") if headers is None else headers
    webhook = Webhook(headers, body, "https://connect.example/hooks/mail", NOW, Remembered())
    events = SparkPost.parse_events(webhook, account(None, **(fields or SIGN_IN)).settings)
    return [event for event in events if isinstance(event, Event)]


def event(kind: str = "message_event", **fields: object) -> dict[str, object]:
    """As the documentation has it."""
    said = {
        "type": "delivery",
        "campaign_id": "Example Campaign Name",
        "customer_id": "1",
        "event_id": "92356927693813856",
        "message_id": "000443ee14578172be22",
        "msg_size": "1337",
        "rcpt_meta": {"connect_id": an_email(1).correlation_id},
        "rcpt_to": "recipient@mail.example",
        "raw_rcpt_to": "Recipient@mail.example",
        "subject": "Summer deals are here!",
        "timestamp": "1460989507",
        "transmission_id": "65832150921904138",
        **fields,
    }
    return {"msys": {kind: said}}


def test_an_event_says_what_happened_to_whom() -> None:
    (found,) = parsed([event()])
    assert found.type is EventType.delivered
    assert found.at == datetime(2016, 4, 18, 14, 25, 7, tzinfo=UTC)
    assert (found.run_id, found.key) == read_correlation_id(an_email(1).correlation_id)
    assert (found.id, found.address) == ("92356927693813856", "Recipient@mail.example")
    assert found.provider_id == "65832150921904138"
    assert (found.bounce, found.reason, found.link, found.machine) == (None, "", "", False)


@pytest.mark.parametrize("name", sparkpost_events.TYPES)
def test_each_kind_of_event(name: str) -> None:
    (found,) = parsed([event("track_event", type=name, target_link_url="https://acme.example/offer")])
    assert found.type is sparkpost_events.TYPES[name]
    assert found.link == ("https://acme.example/offer" if name in ("click", "amp_click") else "")


@pytest.mark.parametrize("name", ["injection", "delay", "initial_open", "relay_injection", "something_new", None])
def test_other_events_are_left_out(name: str | None) -> None:
    assert parsed([event(type=name)]) == []


@pytest.mark.parametrize("bounce_class", sparkpost_events.BOUNCES)
def test_each_class_of_bounces(bounce_class: str) -> None:
    for given in (bounce_class, int(bounce_class)):
        (found,) = parsed([event(type="bounce", bounce_class=given)])
        assert (found.bounce, found.reason) == sparkpost_events.BOUNCES[bounce_class]


def test_only_addresses_that_do_not_exist_bounce_hard() -> None:
    """The category "Hard" of SparkPost's table, without unsubscribes; what its own policy refuses may be our fault."""
    hard = {name for name, (bounce, _) in sparkpost_events.BOUNCES.items() if bounce is Bounce.hard}
    assert hard == {"10", "30"}


def test_mails_that_are_no_bounces() -> None:
    replies = [event(type="out_of_band", bounce_class=name) for name in ("60", "80", "100")]
    assert parsed(replies) == []
    (found,) = parsed([event(type="out_of_band", bounce_class="90")])
    assert (found.type, found.bounce) == (EventType.unsubscribed, None)


def test_a_bounce_without_a_known_class_is_soft() -> None:
    for fields in ({}, {"bounce_class": "999"}):
        (found,) = parsed([event(type="policy_rejection", **fields)])
        assert (found.bounce, found.reason) == (Bounce.soft, "other")


@pytest.mark.parametrize(
    ("agent", "machine"),
    [({"is_prefetched": True}, True), ({"is_prefetched": False, "is_proxy": True}, False), ("odd", False)],
)
def test_what_a_machine_opens_is_marked(agent: object, machine: bool) -> None:
    (found,) = parsed([event("track_event", type="open", user_agent_parsed=agent)])
    assert found.machine is machine


def test_a_batch_that_only_asks_is_answered() -> None:
    assert parsed([{"msys": {}}]) == []
    assert parsed([]) == []


def test_an_event_with_odd_values_is_read_as_far_as_it_goes() -> None:
    odd = event(
        type="click", timestamp=None, rcpt_meta=[], raw_rcpt_to=None, rcpt_to=7, target_link_url={}, event_id=""
    )
    (found,), (again,) = parsed([odd]), parsed([odd])
    assert (found.at, found.run_id, found.key, found.address, found.link) == (NOW, None, None, "", "")
    assert found.id == again.id != ""


def test_copies_are_not_the_delivery() -> None:
    (found,) = parsed([event(type="bounce", bounce_class="10", rcpt_meta={})])
    assert (found.run_id, found.key) == (None, None)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7", b"[7]", b'[{"msys": 7}]', b'[{"msys": {"a": 7}}]', b"[{}]"])
def test_what_can_not_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(EventsRefused, match="unreadable"):
        parsed(body)


@pytest.mark.parametrize(
    ("headers", "fields", "reason"),
    [
        ({}, SIGN_IN, "bad_signature"),
        (basic("guessed"), SIGN_IN, "bad_signature"),
        ({"authorization": "Bearer geheim"}, SIGN_IN, "bad_signature"),
        (basic(""), {"webhook_username": "sparkpost", "webhook_password": ""}, "not_configured"),
        (basic("geheim"), {"region": "eu"}, "not_configured"),
    ],
)
def test_who_may_not_report(headers: dict[str, str], fields: dict[str, object], reason: str) -> None:
    with pytest.raises(EventsRefused, match=reason):
        parsed([event()], headers, **fields)
