"""The provider token: good by an independent library, and the same bytes from everyone who makes it."""

from __future__ import annotations

import subprocess
import sys

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from connect.providers.apns_token import ProviderTokens
from connect.redact import Secret
from connect.testing.rigs.apns import a_key

PRIVATE, PUBLIC = a_key()
SLOT = 2400
NOON = 1_800_000_000 // SLOT * SLOT


def tokens() -> ProviderTokens:
    return ProviderTokens(Secret(PRIVATE), "KEY0000001", "ACME000001")


def claims(bearer: str) -> dict[str, object]:
    kind, _, token = bearer.partition(" ")
    assert kind == "bearer"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY0000001"}
    found: dict[str, object] = jwt.decode(token, PUBLIC, ["ES256"], options={"verify_iat": False})
    return found


def test_it_verifies() -> None:
    assert claims(tokens().bearer(NOON + 90)) == {"iss": "ACME000001", "iat": NOON}


def test_everybody_makes_the_same_bytes_for_forty_minutes() -> None:
    """Whatever was made before."""
    first, second = tokens(), tokens()
    second.bearer(NOON - 5000)
    made = {each.bearer(NOON + 60 + second_of) for each in (first, second) for second_of in (0, 1, 1234.5, SLOT - 1)}
    assert len(made) == 1
    assert first.bearer(NOON + 60 + SLOT) not in made


def test_another_process_makes_the_same_bytes() -> None:
    program = (
        "import sys; from connect.providers.apns_token import ProviderTokens; from connect.redact import Secret; "
        "print(ProviderTokens(Secret(sys.stdin.read()), 'KEY0000001', 'ACME000001').bearer(float(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(NOON + 100)]
    there = subprocess.run(command, input=PRIVATE, capture_output=True, text=True, check=True).stdout.strip()
    assert there == tokens().bearer(NOON + 2000)


def test_it_is_never_old_or_from_the_future() -> None:
    """Apple takes an hour, and renewals every 20 minutes; a minute is for clocks that are not the same."""
    made = tokens()
    for now in range(NOON, NOON + 3 * SLOT, 7):
        issued = claims(made.bearer(now))["iat"]
        assert isinstance(issued, int)
        assert 60 <= now - issued < 60 + SLOT


def test_a_younger_one_where_there_is_one() -> None:
    made = tokens()
    late = NOON + 60 + 20 * 60
    refused = made.bearer(late)
    renewed = made.renewed(refused, late)
    assert renewed is not None
    assert claims(renewed)["iat"] == NOON + 20 * 60
    assert made.renewed(refused, late) == renewed == made.bearer(late), "for all whose first one was refused"
    assert made.renewed(renewed, late) is None


def test_no_younger_one_in_the_first_twenty_minutes() -> None:
    made = tokens()
    assert made.renewed(made.bearer(NOON + 100), NOON + 100) is None
    assert made.renewed(made.bearer(NOON + 100), NOON + 100 + SLOT) is not None, "time has gone on"


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: str = "") -> str:
    sealed = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


@pytest.mark.parametrize(
    "private_key",
    [
        "",
        "secret text",
        PRIVATE[:100],
        PUBLIC,
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP256R1()), "password"),
    ],
    ids=["blank", "no PEM", "cut", "public", "another curve", "RSA", "encrypted"],
)
def test_what_is_no_such_key(private_key: str) -> None:
    with pytest.raises(ValueError, match=r"^not the PEM of a P-256 key$") as caught:
        ProviderTokens(Secret(private_key), "k", "t")
    assert caught.value.__context__ is None
