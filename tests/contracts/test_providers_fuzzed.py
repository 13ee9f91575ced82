"""Whatever a provider says, or somebody says in its name, an adapter has an answer to.

Genuine replies and webhooks are taken from the rigs and changed in every way: values of other shapes, numbers without
end, halves of characters, JSON that goes on and on inside itself, other statuses and header fields.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers import catalog
from connect.providers.events import (
    CertificateWanted,
    Confirmation,
    Event,
    EventsRefused,
    EventType,
    Webhook,
    parse_events_of,
)
from connect.providers.interface import ProviderSettings, Receipt, Status
from connect.redact import Secret
from connect.testing import ProviderRig, rigs
from connect.testing.api import ApiServer
from connect.testing.messages import MAKE
from connect.testing.passage import Line, Passage, Said, sent_once
from connect.testing.providers import Happened, ReportingRig
from connect.vocabulary import Channel

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NAMES = sorted(set(catalog.providers) - {"memory", "memory_idempotent", "outbox", "smtp"})
"""Those that are spoken to over HTTP; what odd servers say to `smtp` has tests of its own."""

# FUZZ=5000 looks further than a test does that is run with all others.
quick = settings(
    max_examples=int(os.environ.get("FUZZ", "60")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# JSON of other shapes


DEEP = "\x01deep", "\x01deeper", "\x01deepest"
RAW: dict[str, bytes] = {
    "\x01endless": b"9" * 5000,
    "\x01long": b"9" * 4000,
    "\x01infinite": b"-1e999",
    "\x01nan": b"NaN",
    DEEP[0]: b"[" * 880 + b"]" * 880,
    DEEP[1]: b'{"a":' * 930 + b"1" + b"}" * 930,
    DEEP[2]: b"[" * 100_000,
    "\x01half": b'"\\ud83d and \\udcff"',
    "\x01nothing": b'"a\\u0000b"',
}
"""What no value of Python becomes: a mark → what takes its place."""

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 10**30, 0.5, 1e300, "", " ", "0", "-1", "OK", "success", "id", [], {}]),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(sorted(RAW)),
    st.sampled_from([[None], [[]], [{}], {"": None}, {"code": 1}, ["a", 1], "x" * 20_000, "[" * 3000, "(" * 3000]),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "99999999999999999", "1e400", "\ud800"]),
)

Path_ = tuple[str | int, ...]


def places(tree: object, here: Path_ = ()) -> Iterator[Path_]:
    """Where something stands in it, itself included."""
    yield here
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in inner:
        yield from places(value, (*here, name))


def changed(tree: Any, path: Path_, change: Callable[[Any], Any]) -> Any:
    """A copy in which one place is another."""
    if not path:
        return change(tree)
    copy = tree.copy()
    copy[path[0]] = changed(tree[path[0]], path[1:], change)
    return copy


def without(tree: Any, path: Path_) -> Any:
    def less(parent: Any) -> Any:
        copy = parent.copy()
        del copy[path[-1]]
        return copy

    return changed(tree, path[:-1], less) if path else None


def written(tree: object) -> bytes:
    data = json.dumps(tree).encode()
    for mark, raw in RAW.items():
        data = data.replace(json.dumps(mark).encode(), raw)
    return data


@st.composite
def trees(draw: st.DrawFn, tree: Any) -> bytes:
    """JSON like this, of another shape."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(tree))))
        match draw(st.integers(0, 4)):
            case 0:
                tree = without(tree, path)
            case 1:
                tree = changed(tree, path, lambda value: [value, value])
            case _:
                odd = draw(ODD)
                tree = changed(tree, path, lambda value: odd)  # noqa: B023 (called at once)
    return written(tree)


@st.composite
def bytes_like(draw: st.DrawFn, data: bytes) -> bytes:
    """The same, cut short, or with something else in its middle."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, len(data)))
    put = draw(st.sampled_from([b"", b"\xff", b"\x00", b"\xf0\x9f\x98", b"<", b'"', b"}", b"]", b"&=&", b"%00%"]))
    return draw(st.sampled_from([data[:start], data[:start] + put + data[start:], data[:start] + put + data[end:]]))


JUNK = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b"[]",
    b"{}",
    b'""',
    b"[[]]",
    b"[{}]",
    b'{"a": 1}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"<html><body>Bad gateway</body></html>",
    b'<?xml version="1.0" encoding="utf-9"?><a/>',
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
    b"<a>" * 50_000,
    b"OK",
    *RAW.values(),
)
"""What is not the provider's, or says nothing."""


def like(data: bytes) -> st.SearchStrategy[bytes]:
    try:
        tree = json.loads(data)
    except ValueError:
        return st.one_of(bytes_like(data), st.sampled_from(JUNK), st.binary(max_size=40))
    return st.one_of(trees(tree), trees(tree), trees(tree), bytes_like(data), st.sampled_from(JUNK))


# Replies


@pytest.fixture(params=NAMES, scope="module")
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with Line(request.param, tmp_path_factory.mktemp("project")) as line:
        yield line


STATUSES = [
    *(200, 201, 202, 203, 204, 206, 299, 300, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408),
    *(409, 410, 411, 413, 415, 418, 420, 422, 423, 425, 426, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507),
    *(511, 520, 522, 524, 529, 530, 599),
]

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-message-id", "x-amzn-errortype", "apns-id"),
            *("content-type", "date", "x-y"),
        ]
    ),
    st.one_of(
        st.sampled_from(
            ["", "0", "-1", "7", "1.5", "9" * 400, "99999", "1e9", "inf", "nan", "1-Jan- 10:00:00 GMT", "٣", "a, b"]
        ),
        st.sampled_from(
            ["Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 1 Jan 0001 00:00:00 +2359", "1 Jan 99999999999 1:1:1"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20).map(str.strip),
    ),
    max_size=3,
).map(lambda found: tuple(found.items()))


def told(receipt: Receipt) -> str:
    return f"{receipt.reason}\n{receipt.detail}\n{receipt.provider_id}"


def check(receipt: Receipt) -> None:
    """A receipt that the pipeline, the ledger and a terminal can do something with."""
    assert isinstance(receipt.status, Status)
    assert re.fullmatch(r"([a-z][a-z0-9_]*)?", receipt.reason)
    assert receipt.reason or receipt.status is Status.accepted
    assert receipt.retry_after is None or timedelta() <= receipt.retry_after <= timedelta(days=1)
    assert type(receipt.provider_id) is type(receipt.detail) is str
    assert len(receipt.detail) <= 200
    assert receipt.detail.isprintable()
    receipt.provider_id.encode()


def test_every_reply_is_a_receipt_for_each_message(line: Line) -> None:
    replies = st.sampled_from(line.genuine).flatmap(
        lambda said: st.builds(Said, st.sampled_from([said.status] * 30 + STATUSES), HEADERS, like(said.body))
    )

    @quick
    @given(replies, st.integers(0, len(line.batches) - 1))
    def try_it(said: Said, which: int) -> None:
        batch = line.batches[which]
        line.say(said)
        for receipt, outgoing in zip(line.send(batch), batch, strict=True):
            check(receipt)
            assert not (outgoing.message.address and outgoing.message.address in told(receipt))
        if not 400 <= said.status < 500:  # something may have been accepted
            assert len(line.passage.calls) <= 1

    try_it()


PROOFS = {"apns": {200}, "sendgrid": {202}, "http": set(range(200, 300))}
"""Where a status alone says that a message was accepted, whatever comes with it."""
REFUSALS = {Status.rejected_content, Status.rejected_recipient, Status.config}
NOT_NOW = {Status.transient, Status.throttled, Status.quota}


def expected(name: str, status: int) -> set[Status]:
    """What a reply may mean that says nothing but its status."""
    if status in PROOFS.get(name, ()):
        return {Status.accepted}
    if status < 300:
        return {Status.ambiguous}
    if status < 400:
        return {Status.config, Status.ambiguous}
    if status in (401, 403, 404, 407):
        return {Status.config, Status.transient}
    if status in (408, 425, 429, 402, 420):
        return NOT_NOW | REFUSALS
    if status == 409:
        return REFUSALS | {Status.ambiguous}
    if status in (500, 503):
        return {Status.transient, Status.ambiguous}
    return REFUSALS if status < 500 else {Status.ambiguous}


def test_nothing_is_made_out_of_junk(line: Line) -> None:
    """No acceptance without a proof of it, and no second try of what may have been accepted."""

    @quick
    @given(st.sampled_from(STATUSES), st.integers(0, len(JUNK) - 1), st.integers(0, len(line.batches) - 1))
    def try_it(status: int, said: int, which: int) -> None:
        line.say(Said(status, (), JUNK[said]))
        for receipt in line.send(line.batches[which]):
            check(receipt)
            assert receipt.status in expected(line.name, status), f"{status} {receipt}"

    try_it()


def test_whatever_is_said_to_doctor_is_an_answer_or_a_remedy(line: Line) -> None:
    line.say(None)
    line.passage.kept.clear()
    assert line.check()

    @quick
    @given(
        st.sampled_from(line.passage.kept or line.genuine).flatmap(
            lambda said: st.builds(Said, st.sampled_from([said.status] * 30 + STATUSES), HEADERS, like(said.body))
        )
    )
    def try_it(said: Said) -> None:
        line.say(said)
        try:
            told = line.check()
        except RunTrouble as trouble:
            told = trouble.problems[0].hint
        assert told

    try_it()


def test_whoever_hands_out_access_tokens_may_say_anything(tmp_path: Path) -> None:
    """Google, for FCM, at a place of its own."""
    good = json.dumps({"access_token": "ya29.access-0", "expires_in": 3599, "token_type": "Bearer"}).encode()
    bad = json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}).encode()
    with rigs.rig("fcm", tmp_path) as rig, asyncio.Runner() as runner:
        passage = Passage("")
        with ApiServer(passage) as server:
            account = rig.account()
            known = json.loads(account.settings.service_account.reveal())  # type: ignore[attr-defined]
            moved = Secret(json.dumps({**known, "token_uri": f"{server.url}/token"}))
            account = replace(account, settings=account.settings.model_copy(update={"service_account": moved}))

            @settings(quick, max_examples=20)
            @given(st.sampled_from([200] * 9 + STATUSES), HEADERS, st.sampled_from([good, bad]).flatmap(like))
            def try_it(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
                passage.instead = Said(status, headers, body)
                (receipt,) = runner.run(sent_once(rig.adapter(account), [MAKE[Channel.push](0)]))
                check(receipt)
                assert receipt.status is not Status.ambiguous  # where there is no token, nothing is written

            try_it()


# Webhooks


REPORTING = [name for name in NAMES if parse_events_of(catalog.load(name))]
UNSIGNED = {"mailjet", "postmark", "sparkpost"}
"""They prove who they are by a password, and nothing of what they say."""


class Hook:
    """A rig's webhooks, and what reads them."""

    def __init__(self, rig: ProviderRig) -> None:
        self.rig: ReportingRig = rig  # type: ignore[assignment]  # as its adapter is
        self.settings = rig.account().settings
        self.genuine = [self.rig.webhook([each], NOW) for each in _happened(self.rig, rig)]

    def said(self, webhook: Webhook) -> bytes:
        return self.rig.said(webhook) if hasattr(self.rig, "said") else webhook.body

    def read(self, webhook: Webhook, settings: ProviderSettings | None = None) -> list[Event | Confirmation] | str:
        """The events, or why there are none."""
        parse = parse_events_of(self.rig.adapter)  # type: ignore[attr-defined]
        assert parse is not None
        try:
            return parse(webhook, settings or self.settings)
        except EventsRefused as refused:
            return refused.reason
        except CertificateWanted:
            return "certificate_wanted"


def _happened(rig: ReportingRig, other: ProviderRig) -> Iterator[Happened]:
    (channel,) = other.adapter.capabilities.channels
    for number, type in enumerate(sorted(rig.reports)):
        link = "https://acme.example/offer" if type is EventType.clicked else ""
        kinds = sorted(rig.bounces) if type is EventType.bounced else [None]
        for kind in kinds:
            yield Happened(type, MAKE[channel](number), kind, link)


@pytest.fixture(params=REPORTING)
def hook(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hook]:
    with rigs.rig(request.param, tmp_path) as rig:
        yield Hook(rig)


def check_event(event: Event | Confirmation) -> None:
    """An event that a ledger can keep."""
    assert isinstance(event, Event)
    assert event.at.astimezone(UTC)
    assert event.id
    assert re.fullmatch(r"([a-z][a-z0-9_]*)?", event.reason)
    assert (event.run_id is None) is (event.key is None)
    assert event.run_id is None or re.fullmatch(r"[0-9a-v]{16}", event.run_id)
    assert event.key is None or len(event.key) == 16
    for each in fields(event):
        value = getattr(event, each.name)
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode()
    for name in ("id", "address", "link", "provider_id", "reason"):
        assert isinstance(getattr(event, name), str)
    assert type(event.machine) is bool


def contents(data: bytes) -> st.SearchStrategy[bytes]:
    """What somebody might report instead."""
    if data[:1] in b"[{":
        return like(data)
    pairs = dict(parse_qsl(data.decode()))
    values = st.one_of(st.sampled_from(["", "delivered", "30005", "9" * 5000, "\x00", "é"]), st.text(max_size=9))
    names = st.one_of(st.sampled_from(sorted(pairs)), st.text(max_size=5))
    forms = st.dictionaries(names, values, max_size=4).map(
        lambda odd: urlencode({**pairs, **odd}, errors="replace").encode()
    )
    return st.one_of(forms, bytes_like(data), st.sampled_from(JUNK))


def test_whatever_is_reported_is_read_or_refused(hook: Hook) -> None:
    said = [hook.said(webhook) for webhook in hook.genuine]
    assert all(isinstance(hook.read(hook.rig.saying(content, NOW)), list) for content in said)

    @quick
    @given(st.sampled_from(said).flatmap(contents))
    def try_it(content: bytes) -> None:
        events = hook.read(hook.rig.saying(content, NOW))
        for event in events if isinstance(events, list) else []:
            check_event(event)

    try_it()


ODD_TEXTS = st.one_of(
    st.sampled_from(["", " ", "0", "9" * 5000, "-1", "nan", "1e999", "\ud800", "\x00", "Basic", "Bearer ", "é", "٣"]),
    st.sampled_from(["eyJhIjp" + "bW1t" * 3000, "W1tb" * 3000 + ".e30.e30", "application/json", "text/plain"]),
    st.text(max_size=20),
)
URLS = st.sampled_from(
    ["", "https://[", "//", "?", "https://[/?token=a&bodySHA256=b", "\ud800", "https://a.example/?a=\x00"]
)


@st.composite
def others(draw: st.DrawFn, webhook: Webhook) -> Webhook:
    """One that somebody made out of this one."""
    match draw(st.integers(0, 5)):
        case 0:
            return replace(webhook, url=draw(URLS))
        case 1:
            name = draw(st.sampled_from([*webhook.headers, "content-type", "authorization"]))
            return replace(webhook, headers={**webhook.headers, name: draw(ODD_TEXTS)})
        case 2:
            name = draw(st.sampled_from(sorted(webhook.headers)))
            cut = draw(st.integers(0, 200))
            return replace(webhook, headers={**webhook.headers, name: webhook.headers[name][:cut] + draw(ODD_TEXTS)})
        case 3:
            query = draw(
                st.sampled_from(
                    ["&connect_id=c1.01lg030gehin6t3j.AAAAAAAAAAAAAAAAAAAAAA", "&token=a", "#", "&bodySHA256=a"]
                )
            )
            return replace(webhook, url=webhook.url + query)
    return replace(webhook, body=draw(contents(webhook.body)))


def test_nobody_changes_a_webhook_and_is_believed(hook: Hook, request: pytest.FixtureRequest) -> None:
    known = [(webhook, hook.read(webhook)) for webhook in hook.genuine]
    signed = request.node.callspec.params["hook"] not in UNSIGNED

    @quick
    @given(st.sampled_from(known).flatmap(lambda pair: st.tuples(others(pair[0]), st.just(pair[1]))))
    def try_it(pair: tuple[Webhook, object]) -> None:
        webhook, before = pair
        after = hook.read(webhook)
        if signed and not isinstance(after, str):
            assert after == before

    try_it()


PUBLIC = {"aws_sms", "sendgrid", "ses"}
"""They prove who they are by what nobody has to keep secret here."""


def test_what_everybody_knows_is_no_secret(hook: Hook, request: pytest.FixtureRequest) -> None:
    """A blank one is as good as none, also to whoever signs with it."""
    if request.node.callspec.params["hook"] in PUBLIC:
        return
    blank = {name: Secret("") for name, value in hook.settings if isinstance(value, Secret)}
    for webhook in hook.genuine:
        assert hook.read(webhook, hook.settings.model_copy(update=blank)) == "not_configured"


# Settings


def a_message(rig: ProviderRig) -> Outgoing:
    channel = sorted(rig.adapter.capabilities.channels)[0]
    return getattr(rig, "make", MAKE)[channel](0)  # type: ignore[no-any-return]


ONLY_SIGN = {"secret_access_key"}
"""Secrets that are in no request: these fakes do not ask whether a signature is right."""


@pytest.mark.parametrize("odd", ["line\nbreak", "a\x00", "\ud800"])
@pytest.mark.parametrize("name", NAMES)
async def test_secrets_that_no_request_can_carry_are_the_accounts_trouble(name: str, odd: str, tmp_path: Path) -> None:
    """Nobody is marked failed for them."""
    with rigs.rig(name, tmp_path) as rig:
        account = rig.account()
        for field_name, value in account.settings:
            if not isinstance(value, Secret) or field_name.startswith("webhook_") or field_name in ONLY_SIGN:
                continue
            settings = account.settings.model_copy(update={field_name: Secret(odd)})
            provider = rig.adapter(replace(account, settings=settings))
            try:
                (receipt,) = await sent_once(provider, [a_message(rig)])
                assert receipt.status is Status.config, f"{field_name}: {receipt}"
            except RunTrouble:
                pass
