"""DKIM signatures of the letter: Connect's signer against dkimpy's, over the same bytes, encoded before."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import mime
from benchmarks.rows import Row, compared
from benchmarks.sizes import Size
from benchmarks.stopwatch import rates
from connect.channels.mime import encode
from connect.providers.smtp_dkim import SIGNED, Dkim, Signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_MESSAGES = 20
Item = TypeVar("Item")
_DOMAIN, _SELECTOR = "meridian.example", "bench"


def rows(size: Size) -> Iterator[Row]:
    """For each algorithm, signed e-mails; and how many are encoded and signed by RSA, as an account does it."""
    emails = mime.emails(mime.rendered("english", _MESSAGES))
    messages = [encode(email, date=_NOW) for email in emails]
    rsa, ed25519 = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    signers = {"rsa": _signer(rsa), "ed25519": _signer(ed25519)}
    # dkimpy takes RSA keys of the older form, and Ed25519 keys without any.
    theirs = {
        "rsa": _pem(rsa, PrivateFormat.TraditionalOpenSSL),
        "ed25519": base64.b64encode(ed25519.private_bytes_raw()),
    }
    works = {"encoded": _everybody(emails, partial(signers["rsa"].encode, date=_NOW))}
    for name, signer in signers.items():
        works[name] = _everybody(messages, partial(signer.sign, date=_NOW))
        works[f"{name}_dkimpy"] = _everybody(messages, _dkimpy(name, theirs[name]))
    found = rates(works, size)
    unit = "messages/s of CPU"
    own = {"dkim_rsa": found["rsa"], "dkim_rsa_encoded": found["encoded"]}
    yield from compared(unit, ("dkim_rsa_dkimpy", found["rsa_dkimpy"]), own)
    yield from compared(unit, ("dkim_ed25519_dkimpy", found["ed25519_dkimpy"]), {"dkim_ed25519": found["ed25519"]})


def _pem(key: PrivateKeyTypes, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def _signer(key: PrivateKeyTypes) -> Signer:
    pem = _pem(key, PrivateFormat.PKCS8).decode()
    return Signer([Dkim.model_validate({"domain": _DOMAIN, "selector": _SELECTOR, "private_key": pem})])


def _dkimpy(name: str, key: bytes) -> Callable[[bytes], bytes]:
    """As its documentation does it, with the canonical forms and the fields of ours."""

    def sign(message: bytes) -> bytes:
        signature: bytes = dkim.sign(
            message,
            _SELECTOR.encode(),
            _DOMAIN.encode(),
            key,
            canonicalize=(b"relaxed", b"relaxed"),
            signature_algorithm=f"{name}-sha256".encode(),
            include_headers=_covered(message),
        )
        return signature + message

    return sign


def _covered(message: bytes) -> list[bytes]:
    head = message.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")]
    return [name for name in names if name in SIGNED] + [b"from"]


def _everybody(items: list[Item], sign: Callable[[Item], bytes]) -> Callable[[], int]:
    def work() -> int:
        for item in items:
            sign(item)
        return len(items)

    return work
