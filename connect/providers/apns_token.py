"""The provider token of APNs: one for all workers and machines of an account, without any talk between them.

APNs wants the same token for 20 to 60 minutes, and answers TooManyProviderTokenUpdates to a provider that comes with
one after the other (documented at developer.apple.com, "Establishing a token-based connection to APNs"). So its time is
the clock's, floored, and the signature is deterministic (RFC 6979): whoever signs it makes the very same bytes.
"""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connect.redact import Secret

_STEP = 40 * 60
_FINER = 20 * 60
"""As often as APNs allows."""
_LATE = 60
"""A new token is used this many seconds after its own time, so that it is not from the future where a clock is fast."""


class ProviderTokens:
    """What goes into the Authorization field."""

    def __init__(self, private_key: Secret, key_id: str, team_id: str) -> None:
        """Raises ValueError where this is not the PEM of a P-256 key."""
        self._key = _read(private_key)
        self._key_id, self._team_id = key_id, team_id
        self._step = _STEP
        self._issued = -1
        self._bearer = ""

    def bearer(self, now: float) -> str:
        """The value at this time (seconds since 1970)."""
        issued = (int(now) - _LATE) // self._step * self._step
        if issued != self._issued:
            self._bearer, self._issued = "bearer " + self._signed(issued), issued
        return self._bearer

    def renewed(self, refused: str, now: float) -> str | None:
        """Another value than this one, which APNs calls expired; None where this clock knows of none.

        It is wrong by many minutes then. A token that is younger by its clock may do for a while.
        """
        if (bearer := self.bearer(now)) != refused:
            return bearer  # somebody was quicker
        self._step = _FINER
        bearer = self.bearer(now)
        return bearer if bearer != refused else None

    def _signed(self, issued: int) -> str:
        head = _part({"alg": "ES256", "kid": self._key_id})
        signing = f"{head}.{_part({'iss': self._team_id, 'iat': issued})}"
        signature = self._key.sign(signing.encode(), ec.ECDSA(SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return f"{signing}.{_text(r.to_bytes(32) + s.to_bytes(32))}"


def _read(private_key: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(private_key.reveal().encode(), None)
    except Exception:  # noqa: BLE001 - ValueError, TypeError (a password), UnsupportedAlgorithm: none may show the key
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not the PEM of a P-256 key")
    return key


def _part(claims: dict[str, object]) -> str:
    return _text(json.dumps(claims, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
