"""Who is who, without saying who: positions, message keys, correlation ids and sealed tokens.

Key text: each key column as text, length-prefixed (`1:a2:bc`), so that ("a", "bc") and ("ab", "c") differ. The
warehouse computes it; Python uses that text and never recomputes it from values.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from connect.errors import UserError
from connect.redact import Secret

RandomBytes = Callable[[int], bytes]
system_random: RandomBytes = secrets.token_bytes


def key_text(values: Sequence[str]) -> str:
    """The key text of these values: lengths count characters, as SQL's `length` does."""
    return "".join(f"{len(value)}:{value}" for value in values)


def read_key_text(text: str) -> list[str] | None:
    """The values of a key text; None for anything else."""
    values: list[str] = []
    while text:
        size, colon, rest = text.partition(":")
        if not colon or not (size.isascii() and size.isdigit()) or len(rest) < int(size):
            return None
        values.append(rest[: int(size)])
        text = rest[int(size) :]
    return values


def position(salt: str, key: str) -> str:
    """Where a row stands in the hash space of a run: 32 lower-case hex digits."""
    return hashlib.md5((salt + key).encode(), usedforsecurity=False).hexdigest()


_MARK_SIZE = 8


def person_mark(secret: bytes, key: str) -> bytes:
    """The pseudonym of one person in one run: 8 bytes, with which each of their message keys begins."""
    return Pseudonyms(secret).person_mark(key)


def message_key(secret: bytes, key: str, channel: str, address: str) -> bytes:
    """The pseudonym of one delivery: 16 bytes, the same for the same run, person, channel and address.

    It begins with the person's mark, so that a person is known again whose address has changed meanwhile.
    """
    return Pseudonyms(secret).message_key(key, channel, address)


class Pseudonyms:
    """`person_mark` and `message_key` of one run, whose secret is taken in once and not for each of them."""

    def __init__(self, secret: bytes) -> None:
        self._person = hashlib.blake2b(key=secret, digest_size=_MARK_SIZE, person=b"person")
        self._delivery = hashlib.blake2b(key=secret, digest_size=_MARK_SIZE)

    def person_mark(self, key: str) -> bytes:
        found = self._person.copy()
        found.update(key.encode())
        return found.digest()

    def message_key(self, key: str, channel: str, address: str) -> bytes:
        found = self._delivery.copy()
        found.update("\x1f".join((key, channel, address)).encode())
        return self.person_mark(key) + found.digest()


def mark_of(key: bytes) -> bytes:
    """The mark of the person that a message key is about."""
    return key[:_MARK_SIZE]


def call_key(keys: Sequence[bytes]) -> bytes:
    """The name of a call with exactly these messages, in this order: 16 bytes; of one message, its own key."""
    return keys[0] if len(keys) == 1 else hashlib.blake2b(b"".join(keys), digest_size=16, person=b"call").digest()


def new_run_id(now_seconds: int, random: RandomBytes = system_random) -> str:
    """A run's name: 16 lower-case letters and digits that sort by time."""
    number = now_seconds.to_bytes(5, "big") + random(5)
    return base64.b32hexencode(number).decode().lower()


_CORRELATION_VERSION = "c1"


def correlation_id(run_id: str, key: bytes) -> str:
    """What a webhook finds its run by, weeks later: version, run id in clear, message key. ASCII, 42 characters."""
    return f"{_CORRELATION_VERSION}.{run_id}.{_text(key)}"


def read_correlation_id(text: str) -> tuple[str, bytes] | None:
    """(run id, message key) of a correlation id; None for anything else."""
    version, _, rest = text.partition(".")
    run_id, _, key = rest.partition(".")
    if version != _CORRELATION_VERSION or len(run_id) != 16:
        return None
    try:
        decoded = _bytes(key)
    except ValueError:
        return None
    return (run_id, decoded) if len(decoded) == 16 else None


# As `base64.urlsafe_b64encode` and its twin do it, without the layers between.
_TO_URL = bytes.maketrans(b"+/", b"-_")


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


class SealBroken(Exception):
    """A sealed value that no key of the ring opens, or that somebody changed."""


_SEAL_VERSION = 1
_PADDED_TO = 32  # a token's length must not tell how long an address is


@dataclass(frozen=True)
class KeyRing:
    """The project's secrets: the first seals and signs, every one opens.

    A sealed value is version ‖ key id ‖ nonce (12 bytes) ‖ AES-256-GCM ciphertext, with its purpose authenticated.
    """

    secrets: tuple[Secret, ...]

    MINIMUM_LENGTH = 16

    def __reduce__(self) -> tuple[type[KeyRing], tuple[tuple[Secret, ...]]]:
        return KeyRing, (self.secrets,)

    def seal(self, purpose: str, plain: bytes, nonce_seed: bytes | None = None) -> bytes:
        """Encrypt for one purpose. With a seed, equal input gives equal output; else the nonce is random.

        A seed must be unique to the plaintext (such as a message key): AES-GCM must never see two
        plaintexts under one nonce.
        """
        key = self._keys[0]
        nonce = secrets.token_bytes(12) if nonce_seed is None else _digest(key.bytes + nonce_seed + plain, 12)
        return key.head + nonce + key.encrypt(nonce, _pad(plain), purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Decrypt; raises SealBroken when it was changed, made for another purpose or under an unknown key."""
        if len(sealed) < 18 + 16 or sealed[0] != _SEAL_VERSION:
            raise SealBroken("not a sealed value")
        from cryptography.exceptions import InvalidTag

        for key in self._keys:
            if key.head == sealed[:5]:
                try:
                    return _unpad(key.decrypt(sealed[5:17], sealed[17:], purpose.encode()))
                except InvalidTag:
                    raise SealBroken("the seal does not match") from None
        raise SealBroken("no key of the project's ring opens it")

    def marks(self, purpose: str, data: bytes) -> tuple[bytes, ...]:
        """A pseudonym of some data under each secret, the first one's first: 16 bytes, to know it again by."""
        if (markers := self._markers.get(purpose)) is None:
            markers = self._markers[purpose] = self._marking(purpose.encode()[:16])
        return tuple([_marked(marker, data) for marker in markers])

    def _marking(self, person: bytes) -> list[hashlib.blake2b]:
        """Hashes that have taken their key, which is half the work."""
        keys = [_digest(key.bytes, 32, person=b"connect-mark") for key in self._keys]
        return [hashlib.blake2b(digest_size=16, key=key, person=person) for key in keys]

    @cached_property
    def _markers(self) -> dict[str, list[hashlib.blake2b]]:
        return {}

    @cached_property
    def _keys(self) -> list[_Key]:
        """One of each secret, derived so that the secret itself is never used as a key."""
        if not self.secrets:
            raise UserError.of(
                "missing-secret",
                "the project has no `secret`, and this needs one",
                "set `secret: ${CONNECT_SECRET}` in connect.yml; `connect init` makes one in .env",
            )
        return [_Key(_digest(secret.reveal().encode(), 32, person=b"connect-seal")) for secret in self.secrets]


def _marked(marker: hashlib.blake2b, data: bytes) -> bytes:
    mine = marker.copy()
    mine.update(data)
    return mine.digest()


class _Key:
    """A derived AES key, and what values that it sealed begin with."""

    def __init__(self, derived: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # takes longer to import than `--help` may

        self.bytes = derived
        cipher = AESGCM(derived)
        self.encrypt, self.decrypt = cipher.encrypt, cipher.decrypt
        self.head = bytes((_SEAL_VERSION,)) + _digest(derived, 4, person=b"connect-key-id")


def _digest(data: bytes, size: int, person: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=size, person=person).digest()


def _pad(plain: bytes) -> bytes:
    """Plain text behind its length, filled up to a multiple of 32 bytes."""
    framed = len(plain).to_bytes(4, "big") + plain
    return framed + bytes(-len(framed) % _PADDED_TO)


def _unpad(padded: bytes) -> bytes:
    size = int.from_bytes(padded[:4], "big")
    return padded[4 : 4 + size]


_UNSUBSCRIBE = "unsubscribe"
_CLAIMS = ("channel", "id", "address", "topic")
_COMPACT, _UNIT = b"\x01", "\x1f"
"""Links in text messages are paid for by the letter: without names, and with the correlation id as bytes."""


def unsubscribe_token(ring: KeyRing, key: bytes, claims: Mapping[str, str]) -> str:
    """A sealed token for an unsubscribe link: opaque, URL-safe, the same for the same message key.

    Claims: id, channel, address, topic, and the correlation id of the message.
    """
    return _text(ring.seal(_UNSUBSCRIBE, _packed(claims), nonce_seed=key))


def _packed(claims: Mapping[str, str]) -> bytes:
    cells = _UNIT.join([claims.get(name, "") for name in _CLAIMS])
    found = read_correlation_id(claims.get("correlation", ""))
    if found is None or len(claims) != len(_CLAIMS) + 1 or cells.count(_UNIT) != len(_CLAIMS) - 1:
        return json.dumps(dict(sorted(claims.items())), ensure_ascii=False).encode(errors="replace")
    run_id, key = found
    return _COMPACT + run_id.encode() + key + cells.encode(errors="replace")


def open_unsubscribe_token(ring: KeyRing, token: str) -> dict[str, str]:
    """The claims of an unsubscribe token: id, channel, address, topic, correlation. Raises SealBroken.

    Tokens of long ago have no correlation.
    """
    try:
        sealed = _bytes(token)
    except ValueError:
        raise SealBroken("not a token") from None
    return _unpacked(ring.open(_UNSUBSCRIBE, sealed))


def _unpacked(plain: bytes) -> dict[str, str]:
    if not plain.startswith(_COMPACT):
        claims: dict[str, str] = json.loads(plain)
        return claims
    run_id, key, cells = plain[1:17].decode(), plain[17:33], plain[33:].decode()
    named = dict(zip(_CLAIMS, cells.split(_UNIT), strict=True))
    return {**named, "correlation": correlation_id(run_id, key)}
