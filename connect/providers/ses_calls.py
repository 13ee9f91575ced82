"""How messages become SES v2 calls: many in one SendBulkEmail where that can carry them, else one in one SendEmail.

A bulk call has one sender and one template. Ours passes through what was rendered (`{{subject}}`, `{{text}}`,
`{{html}}`); SES does not escape the values. What a bulk call can not carry goes as a raw message of its own.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr
from functools import lru_cache
from json import JSONEncoder
from typing import Any

from connect.channels import mime
from connect.channels.message import Email, Mailbox, Outgoing

MOST_ENTRIES = 50
"""Destinations in one SendBulkEmail (docs.aws.amazon.com/ses/latest/APIReference-V2, seen 2026-11)."""
MOST_BYTES = 900_000
"""Of one bulk call, within the megabyte that SES allows for one with an inline template."""

_LONGEST_DATA = 262_144  # characters of one entry's replacement data, as JSON
_MOST_HEADERS = 15
_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,870}")
_LONGEST_ADDRESS = 320

PATHS = {"SendEmail": "/v2/email/outbound-emails", "SendBulkEmail": "/v2/email/outbound-bulk-emails"}
"""Operation → path of its POST."""

CORRELATION_TAG = "connect_id"


_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the operation, its input as JSON, and the messages of the batch that it carries, in order."""

    operation: str
    body: bytes = field(repr=False)
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One message as a bulk call carries it."""

    member: int
    group: tuple[object, ...]
    """What all entries of one call share: the sender, the reply address and the parts of the template."""
    body: bytes


def calls(
    batch: Sequence[Outgoing], members: Sequence[int], configuration_set: str | None, bulk: bool
) -> Iterator[Call]:
    """The calls that carry these members of the batch, each member once."""
    groups: dict[tuple[object, ...], list[_Entry]] = {}
    bulk = bulk and len(members) > 1
    for member in members:
        entry = _entry(batch[member], member) if bulk else None
        if entry is None:
            yield single(batch[member], member, configuration_set)
        else:
            groups.setdefault(entry.group, []).append(entry)
    for entries in groups.values():
        for packed in _packs(entries):
            yield _packed(batch, packed, configuration_set)


def single(outgoing: Outgoing, member: int, configuration_set: str | None) -> Call:
    """A message as it is, in a call of its own."""
    email = _email(outgoing)
    around = {
        "FromEmailAddress": email.sender.address,
        "Destination": _destination(email),
        "EmailTags": _tags(outgoing),
        **_configuration(configuration_set),
    }
    data = binascii.b2a_base64(mime.encode(email), newline=False)
    return Call("SendEmail", _with(around, b'"Content":{"Raw":{"Data":"', data, b'"}}'), (member,))


def _packed(batch: Sequence[Outgoing], entries: list[_Entry], configuration_set: str | None) -> Call:
    if len(entries) == 1:
        return single(batch[entries[0].member], entries[0].member, configuration_set)
    email = _email(batch[entries[0].member])
    around = {
        "FromEmailAddress": _known_address(email.sender),
        "ReplyToAddresses": [_known_address(mailbox) for mailbox in email.reply_to],
        "DefaultContent": {"Template": {"TemplateContent": _template(email), "TemplateData": "{}"}},
        **_configuration(configuration_set),
    }
    bodies = b",".join(entry.body for entry in entries)
    body = _with(around, b'"BulkEmailEntries":[', bodies, b"]")
    return Call("SendBulkEmail", body, tuple(entry.member for entry in entries))


def _with(around: dict[str, Any], *member: bytes) -> bytes:
    """A JSON object with one more member, which is written already."""
    return b"".join((_encoded(around)[:-1], b",", *member, b"}"))


def _encoded(value: object) -> bytes:
    """JSON in UTF-8; half a surrogate pair, which no encoding can carry, becomes `?` as it does in MIME."""
    return _json(value).encode(errors="replace")


def _packs(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """Split by count and by bytes, in order."""
    pack: list[_Entry] = []
    size = 0
    for entry in entries:
        if pack and (len(pack) == MOST_ENTRIES or size + len(entry.body) > MOST_BYTES):
            yield pack
            pack, size = [], 0
        pack.append(entry)
        size += len(entry.body)
    if pack:
        yield pack


def _entry(outgoing: Outgoing, member: int) -> _Entry | None:
    """The message as an entry of a bulk call; None when a bulk call can not carry it."""
    email = _email(outgoing)
    to = [_address(mailbox) for mailbox in email.to]
    if not _fits(email, to):
        return None
    around = {
        "Destination": {"ToAddresses": to},
        "ReplacementTags": _tags(outgoing),
        "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in email.headers],
    }
    data = _replacement(email)
    body = _with(around, b'"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"', data, b'"}}')
    group = (email.sender, email.reply_to, email.text is None, email.html is None)
    return _Entry(member, group, body) if len(body) <= MOST_BYTES else None


def _fits(email: Email, to: Sequence[str]) -> bool:
    addresses = (_known_address(email.sender), *to, *map(_known_address, email.reply_to))
    return (
        not (email.attachments or email.cc or email.bcc)
        and len(email.headers) <= _MOST_HEADERS
        and all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in email.headers)
        and all(len(address) <= _LONGEST_ADDRESS for address in addresses)
        and _data_fits(email)
    )


def _data_fits(email: Email) -> bool:
    """Written as JSON, no character becomes more than six; only where that might be too long is it counted."""
    most = 64 + 6 * sum(len(value) for _, value in _parts(email))
    return most <= _LONGEST_DATA or len(_json(dict(_parts(email)))) <= _LONGEST_DATA


def _replacement(email: Email) -> bytes:
    """The parts as a JSON object inside a JSON string."""
    return (
        b"{" + b",".join(b'\\"%b\\":\\"%b\\"' % (name.encode(), _twice(value)) for name, value in _parts(email)) + b"}"
    )


_CONTROLS = bytes(set(range(32)) - set(b"\n\r\t"))


def _twice(text: str) -> bytes:
    """A text as JSON inside JSON, without its quotes: what the encoder would give, in a fifth of the time."""
    data = text.encode(errors="replace")
    if len(data.translate(None, _CONTROLS)) < len(data):
        return _encoded(_json(text)[1:-1])[1:-1]
    data = data.replace(b"\\", rb"\\\\").replace(b'"', rb"\\\"")
    return data.replace(b"\n", rb"\\n").replace(b"\r", rb"\\r").replace(b"\t", rb"\\t")


def _parts(email: Email) -> Iterator[tuple[str, str]]:
    """(name in the template, value) of every part that the message has."""
    yield "subject", email.subject
    if email.text is not None:
        yield "text", email.text
    if email.html is not None:
        yield "html", email.html


def _template(email: Email) -> dict[str, str]:
    return {name.capitalize(): f"{{{{{name}}}}}" for name, _ in _parts(email)}


def _destination(email: Email) -> dict[str, list[str]]:
    """The recipients, without their names: a raw message brings its own To header."""
    fields = {"ToAddresses": email.to, "CcAddresses": email.cc, "BccAddresses": email.bcc}
    return {name: [mailbox.address for mailbox in mailboxes] for name, mailboxes in fields.items() if mailboxes}


def _address(mailbox: Mailbox) -> str:
    """`Name <address>`, with a name outside ASCII as SES wants it: an encoded word (RFC 2047)."""
    return formataddr((mailbox.name, mailbox.address))


_known_address = lru_cache(maxsize=16)(_address)
"""For senders, who are nearly always the same."""


def _tags(outgoing: Outgoing) -> list[dict[str, str]]:
    """The correlation id for SES's events. A tag takes no dots; its parts have fixed lengths, so nothing is lost."""
    return [{"Name": CORRELATION_TAG, "Value": outgoing.correlation_id.replace(".", "-")}]


def _configuration(name: str | None) -> dict[str, str]:
    return {"ConfigurationSetName": name} if name else {}


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
