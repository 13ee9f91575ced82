"""All of a message is carried to its provider, or the message is refused; whatever characters it holds."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.channels.message import Attachment, Email, Mailbox, Outgoing, Push, Request, Sms
from connect.providers import catalog
from connect.providers.interface import Status
from connect.testing.messages import an_email
from connect.testing.passage import Line
from connect.vocabulary import Channel

NAMES = sorted(set(catalog.providers) - {"memory", "memory_idempotent", "outbox", "smtp"})
"""Those that are spoken to over HTTP."""

quick = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=NAMES, scope="module")
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with Line(request.param, tmp_path_factory.mktemp("project")) as line:
        yield line


def texts(data: bytes) -> Iterator[str]:
    """Every text in a request, unpacked as far as anybody packs them."""
    text = data.decode(errors="replace")
    yield text
    yield str(make_header(decode_header(text))) if "=?" in text and len(text) < 2000 else ""
    if text.startswith(("From: ", "--")):
        yield from _parts(data)
        return
    for leaf in _leaves(data):
        yield from texts(leaf)
        with suppress(binascii.Error, ValueError):
            unpacked = base64.b64decode(leaf, validate=True)
            yield from texts(unpacked) if len(leaf) > 20 else ()


def _leaves(data: bytes) -> Iterator[bytes]:
    try:
        trees: list[Any] = [json.loads(data)] if data[:1] in (b"{", b"[") else []
    except ValueError:
        return
    while trees:
        tree = trees.pop()
        if isinstance(tree, str):
            yield tree.encode()
        elif isinstance(tree, dict):
            trees += [*tree.keys(), *tree.values()]
        elif isinstance(tree, list):
            trees += tree


def _parts(data: bytes) -> Iterator[str]:
    """Of a MIME message, or of a form."""
    if data.startswith(b"--"):
        boundary = data[2 : data.index(b"\r\n")]
        data = b'Content-Type: multipart/form-data; boundary="%b"\r\n\r\n' % boundary + data
    for part in message_from_bytes(data, policy=policy.default).walk():
        yield from (f"{name}: {value}" for name, value in part.items())
        if not part.is_multipart():
            yield from texts(part.get_payload(decode=True) or b"")  # type: ignore[arg-type]


FILE = Attachment("Größe.pdf", "application/pdf", b"%PDF of a size" + bytes(range(128)))
FEATURES: dict[str, tuple[dict[str, object], list[str]]] = {
    "cc": ({"cc": (Mailbox("boss@else.example", "Boß, “the”"),)}, ["boss@else.example"]),
    "bcc": ({"bcc": (Mailbox("books@else.example"),)}, ["books@else.example"]),
    "reply": ({"reply_to": (Mailbox("help@acme.example", "Hilfe"),)}, ["help@acme.example", "Hilfe"]),
    "replies": (
        {"reply_to": (Mailbox("help@acme.example"), Mailbox("more@acme.example"))},
        ["help@acme.example", "more@acme.example"],
    ),
    "unsubscribe": (
        {
            "headers": (
                ("List-Unsubscribe", "<https://acme.example/u/AbC_123>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                ("X-Connect-ID", "c1.x"),
            )
        },
        ["List-Unsubscribe", "<https://acme.example/u/AbC_123>", "List-Unsubscribe=One-Click", "X-Connect-ID", "c1.x"],
    ),
    "header": (
        {"headers": (("X-Größe".replace("ö", "oe").replace("ß", "ss"), "Größe 42"),)},
        ["X-Groesse", "Größe 42"],
    ),
    "twice": ({"headers": (("X-Twice", "first"), ("x-twice", "second"))}, ["first", "second"]),
    "attachment": ({"attachments": (FILE,)}, ["Größe.pdf", "application/pdf", FILE.content.decode()]),
    "names": (
        {"sender": Mailbox("hello@acme.example", 'Zoë "Z" O’Neil; Acme, Ltd.')},
        ["Zoë", "Acme, Ltd."],
    ),
    "subject": ({"subject": "你好,世界 – {{ hi }} %recipient%"}, ["你好,世界"]),
    "text alone": ({"html": None, "text": "nothing but this"}, ["nothing but this"]),
    "html alone": ({"text": None, "html": "<b>nothing but this</b>"}, ["<b>nothing but this</b>"]),
    "blank text": ({"text": "", "html": "<b>a picture</b>"}, ["<b>a picture</b>"]),
}
"""What an e-mail may have, and what must be found of it in the request."""


@pytest.mark.parametrize("feature", FEATURES)
def test_all_of_an_email_is_carried_or_it_is_refused(line: Line, feature: str) -> None:
    if Channel.email not in line.rig.adapter.capabilities.channels:
        return
    fields_of_it, needles = FEATURES[feature]
    line.say(None)
    plain, special = an_email(1), an_email(2, **fields_of_it)
    for batch in ([special], [plain, special]) if len(line.batch) > 1 else ([special],):
        line.passage.calls.clear()
        receipt = line.send(batch)[-1]
        found = "\n".join(text for call in line.passage.calls for text in texts(call.body))
        if receipt.status is Status.rejected_content:
            assert "person-2@mail.example" not in found
        else:
            assert receipt.status is Status.accepted, receipt
            assert [needle for needle in needles if needle not in found] == []


ODD_WORDS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            [
                *(
                    "\r\n",
                    "\n",
                    "\r",
                    "\x00",
                    "\x1b",
                    "\u2028",
                    "\ud800",
                    "\udfff",
                    "\ufeff",
                    "{{",
                    "}}",
                    "{%",
                    "%recipient%",
                ),
                *(
                    '"',
                    "\\",
                    "--connect-",
                    "\r\n.\r\n",
                    "\r\nBcc: a@b.example",
                    "&To=%2B1",
                    "</",
                    "]]>",
                    "a",
                    "ß",
                    "🎉",
                ),
            ]
        ),
        max_size=30,
    ).map("".join),
)


def odd_messages(plain: Outgoing) -> st.SearchStrategy[Outgoing]:
    """What rendering may leave in a body; what goes into header fields was checked before."""
    message = plain.message
    match message:
        case Email():
            return st.builds(lambda text, html: an_email(3, text=text, html=html), ODD_WORDS, ODD_WORDS)
        case Request():
            bodies = ODD_WORDS.map(lambda text: text.encode(errors="replace"))
            return bodies.map(lambda body: replace(plain, message=replace(message, body=body)))
        case Sms():
            return ODD_WORDS.map(lambda text: replace(plain, message=replace(message, body=text.strip() or "a")))
        case Push():
            texts = st.tuples(ODD_WORDS, ODD_WORDS, ODD_WORDS)
            return texts.map(lambda odd: replace(plain, message=_odd_push(message, *odd)))


def _odd_push(push: Push, title: str, body: str, value: str) -> Push:
    return replace(push, title=title or "a", body=body or "a", data=(("order", value),))


def test_odd_words_are_sent_or_refused(line: Line) -> None:
    """And the fake at the other end finds every request in order."""
    line.say(None)
    line.rig.relent()

    @quick
    @given(st.sampled_from(line.batches).flatmap(lambda batch: st.tuples(odd_messages(batch[0]), st.just(batch))))
    def try_it(pair: tuple[Outgoing, list[Outgoing]]) -> None:
        outgoing, batch = pair
        for receipt in line.send([outgoing, *batch[1:]]):
            assert receipt.status in (Status.accepted, Status.rejected_content), receipt

    try_it()
    line.rig.arrived()  # where misfits are told
