"""Rendered messages as they are shown before anybody gets them: for a page, and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from connect.channels.message import Email, Mailbox, Message, Push, Request, Sms
from connect.channels.segments import encoding, first_outside
from connect.reports.pages import Shown
from connect.vocabulary import Channel


def shown(message: Message, label: str, notes: tuple[str, ...] = ()) -> Shown:
    """The message for a page; `label` says where it comes from."""
    match message:
        case Email():
            to = ", ".join(map(_mailbox, message.to))
            sender, subject = _mailbox(message.sender), message.subject
            return Shown(Channel.email, to, sender, subject, "", message.html, message.text, label, notes)
        case Sms():
            return Shown(
                *(Channel.sms, message.to, message.sender, "", "", None, message.body, label, notes),
                segments=message.segments,
            )
        case Push():
            return _push(message, label, notes)
        case Request():
            return Shown(
                *(Channel.http, message.to, "", "", "", None, pretty(message.body), label, notes),
                method=message.method,
                headers=_headers(message),
                options=(("signed", "yes, with a secret of its own"),) if message.signing_secret else (),
            )


def _push(push: Push, label: str, notes: tuple[str, ...]) -> Shown:
    device = push.device
    return Shown(
        *(Channel.push, device.address, "", push.title, "", None, push.body, label, notes),
        platform=device.platform or "",
        image=push.image,
        url=push.url,
        data=push.data,
        options=tuple(_options(push)),
    )


def _options(push: Push) -> Iterator[tuple[str, str]]:
    found: dict[str, object] = {"kind": push.device.kind, "badge": push.badge, "sound": push.sound}
    found |= {"ttl": None if push.ttl is None else f"{push.ttl.total_seconds():,.0f} s"}
    found |= {"collapse_key": push.collapse_key, "ios": push.ios, "android": push.android}
    for name, value in found.items():
        if value not in (None, "", {}):
            yield name, _spread(value) if isinstance(value, Mapping) else str(value)


def _mailbox(mailbox: Mailbox) -> str:
    return f"{mailbox.name} <{mailbox.address}>" if mailbox.name else mailbox.address


def _headers(request: Request) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", request.content_type), *request.headers)


def pretty(body: bytes) -> str:
    """A request's body: JSON is spread over lines, anything else is shown as it is."""
    value = _value(body)
    return value if isinstance(value, str) else _spread(value)


def _spread(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _value(body: bytes) -> Any:
    """What a body says, where it is a mapping or a list in JSON; else its text."""
    text = body.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


def as_json(message: Message) -> dict[str, object]:
    """The message for machines: the fields of its channel."""
    match message:
        case Email():
            to = ", ".join(map(_mailbox, message.to))
            parts = {"html": message.html, "text": message.text}
            return {"from": _mailbox(message.sender), "to": to, "subject": message.subject, **parts}
        case Sms(to, body, sender, segments):
            parts = {"from": sender, "to": to, "subject": "", "html": None, "text": body}
            return {**parts, "segments": segments, "encoding": encoding(body), "because_of": first_outside(body)}
        case Push():
            return _push_as_json(message)
        case Request():
            headers = [list(header) for header in _headers(message)]
            body_of = {"body": _value(message.body), "signed": message.signing_secret is not None}
            return {"method": message.method, "url": message.to, "headers": headers, **body_of}


def _push_as_json(push: Push) -> dict[str, object]:
    """Its `ttl` is in seconds."""
    device = push.device
    return {
        "to": device.address,
        "platform": device.platform.value if device.platform else None,
        "kind": device.kind,
        "title": push.title,
        "body": push.body,
        "data": dict(push.data),
        "image": push.image,
        "url": push.url,
        "badge": push.badge,
        "sound": push.sound,
        "ttl": None if push.ttl is None else push.ttl.total_seconds(),
        "collapse_key": push.collapse_key,
        "ios": dict(push.ios),
        "android": dict(push.android),
    }
