"""The files of an outbox: what a message is written as, and what is read back from it.

The bytes are a pure function of message and run, so that a message that is written again compares equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from connect.channels import mime
from connect.channels.message import Email, Outgoing, Push, Request, Sms
from connect.providers.interface import Captured
from connect.redact import HIDDEN
from connect.vocabulary import Channel, Platform

BCC_HEADER = "X-Outbox-Bcc"
"""Blind copies are in no header of a real message; here a developer wants to see them."""

SUFFIXES = {
    Channel.email: ".eml",
    Channel.sms: ".json",
    Channel.push: ".push.json",
    Channel.http: ".http.json",
}


def content_of(outgoing: Outgoing, started: datetime | None) -> bytes:
    """The bytes of the file for a message of a run that started then."""
    match outgoing.message:
        case Email() as email:
            return mime.encode(_with_bcc(email), date=started)
        case Sms() as sms:
            return _json(_sms(sms), started)
        case Push() as push:
            return _json(_push(push), started)
        case Request() as request:
            return _json(_request(request), started)


def _with_bcc(email: Email) -> Email:
    if not email.bcc:
        return email
    shown = ", ".join(mailbox.address for mailbox in email.bcc)
    return replace(email, headers=(*email.headers, (BCC_HEADER, shown)))


_HALVES = re.compile("[\ud800-\udfff]")


def _json(fields: dict[str, Any], started: datetime | None) -> bytes:
    dated = {**fields, "date": started.isoformat() if started else None}
    text = json.dumps(dated, ensure_ascii=False, indent=2)
    return _HALVES.sub("\ufffd", text).encode() + b"\n"


def _sms(sms: Sms) -> dict[str, Any]:
    return {"to": sms.to, "from": sms.sender, "body": sms.body, "segments": sms.segments}


def _push(push: Push) -> dict[str, Any]:
    return {
        "to": push.device.address,
        "platform": push.device.platform,
        "kind": push.device.kind,
        "title": push.title,
        "body": push.body,
        "data": dict(push.data),
        "image": push.image,
        "badge": push.badge,
        "sound": push.sound,
        "url": push.url,
        "ttl": int(push.ttl.total_seconds()) if push.ttl is not None else None,
        "collapse_key": push.collapse_key,
        "ios": dict(push.ios),
        "android": dict(push.android),
    }


# A request's secrets are put in already, and no file may hold one.
_SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|signature|token", re.IGNORECASE)


def _request(request: Request) -> dict[str, Any]:
    return {
        "to": request.to,
        "method": request.method,
        "content_type": request.content_type,
        "headers": [[name, HIDDEN if _SECRET.search(name) else value] for name, value in request.headers],
        "signed": request.signing_secret is not None,
        "allow_private": request.allow_private,
        "body": _body(request.body),
    }


def _body(octets: bytes) -> Any:
    """JSON as what it says, so that it can be read; anything else as text."""
    text = octets.decode(errors="replace")
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def files_of(run: Path) -> Iterator[Captured]:
    """What is in the folder of a run, in the order of writing."""
    files = [file for file in run.iterdir() if _kind(file) in _READERS and not file.name.startswith(".")]
    for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)):
        yield _READERS[_kind(file)](file)


def _kind(file: Path) -> str:
    return "".join(file.suffixes)


def _read_email(file: Path) -> Captured:
    from email import message_from_bytes, policy
    from email.utils import parsedate_to_datetime

    parsed = message_from_bytes(file.read_bytes(), policy=policy.default)
    html, text = parsed.get_body(("html",)), parsed.get_body(("plain",))
    return Captured(
        run_id=file.parent.name,
        channel=Channel.email,
        sender=str(parsed["From"] or ""),
        to=str(parsed["To"] or ""),
        subject=str(parsed["Subject"] or ""),
        date=parsedate_to_datetime(str(parsed["Date"])) if parsed["Date"] else None,
        html=html.get_content() if html else None,
        text=text.get_content() if text else None,
        body=None,
        file=file,
    )


def _read_sms(file: Path) -> Captured:
    fields = json.loads(file.read_bytes())
    return replace(_captured(file, fields, Channel.sms), sender=fields["from"], segments=fields.get("segments", 0))


def _read_push(file: Path) -> Captured:
    fields = json.loads(file.read_bytes())
    return replace(
        _captured(file, fields, Channel.push),
        subject=fields["title"],
        platform=Platform(fields["platform"]) if fields["platform"] else None,
        url=fields["url"],
        image=fields["image"],
        data=tuple(fields["data"].items()),
        options=tuple(_options(fields)),
    )


_OPTIONS = ("kind", "badge", "sound", "ttl", "collapse_key", "ios", "android")


def _options(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _OPTIONS:
        value = fields[name]
        if value not in (None, "", {}):
            shown = value if isinstance(value, str) else _pretty(value)
            yield name, f"{shown} s" if name == "ttl" else shown


def _read_request(file: Path) -> Captured:
    fields = json.loads(file.read_bytes())
    body = fields["body"]
    headers = [("Content-Type", fields["content_type"]), *((name, value) for name, value in fields["headers"])]
    return replace(
        _captured(file, fields, Channel.http),
        body=body if isinstance(body, str) else _pretty(body),
        method=fields["method"],
        headers=tuple(headers),
        options=(("signed", "yes, with a secret of its own"),) if fields["signed"] else (),
    )


def _captured(file: Path, fields: dict[str, Any], channel: Channel) -> Captured:
    return Captured(
        run_id=file.parent.name,
        channel=channel,
        sender="",
        to=fields["to"],
        subject="",
        date=datetime.fromisoformat(fields["date"]) if fields["date"] else None,
        html=None,
        text=None,
        body=fields["body"],
        file=file,
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) if isinstance(value, (dict, list)) else json.dumps(value)


_READERS: dict[str, Callable[[Path], Captured]] = {
    ".eml": _read_email,
    ".json": _read_sms,
    ".push.json": _read_push,
    ".http.json": _read_request,
}
