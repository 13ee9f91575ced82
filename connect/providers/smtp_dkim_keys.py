"""Keys of DKIM signatures: how one signs, and the record of its public half (RFC 6376, RFC 8301, RFC 8463)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

LEAST_BITS = 1024
"""Of an RSA key; signatures of smaller ones count for nothing (RFC 8301 3.2)."""
GOOD_BITS = 2048
MOST_BITS = 4096
"""Which everybody who verifies must take."""


class NoKey(Exception):
    """A private key that can not sign. The text is about the key, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A private key that was loaded."""

    algorithm: str
    """As it stands in a signature's `a=`."""
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Equal bytes give equal signatures: both algorithms are deterministic."""
    record: str
    """The TXT record of its public half."""
    kind: str
    weakness: str = ""
    """What is to be said against it."""


def load_key(pem: str) -> Key:
    """The key of this PEM text: RSA or Ed25519, not encrypted. Raises NoKey."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key = _private_key(pem)
    if isinstance(key, Ed25519PrivateKey):
        return _ed25519(key)
    if isinstance(key, RSAPrivateKey):
        return _rsa(key)
    raise NoKey("it is neither RSA nor Ed25519")


def public_record(private_key: str) -> str:
    """The TXT record to publish at `<selector>._domainkey.<domain>` for this private key. Raises NoKey."""
    return load_key(private_key).record


def _private_key(pem: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # In the environment, and in `.env`, a key often stands on one line, with `\n` for its line ends.
    written = pem.replace("\\n", "\n").strip().encode(errors="replace")
    if b"PUBLIC KEY" in written:
        raise NoKey("it is the public half")
    try:
        return load_pem_private_key(written, None)
    except TypeError:
        raise NoKey("it is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise NoKey("it is no private key in PEM") from None


def _ed25519(key: Ed25519PrivateKey) -> Key:
    def sign(data: bytes) -> bytes:
        return key.sign(sha256(data).digest())  # RFC 8463 3: the hash is what is signed

    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return Key("ed25519-sha256", sign, f"v=DKIM1; k=ed25519; p={public}", "Ed25519")


def _rsa(key: RSAPrivateKey) -> Key:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    bits = key.key_size
    if bits < LEAST_BITS:
        raise NoKey(f"it has {bits} bits: a signature with fewer than {LEAST_BITS} counts for nothing")
    padding, digest = PKCS1v15(), SHA256()

    def sign(data: bytes) -> bytes:
        return key.sign(data, padding, digest)

    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    return Key("rsa-sha256", sign, f"v=DKIM1; k=rsa; p={public}", f"RSA, {bits} bits", _weakness(bits))


def _weakness(bits: int) -> str:
    if bits < GOOD_BITS:
        return f"weak: make one with {GOOD_BITS}"
    return f"not everybody verifies more than {MOST_BITS}" if bits > MOST_BITS else ""
