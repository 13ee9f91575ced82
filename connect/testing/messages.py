"""Messages for tests: invented people, and everything that a mailbox makes of Unicode."""

from __future__ import annotations

import hashlib

from connect.channels.message import Attachment, Device, Email, Mailbox, Message, Outgoing, Push, Request, Sms
from connect.identity import correlation_id, message_key
from connect.vocabulary import Channel, Platform

RUN_ID = "01lg030gehin6t3j"
"""The run of every message here; it says 2026-11-20 where a provider reads the time from it."""

_SECRET = b"only for tests"


def an_email(number: int = 0, **fields: object) -> Outgoing:
    """An e-mail to person `number`; fields are those of `Email`, and replace the invented ones."""
    given: dict[str, object] = {
        "sender": Mailbox("hello@acme.example", "Acme"),
        "to": (Mailbox(f"person-{number}@mail.example", f"Person {number}"),),
        "subject": f"Offer number {number}",
        "message_id": f"{number}.{RUN_ID}@acme.example",
        "text": f"Dear person {number},\nthere is news.\n",
        "html": f"<p>Dear person {number},</p><p>there is news.</p>",
    }
    email = Email(**{**given, **fields})  # type: ignore[arg-type]
    return outgoing(email, Channel.email, email.to[0].address)


def an_sms(number: int = 0, **fields: object) -> Outgoing:
    """A text message to person `number`."""
    given: dict[str, object] = {"to": f"+4915112{number:06d}", "body": f"News for person {number}", "sender": "Acme"}
    sms = Sms(**{**given, **fields})  # type: ignore[arg-type]
    return outgoing(sms, Channel.sms, sms.to)


def a_push(number: int = 0, **fields: object) -> Outgoing:
    """A push message to the device of person `number`; every other one is an Android."""
    given: dict[str, object] = {
        "device": Device(hashlib.sha256(f"device {number}".encode()).hexdigest(), tuple(Platform)[number % 2]),
        "title": f"News {number}",
        "body": f"There is something new for person {number}",
        "data": (("order", f"JS-{number}"),),
    }
    push = Push(**{**given, **fields})  # type: ignore[arg-type]
    return outgoing(push, Channel.push, push.address)


def a_request(number: int = 0, **fields: object) -> Outgoing:
    """A request about person `number`, to the account's own endpoint."""
    given: dict[str, object] = {"to": "", "body": b'{"person": "Person %d", "offer": %d}' % (number, number)}
    request = Request(**{**given, **fields})  # type: ignore[arg-type]
    return outgoing(request, Channel.http, f"person-{number}")


MAKE = {Channel.email: an_email, Channel.sms: an_sms, Channel.push: a_push, Channel.http: a_request}
"""By channel."""


def outgoing(message: Message, channel: Channel, address: str) -> Outgoing:
    """A message as the pipeline hands it over: with a key of its own, the same each time."""
    key = message_key(_SECRET, hashlib.sha256(repr(message).encode()).hexdigest(), channel, address)
    return Outgoing(key, correlation_id(RUN_ID, key), channel, message)


def unusual_emails() -> list[Outgoing]:
    """E-mails that have broken mailers before: scripts, directions, emoji, dots, long lines, quotes."""
    return [
        an_email(1, subject="Größe 42 – für dich, Zoë 🎉", text="Grüße\n", html="<p>Grüße 👋🏽</p>"),
        an_email(2, to=(Mailbox("person-2@mail.example", '李 小龙, "Bruce"'),), subject="你好,世界", text="你好\n"),
        an_email(3, subject="مرحبا بالعالم", text="מה שלומך؟\n", html="<p dir=rtl>مرحبا</p>"),
        an_email(4, text=".\n..\n.leading dots\nFrom the start\n", html="<p>.\n.</p>"),
        an_email(5, text="long " * 2000, html=f"<p>{'x' * 5000}</p>"),
        an_email(6, subject="e\u0301 \u200b \U0001f469\u200d\U0001f469\u200d\U0001f467", text="\u2028 \ufeff\n"),
        an_email(
            7, subject="{{ user.name }} {% raw %} ${HOME} %s", text="{{s}} {{{t}}} \\u0041\n", html="<p>{{h}}</p>"
        ),
        an_email(8, html=None),
        an_email(9, text=None),
    ]


def an_attachment() -> Attachment:
    return Attachment("Größe.pdf", "application/pdf", bytes(range(256)))
