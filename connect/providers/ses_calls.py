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
from connect.providers.ses_json import body, encoded, inside, string, strings

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
    opening = f'{{{_configuration(configuration_set)}"EmailTags":{_tags(outgoing)},'
    written = _in_parts(opening, email, to) if _in_parts_fits(email, to) else _raw(opening, email)
    return Call("SendEmail", b"".join(written), (member,))


def _in_parts(opening: str, email: Email, to: Sequence[str]) -> list[bytes]:
    """SES writes the MIME structure, and may not guess that the parts are ASCII."""
    known = f'{opening}{_from(email.sender, email.reply_to)},"Destination":{{"ToAddresses":{strings(to)}}}'
    subject = f'{{"Charset":"UTF-8","Data":{string(email.subject)}}}'
    content = f'"Content":{{"Simple":{{"Subject":{subject},"Headers":{_headers(email)},"Body":'
    written = [encoded(f"{known},{content}")]
    before = b"{"
    for name, text, data in _bodies(email):
        written += (before, _OPENINGS[name], body(text, data))
        before = b'"},'
    written.append(b'"}}}}}')
    return written


_OPENINGS = {name: b'"%b":{"Charset":"UTF-8","Data":"' % name.capitalize().encode() for name in ("text", "html")}


def _raw(opening: str, email: Email) -> list[bytes]:
    """The recipients come without their names, which the message has."""
    fields = {"ToAddresses": email.to, "CcAddresses": email.cc, "BccAddresses": email.bcc}
    to = [f'"{name}":{strings(each.address for each in boxes)}' for name, boxes in fields.items() if boxes]
    known = f'"FromEmailAddress":{string(email.sender.address)},"Destination":{{{",".join(to)}}}'
    data = binascii.b2a_base64(mime.encode(email), newline=False)
    return [encoded(f'{opening}{known},"Content":{{"Raw":{{"Data":"'), data, b'"}}}']


def _packed(batch: Sequence[Outgoing], entries: list[_Entry], configuration_set: str | None) -> Call:
    """A bulk call is large: it is put together once, because memory fresh from the system costs more than the rest."""
    if len(entries) == 1:
        return single(batch[entries[0].member], entries[0].member, configuration_set)
    email = _email(batch[entries[0].member])
    sender = _from(email.sender, email.reply_to)
    known = f'{{{_configuration(configuration_set)}{sender},"DefaultContent":{_template(email)},"BulkEmailEntries":'
    written, before = [encoded(known)], b"["
    for entry in entries:
        written += (before, entry.body)
        before = b","
    written.append(b"]}")
    return Call("SendBulkEmail", b"".join(written), tuple(entry.member for entry in entries))


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
    data = _data(email)
    if not _in_parts_fits(email, to) or not _data_fits(email, data):
        return None
    known = f'{{"Destination":{{"ToAddresses":{strings(to)}}},"ReplacementTags":{_tags(outgoing)}'
    content = '"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":'
    opening = encoded(f'{known},"ReplacementHeaders":{_headers(email)},{content}')
    written = b"".join((opening, *data, b"}}}"))
    group = (email.sender, email.reply_to, email.text is None, email.html is None)
    return _Entry(member, group, written) if len(written) <= MOST_BYTES else None


def _data(email: Email) -> list[bytes]:
    """What the template is filled with: a JSON object of strings, as a JSON string."""
    written = [b'"{\\"subject\\":\\"', inside(email.subject, None)]
    for name, text, data in _bodies(email):
        written += (_INSIDE[name], inside(text, data))
    written.append(b'\\"}"')
    return written


_INSIDE = {name: b'\\",\\"%b\\":\\"' % name.encode() for name in _OPENINGS}


def _in_parts_fits(email: Email, to: Sequence[str]) -> bool:
    """Whether SES can be left to put the message together."""
    return (
        not (email.attachments or email.cc or email.bcc)
        and not (email.text is None and email.html is None)
        and len(email.headers) <= _MOST_HEADERS
        and _headers_fit(email.headers)
        and max(map(len, to)) <= _LONGEST_ADDRESS
        and _known_fit(email.sender, email.reply_to)
    )


@lru_cache(maxsize=16)
def _known_fit(sender: Mailbox, reply_to: tuple[Mailbox, ...]) -> bool:
    return all(len(_address(mailbox)) <= _LONGEST_ADDRESS for mailbox in (sender, *reply_to))


def _headers_fit(headers: tuple[tuple[str, str], ...]) -> bool:
    for name, value in headers:  # half of what `all` costs
        if not (value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST_VALUE and _name_fits(name)):
            return False
    return True


@lru_cache(maxsize=256)
def _name_fits(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


def _data_fits(email: Email, data: Sequence[bytes]) -> bool:
    """What is escaped twice is longer than the data; only where it might be too long is the data itself counted."""
    if sum(map(len, data)) <= _LONGEST_DATA:
        return True
    written = sum(len(string(text)) + len(name) + 4 for name, text, _ in _bodies(email))
    return written + len('{"subject":}') + len(string(email.subject)) <= _LONGEST_DATA


def _bodies(email: Email) -> list[tuple[str, str, bytes | None]]:
    """(name in the template, text, the text in UTF-8 if it is at hand)"""
    text_data, html_data = (email.prepared.text, email.prepared.html) if email.prepared else (None, None)
    found: list[tuple[str, str, bytes | None]] = []
    if email.text is not None:
        found.append(("text", email.text, text_data))
    if email.html is not None:
        found.append(("html", email.html, html_data))
    return found


def _template(email: Email) -> str:
    names = ["subject", *(name for name, _, _ in _bodies(email))]
    members = ",".join(f'"{name.capitalize()}":"{{{{{name}}}}}"' for name in names)
    return f'{{"Template":{{"TemplateData":"{{}}","TemplateContent":{{{members}}}}}}}'


@lru_cache(maxsize=16)
def _from(sender: Mailbox, reply_to: tuple[Mailbox, ...]) -> str:
    addresses = strings(_address(mailbox) for mailbox in reply_to)
    return f'"FromEmailAddress":{string(_address(sender))},"ReplyToAddresses":{addresses}'


def _address(mailbox: Mailbox) -> str:
    """`Name <address>`, with a name outside ASCII as SES wants it: an encoded word (RFC 2047)."""
    return formataddr((mailbox.name, mailbox.address)) if mailbox.name else mailbox.address


def _headers(email: Email) -> str:
    return f"[{','.join([f'{{{_NAME}{string(name)},{_VALUE}{string(value)}}}' for name, value in email.headers])}]"


_NAME, _VALUE = '"Name":', '"Value":'


def _tags(outgoing: Outgoing) -> str:
    """The correlation id for SES's events. A tag takes no dots; its parts have fixed lengths, so nothing is lost."""
    return f'[{{"Name":"{CORRELATION_TAG}","Value":{string(outgoing.correlation_id.replace(".", "-"))}}}]'


def _configuration(name: str | None) -> str:
    return f'"ConfigurationSetName":{string(name)},' if name else ""


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
