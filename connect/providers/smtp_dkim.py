"""DKIM signatures over a message's bytes as they go on the wire, before dots are doubled (RFC 6376, relaxed/relaxed).

    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=acme.example; s=k1; t=…; h=…; bh=…; b=…
    From: …

Everything follows from the message and its date, so a message that is rendered again is signed byte for byte the same.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from connect.channels import mime
from connect.channels.addresses import email_address
from connect.channels.fields import CORRELATION_HEADER
from connect.channels.message import Email
from connect.providers.smtp_dkim_keys import Key, NoKey, load_key, public_record
from connect.redact import Secret

__all__ = ["Dkim", "NoKey", "Signatures", "Signer", "public_record"]


def _domain(text: str) -> str:
    """In lower case and, where it is international, in its ASCII form."""
    address = email_address(f"x@{text}")
    if address is None:
        raise ValueError("a domain is wanted, such as `acme.example`")
    return address.partition("@")[2]


_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def _selector(text: str) -> str:
    if _SELECTOR.fullmatch(text) is None:
        raise ValueError("a name is wanted, such as `k1`: the record's, without `._domainkey` and what follows")
    return text


class Dkim(BaseModel):
    """One signature, made with a key whose public half stands in DNS at `place`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: Annotated[str, AfterValidator(_domain)]
    """That is signed for: the one that e-mails are from."""
    selector: Annotated[str, AfterValidator(_selector)]
    """The key's name in DNS."""
    private_key: Secret
    """PEM: RSA or Ed25519, not encrypted."""

    @property
    def place(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Signatures = Annotated[tuple[Dkim, ...], BeforeValidator(_listed)]
"""Written as a list, or as the one that there is."""

SIGNED = frozenset(
    {b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id", b"in-reply-to", b"references"}
    | {b"mime-version", b"content-type", b"content-transfer-encoding"}
    # RFC 8058 4 asks for the first two, and Gmail's Feedback Loop for the last one.
    | {b"list-unsubscribe", b"list-unsubscribe-post", b"list-id", b"list-help", b"feedback-id"}
    | {CORRELATION_HEADER.lower().encode()}
)
"""The fields that are signed where a message has them. Servers on the way may change the rest."""


class Signer:
    """Signs with one or more keys; what they have in common is done once. Raises NoKey.

    It signs where it is called: a thread would take 17 to 30 µs more of CPU for each message, beside some 300 for RSA
    with 2048 bits, and there is no idle core to win, for each has a worker process.
    """

    def __init__(self, signatures: Sequence[Dkim]) -> None:
        self._keys = [(each, _loaded(each)) for each in signatures]

    def encode(self, email: Email, *, date: datetime, eight_bit: bool = False) -> bytes:
        """As `mime.encode`, signed.

        Bodies are 7bit, quoted-printable or base64 though the server takes 8bit: one on the way that does not would
        write them anew, which breaks the signature (RFC 6376 5.3).
        """
        return self.sign(mime.encode(email, date=date), date)

    def sign(self, content: bytes, date: datetime) -> bytes:
        """The message with its signatures on top. Lines end in CRLF; what follows the last of them is one, too."""
        head, _, body = content.partition(b"\r\n\r\n")
        names, fields = _fields(head)
        hashed = sha256(relaxed_body(body)).digest()
        rest = b" t=%d;\r\n%s\r\n bh=%s;\r\n b=" % (int(date.timestamp()), _covered(names), _base64(hashed))
        return b"".join([*(_signature(each, key, fields, rest) for each, key in self._keys), content])

    def __str__(self) -> str:
        """Who is signed for, and the records that must stand in DNS."""
        return "; ".join(_told(each, key) for each, key in self._keys)


def _loaded(dkim: Dkim) -> Key:
    try:
        return load_key(dkim.private_key.reveal())
    except NoKey as error:
        raise NoKey(f"`private_key` of `dkim` for {dkim.place} can not sign: {error}") from None


def _told(dkim: Dkim, key: Key) -> str:
    weakness = f" ({key.weakness})" if key.weakness else ""
    return f"signs for {dkim.domain} with {key.kind}{weakness}: {dkim.place} TXT {key.record}"


def _signature(dkim: Dkim, key: Key, fields: bytes, rest: bytes) -> bytes:
    opening = f"v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n d={dkim.domain}; s={dkim.selector};".encode()
    own = b"dkim-signature:" + (opening + rest).replace(b"\r\n", b"")
    signature = _base64(key.sign(fields + own))
    return b"DKIM-Signature: " + opening + rest + b"\r\n ".join(_chunks(signature)) + b"\r\n"


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)


_WIDTH = 74


def _chunks(text: bytes) -> Iterable[bytes]:
    return (text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH))


def _fields(head: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The names of the fields that are signed, and these fields in the relaxed form (RFC 6376 3.4.2).

    The last comes first: of several with one name, a verifier takes them in this order (5.4.2).
    """
    names, lines = [], []
    for line in reversed(head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n")):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in SIGNED:
            names.append(name)
            lines.append(b"%s:%s\r\n" % (name, b" ".join(value.split())))  # no other space than WSP is in a field
    return tuple(names), b"".join(lines)


@lru_cache(maxsize=64)
def _covered(names: tuple[bytes, ...]) -> bytes:
    """The names as `h=`, folded. From stands there once more than in the message: a second one breaks the signature."""
    lines = [b" h="]
    for name in names:
        if len(lines[-1]) + len(name) > _WIDTH:
            lines.append(b" ")
        lines[-1] += name + b":"
    return b"\r\n".join(lines) + b"from;"


def relaxed_body(body: bytes) -> bytes:
    """A body in the relaxed form (RFC 6376 3.4.4): runs of space are one, none ends a line, no blank line is the last.

    Nine times as fast as regular expressions; kept for the next message it would be hardly faster, for it must be
    looked up by all its bytes.
    """
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").rstrip(b" \r\n")
    return body + b"\r\n" if body else b""
