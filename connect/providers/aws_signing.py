"""AWS's signature of a request (Signature Version 4), for a POST whose header fields and keys change rarely.

Botocore's own signer gives the same signature (a test compares them) and takes ten times as long: it takes every
request apart again. The algorithm: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, urlsplit

from connect.redact import Secret

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as they are now; temporary ones bring a token."""

    access_key_id: str = field(repr=False)
    secret: Secret
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go, as far as a signature covers it."""

    host: str
    region: str
    service: str

    @classmethod
    def of(cls, url: str, region: str, service: str) -> Place:
        """The host as the Host header will have it: in lower case, with a port that is not the scheme's own."""
        parts = urlsplit(url)
        default = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return cls(name if default else f"{name}:{parts.port}", region, service)


@dataclass(frozen=True, slots=True)
class _Second:
    """What all signatures of one second share."""

    second: int
    keys: Keys = field(repr=False)
    fields: dict[str, str] = field(repr=False)
    """The header fields beside the signature."""
    covered: str = field(repr=False)
    """The request as it is signed, after its path and before its body."""
    opening: str
    """Of the text that is signed."""
    credential: str = field(repr=False)
    """The authorization, up to the signature."""
    key: bytes = field(repr=False)


class Signer:
    """Signs requests to one place; remembers the signing key of the day, and the rest for a second."""

    def __init__(self, place: Place, fields: Mapping[str, str]) -> None:
        """`fields`: those that every request has, names in lower case: its content type, what its protocol wants."""
        self._place = place
        self._fields = fields
        self._day_key: tuple[str, Keys, bytes] | None = None
        self._last: _Second | None = None

    def headers(self, path: str, body: bytes, keys: Keys, now: datetime) -> dict[str, str]:
        """The header fields of a POST of this body at this time (aware, UTC)."""
        second, last = int(now.timestamp()), self._last
        if last is None or last.second != second or last.keys is not keys:
            last = self._last = self._at(second, keys, now)
        request = f"POST\n{_quoted(path)}\n\n{last.covered}{hashlib.sha256(body).hexdigest()}"
        text = last.opening + hashlib.sha256(request.encode()).hexdigest()
        signature = hmac.digest(last.key, text.encode(), "sha256").hex()
        return {**last.fields, "authorization": last.credential + signature}

    def _at(self, second: int, keys: Keys, now: datetime) -> _Second:
        instant = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{instant[:8]}/{self._place.region}/{self._place.service}/aws4_request"
        fields = {**self._fields, "host": self._place.host, "x-amz-date": instant}
        if keys.token:
            fields["x-amz-security-token"] = keys.token.reveal()
        names = ";".join(sorted(fields))
        lines = "".join(f"{name}:{fields[name]}\n" for name in sorted(fields))
        del fields["host"]  # the client writes it
        return _Second(
            second,
            keys,
            fields,
            f"{lines}\n{names}\n",
            f"{_ALGORITHM}\n{instant}\n{scope}\n",
            f"{_ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature=",
            self._key(instant[:8], keys),
        )

    def _key(self, day: str, keys: Keys) -> bytes:
        if self._day_key is None or self._day_key[:2] != (day, keys):
            key = f"AWS4{keys.secret.reveal()}".encode()
            for part in (day, self._place.region, self._place.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = day, keys, key
        return self._day_key[2]


@lru_cache(maxsize=16)
def _quoted(path: str) -> str:
    return quote(path, safe="/-_.~")
