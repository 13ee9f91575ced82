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
from connect.providers.ses_json import array, inside, known, string, strings

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
    content = _in_parts(email, to) if _in_parts_fits(email, to) else _raw(email)
    body = (b"{", *content, b',"EmailTags":', _tags(outgoing), _end(configuration_set))
    return Call("SendEmail", b"".join(body), (member,))


def _in_parts(email: Email, to: Sequence[str]) -> list[bytes]:
    """SES writes the MIME structure, and may not guess that the parts are ASCII."""
    written = [_from(email.sender, email.reply_to), b',"Destination":{"ToAddresses":', strings(to)]
    written += (b'},"Content":{"Simple":{"Subject":', _DATA, string(email.subject), b'},"Headers":', _headers(email))
    between = b',"Body":{'
    for name, text, data in _bodies(email):
        written += (between, b'"%b":' % name.capitalize().encode(), _DATA, string(text, data), b"}")
        between = b","
    written.append(b"}}}")
    return written


_DATA = b'{"Charset":"UTF-8","Data":'


def _raw(email: Email) -> list[bytes]:
    """The recipients come without their names, which the message has."""
    fields = {b"ToAddresses": email.to, b"CcAddresses": email.cc, b"BccAddresses": email.bcc}
    to = [b'"%b":%b' % (name, strings(each.address for each in boxes)) for name, boxes in fields.items() if boxes]
    return [
        b'"FromEmailAddress":%b,"Destination":{%b}' % (known(email.sender.address), b",".join(to)),
        b',"Content":{"Raw":{"Data":"',
        binascii.b2a_base64(mime.encode(email), newline=False),
        b'"}}',
    ]


def _packed(batch: Sequence[Outgoing], entries: list[_Entry], configuration_set: str | None) -> Call:
    """A bulk call is large: it is put together once, because memory fresh from the system costs more than the rest."""
    if len(entries) == 1:
        return single(batch[entries[0].member], entries[0].member, configuration_set)
    email = _email(batch[entries[0].member])
    body = [
        b"{",
        _from(email.sender, email.reply_to),
        b',"DefaultContent":',
        _template(email),
        b',"BulkEmailEntries":[',
    ]
    for entry in entries:
        body += (entry.body, b",")
    body[-1] = b"]"
    body.append(_end(configuration_set))
    return Call("SendBulkEmail", b"".join(body), tuple(entry.member for entry in entries))


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
    body = b"".join(
        (
            b'{"Destination":{"ToAddresses":',
            strings(to),
            b'},"ReplacementTags":',
            _tags(outgoing),
            b',"ReplacementHeaders":',
            _headers(email),
            b',"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":',
            *data,
            b"}}}",
        )
    )
    group = (email.sender, email.reply_to, email.text is None, email.html is None)
    return _Entry(member, group, body) if len(body) <= MOST_BYTES else None


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
    written = sum(len(string(text).decode()) + len(name) + 4 for name, text, _ in _parts(email))
    return written + 1 <= _LONGEST_DATA


_Part = tuple[str, str, bytes | None]
"""(name in the template, text, the text in UTF-8 if it is at hand)"""


def _parts(email: Email) -> list[_Part]:
    """Every part that the message has."""
    return [("subject", email.subject, None), *_bodies(email)]


def _bodies(email: Email) -> list[_Part]:
    text_data, html_data = (email.prepared.text, email.prepared.html) if email.prepared else (None, None)
    found: list[_Part] = []
    if email.text is not None:
        found.append(("text", email.text, text_data))
    if email.html is not None:
        found.append(("html", email.html, html_data))
    return found


def _template(email: Email) -> bytes:
    members = b",".join(b'"%b":"{{%b}}"' % (name.capitalize().encode(), name.encode()) for name, _, _ in _parts(email))
    return b'{"Template":{"TemplateData":"{}","TemplateContent":{%b}}}' % members


@lru_cache(maxsize=16)
def _from(sender: Mailbox, reply_to: tuple[Mailbox, ...]) -> bytes:
    addresses = strings(_address(mailbox) for mailbox in reply_to)
    return b'"FromEmailAddress":%b,"ReplyToAddresses":%b' % (string(_address(sender)), addresses)


def _address(mailbox: Mailbox) -> str:
    """`Name <address>`, with a name outside ASCII as SES wants it: an encoded word (RFC 2047)."""
    return formataddr((mailbox.name, mailbox.address)) if mailbox.name else mailbox.address


def _headers(email: Email) -> bytes:
    return array([b'{"Name":%b,"Value":%b}' % (known(name), string(value)) for name, value in email.headers])


def _tags(outgoing: Outgoing) -> bytes:
    """The correlation id for SES's events. A tag takes no dots; its parts have fixed lengths, so nothing is lost."""
    return _TAG % string(outgoing.correlation_id.replace(".", "-"))


_TAG = b'[{"Name":"%b","Value":%%b}]' % CORRELATION_TAG.encode()


def _end(configuration_set: str | None) -> bytes:
    return b',"ConfigurationSetName":%b}' % known(configuration_set) if configuration_set else b"}"


def _email(outgoing: Outgoing) -> Email:
    assert isinstance(outgoing.message, Email)
    return outgoing.message
