"""Requests to an endpoint of the user's: rendered strings become one, or the reason why they can not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

from connect.channels.message import Request
from connect.channels.parts import Bad
from connect.redact import Secret
from connect.vocabulary import Reason

LONGEST_URL = 8_000
"""What servers take of a request's first line (RFC 9112, section 3)."""
MOST_BODY_BYTES = 1_000_000
MOST_HEADER_CHARACTERS = 8_000
"""Of a content's own headers together: servers take eight or sixteen thousand of all."""


def build_request(
    url: str,
    *,
    method: str,
    body: bytes,
    content_type: str,
    headers: Sequence[tuple[str, str]],
    signing_secret: Secret | None,
    allow_private: bool | None,
) -> Request | Bad:
    """The request for these parts; an empty `url` is the account's own endpoint.

    Secrets are put into the headers already. A `Content-Type` among them takes the place of `content_type`.
    """
    to = http_url(url) if url else ""
    if to is None:
        return Bad(Reason.invalid_url, "url")
    checked = _headers(headers)
    if checked is None:
        return Bad(Reason.invalid_header, "headers")
    if sum(len(name) + len(value) for name, value in checked) > MOST_HEADER_CHARACTERS:
        return Bad(Reason.content_too_large, "headers")
    if len(body) > MOST_BODY_BYTES:
        return Bad(Reason.content_too_large, "body")
    own_type = [value for name, value in checked if name.lower() == "content-type"]
    if own_type:
        checked = tuple(header for header in checked if header[0].lower() != "content-type")
    return Request(
        to=to.partition("#")[0],  # a fragment is for a reader, and never sent
        body=body,
        method=method,
        content_type=own_type[-1] if own_type else content_type,
        headers=checked,
        signing_secret=signing_secret,
        allow_private=allow_private,
    )


# Where a request ends, whom it is for, how it is packed; and what each request is given by the account.
_OURS = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "http2-settings"}
    | {"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via"}
    | {"idempotency-key", "webhook-id", "webhook-signature", "webhook-timestamp"}
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110, section 5.6.2


@lru_cache(maxsize=256)
def request_header_problem(name: str) -> str | None:
    """Why a request's own header can not have this name; None when it can."""
    if not _TOKEN.fullmatch(name):
        return "a header's name is letters, digits and hyphens, without spaces or colons"
    if name.lower() in _OURS:
        return "this header is written by Connect, never by a content"
    return None


def _headers(given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...] | None:
    """The headers with their values trimmed; None where one can not be sent. What is not ASCII goes out in UTF-8."""
    trimmed = tuple((name, value.strip()) for name, value in given)
    good = all(value.isprintable() and request_header_problem(name) is None for name, value in trimmed)
    return trimmed if good else None


_URL = re.compile(r"(https?)://([^/?#]+)([/?#].*)?", re.IGNORECASE | re.DOTALL)
_SENT_AS_IT_IS = re.compile(r"[!#-;=?-\[\]_a-z~]*")
_KEPT = "!#$%&'()*+,/:;=?@[]~"


def http_url(text: str) -> str | None:
    """The URL in this text as it is asked for; None where it is none, or one that no request should go to.

    Trimmed; scheme and host in lower case, an international host in its ASCII form, and what is not ASCII behind it
    percent-encoded. A user's name and password, spaces and control characters are refused: the first belong into a
    header, the others into `| url_encode`.
    """
    trimmed = text.strip()
    match = _URL.fullmatch(trimmed) if len(trimmed) <= LONGEST_URL else None
    authority = _authority(match[2]) if match else None
    if match is None or authority is None:
        return None
    rest = match[3] or ""
    if not _SENT_AS_IT_IS.fullmatch(rest):
        if not rest.isprintable() or " " in rest or "\\" in rest:
            return None
        rest = quote(rest, safe=_KEPT)
    url = f"{match[1].lower()}://{authority}{rest}"
    return url if len(url) <= LONGEST_URL else None


_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@]+)(?::([0-9]{1,5}))?", re.IGNORECASE)


@lru_cache(maxsize=1024)
def _authority(text: str) -> str | None:
    """Host and port. Remembered: most people are asked about at one place."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or (match[2] and not 0 < int(match[2]) < 65536):
        return None
    host = _ipv6(match[1][1:-1]) if match[1].startswith("[") else _host(match[1])
    return f"{host}:{int(match[2])}" if host and match[2] else host


def _ipv6(text: str) -> str | None:
    try:
        return f"[{IPv6Address(text).compressed}]"
    except AddressValueError:
        return None


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(?:\.{_LABEL})*\.?")
# Browsers and resolvers take `2130706433` and `0x7f.1` for addresses of numbers, and each in a way of its own.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def _host(text: str) -> str | None:
    host = text.lower() if text.isascii() else _in_ascii(text)
    if host is None or not _NAME.fullmatch(host):
        return None
    if _NUMBER.fullmatch(host):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            return None
    return host


def _in_ascii(text: str) -> str | None:
    import idna  # comes with email-validator

    try:
        return idna.encode(text, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None
