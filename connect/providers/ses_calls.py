"""How messages become SES v2 calls: many in one SendBulkEmail where that can carry them, else one in one SendEmail.

A bulk call has one sender and one template. Ours passes through what was rendered (`{{subject}}`, `{{text}}`,
`{{html}}`); SES does not escape the values. One message in a call of its own is handed over in its parts, and SES puts
them together; what neither can carry goes as a raw message.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr
from functools import lru_cache

from connect.channels import mime
from connect.channels.message import Email, Mailbox, Outgoing
from connect.providers.ses_json import array, inside, string, strings, structure

MOST_ENTRIES = 50
"""Destinations in one SendBulkEmail (docs.aws.amazon.com/ses/latest/APIReference-V2, seen 2026-11)."""
MOST_BYTES = 900_000
"""Of one bulk call, within the megabyte that SES allows for one with an inline template."""

_LONGEST_DATA = 262_144  # characters of one entry's replacement data, as JSON
_MOST_HEADERS = 15
_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_LONGEST_VALUE = 870
_LONGEST_ADDRESS = 320

CORRELATION_TAG = "connect_id"
PATHS = {"SendEmail": "/v2/email/outbound-emails", "SendBulkEmail": "/v2/email/outbound-bulk-emails"}
"""Operation → path of its POST."""


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
    """A message in a call of its own."""
    email = _email(outgoing)
    to = [_address(mailbox) for mailbox in email.to]
    members = _in_parts(email, to) if _in_parts_fits(email, to) else _raw(email)
    members["EmailTags"] = _tags(outgoing)
    return Call("SendEmail", structure(members | _configuration(configuration_set)), (member,))


def _in_parts(email: Email, to: Sequence[str]) -> dict[str, bytes]:
    """SES writes the MIME structure, and may not guess that the parts are ASCII."""
    subject, *texts = [(name.capitalize(), _data(value)) for name, value in _parts(email)]
    content = {"Subject": subject[1], "Body": structure(dict(texts)), "Headers": _headers(email)}
    return {
        **_from(email),
        "Destination": structure({"ToAddresses": strings(to)}),
        "Content": structure({"Simple": structure(content)}),
    }


def _data(text: str) -> bytes:
    return b'{"Charset":"UTF-8","Data":%b}' % string(text)


def _raw(email: Email) -> dict[str, bytes]:
    """The recipients come without their names, which the message has."""
    fields = {"ToAddresses": email.to, "CcAddresses": email.cc, "BccAddresses": email.bcc}
    to = {name: strings(mailbox.address for mailbox in mailboxes) for name, mailboxes in fields.items() if mailboxes}
    data = binascii.b2a_base64(mime.encode(email), newline=False)
    return {
        "FromEmailAddress": string(email.sender.address),
        "Destination": structure(to),
        "Content": b'{"Raw":{"Data":"%b"}}' % data,
    }


def _packed(batch: Sequence[Outgoing], entries: list[_Entry], configuration_set: str | None) -> Call:
    if len(entries) == 1:
        return single(batch[entries[0].member], entries[0].member, configuration_set)
    email = _email(batch[entries[0].member])
    members = {
        **_from(email),
        "DefaultContent": b'{"Template":{"TemplateData":"{}","TemplateContent":%b}}' % _template(email),
        "BulkEmailEntries": array(entry.body for entry in entries),
    }
    body = structure(members | _configuration(configuration_set))
    return Call("SendBulkEmail", body, tuple(entry.member for entry in entries))


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
    data = inside(_parts(email))
    if not _in_parts_fits(email, to) or not _data_fits(email, data):
        return None
    body = (
        b'{"Destination":{"ToAddresses":%b},"ReplacementTags":%b,"ReplacementHeaders":%b,'
        b'"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":%b}}}'
        % (strings(to), _tags(outgoing), _headers(email), data)
    )
    group = (email.sender, email.reply_to, email.text is None, email.html is None)
    return _Entry(member, group, body) if len(body) <= MOST_BYTES else None


def _in_parts_fits(email: Email, to: Sequence[str]) -> bool:
    """Whether SES can be left to put the message together."""
    addresses = (_known_address(email.sender), *to, *map(_known_address, email.reply_to))
    return (
        not (email.attachments or email.cc or email.bcc)
        and not (email.text is None and email.html is None)
        and len(email.headers) <= _MOST_HEADERS
        and all(_header_fits(name, value) for name, value in email.headers)
        and max(map(len, addresses)) <= _LONGEST_ADDRESS
    )


def _header_fits(name: str, value: str) -> bool:
    printable = value.isascii() and value.isprintable()
    return printable and 0 < len(value) <= _LONGEST_VALUE and _HEADER_NAME.fullmatch(name) is not None


def _data_fits(email: Email, data: bytes) -> bool:
    """What is escaped twice is longer than the data; only where it might be too long is the data itself counted."""
    if len(data) <= _LONGEST_DATA:
        return True
    written = sum(len(string(value).decode()) + len(name) + 4 for name, value in _parts(email))
    return written + 1 <= _LONGEST_DATA


def _parts(email: Email) -> Iterator[tuple[str, str]]:
    """(name in the template, value) of every part that the message has."""
    yield "subject", email.subject
    if email.text is not None:
        yield "text", email.text
    if email.html is not None:
        yield "html", email.html


def _template(email: Email) -> bytes:
    return structure({name.capitalize(): string(f"{{{{{name}}}}}") for name, _ in _parts(email)})


def _from(email: Email) -> dict[str, bytes]:
    return {
        "FromEmailAddress": string(_known_address(email.sender)),
        "ReplyToAddresses": strings(_known_address(mailbox) for mailbox in email.reply_to),
    }


def _address(mailbox: Mailbox) -> str:
    """`Name <address>`, with a name outside ASCII as SES wants it: an encoded word (RFC 2047)."""
    return formataddr((mailbox.name, mailbox.address)) if mailbox.name else mailbox.address


_known_address = lru_cache(maxsize=16)(_address)
"""For senders, who are nearly always the same."""


def _headers(email: Email) -> bytes:
    return array(b'{"Name":%b,"Value":%b}' % (string(name), string(value)) for name, value in email.headers)


def _tags(outgoing: Outgoing) -> bytes:
    """The correlation id for SES's events. A tag takes no dots; its parts have fixed lengths, so nothing is lost."""
    value = string(outgoing.correlation_id.replace(".", "-"))
    return b'[{"Name":"%b","Value":%b}]' % (CORRELATION_TAG.encode(), value)


def _configuration(name: str | None) -> dict[str, bytes]:
    return {"ConfigurationSetName": string(name)} if name else {}


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
