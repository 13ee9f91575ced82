"""Our signature is botocore's, and credentials are renewed in time."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from hypothesis import given
from hypothesis import strategies as st

from connect.providers import ses_calls
from connect.providers.aws_credentials import NoKeys, Renewing
from connect.providers.aws_signing import Keys, Place, Signer
from connect.redact import Secret

NOW = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
JSON = {"content-type": "application/json"}
PROTOCOLS = {
    "REST-JSON": JSON,
    "Query": {"content-type": "application/x-www-form-urlencoded"},
    "JSON 1.0": {"content-type": "application/x-amz-json-1.0", "x-amz-target": "PinpointSMSVoiceV2.SendTextMessage"},
}
PLACE = Place.of("https://email.eu-west-1.amazonaws.com", "eu-west-1", "ses")


def botocores(url: str, body: bytes, keys: Keys, now: datetime, fields: dict[str, str]) -> dict[str, str]:
    token = keys.token.reveal() if keys.token else None
    credentials = Credentials(keys.access_key_id, keys.secret.reveal(), token)
    request = AWSRequest("POST", url, headers=fields, data=body)
    with patch("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None)):
        SigV4Auth(credentials, "ses", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    body=st.binary(max_size=200),
    access=st.text("ABCDEFGHIJ234567", min_size=16, max_size=20),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)),
    endpoint=st.sampled_from(
        [
            "https://email.eu-west-1.amazonaws.com",
            "https://email.eu-west-1.amazonaws.com:443",
            "http://127.0.0.1:4566",
            "https://Proxy.example:8443/aws~mail",
            "http://[::1]:4566",
        ]
    ),
    protocol=st.sampled_from(list(PROTOCOLS)),
)
def test_the_signature_is_botocores(
    body: bytes, access: str, secret: str, token: str | None, now: datetime, endpoint: str, protocol: str
) -> None:
    keys = Keys(access, Secret(secret), Secret(token) if token else None)
    path = ("/aws~mail" if endpoint.endswith("mail") else "") + ses_calls.PATHS["SendEmail"]
    url = endpoint.removesuffix("/aws~mail") + path
    signer = Signer(Place.of(endpoint, "eu-west-1", "ses"), PROTOCOLS[protocol])
    ours = signer.headers(path, body, keys, now.replace(tzinfo=UTC))
    theirs = botocores(url, body, keys, now, PROTOCOLS[protocol])
    assert ours == {name: theirs[name] for name in ours}
    assert set(theirs) - set(ours) <= {"host"}


def test_the_key_of_a_day_is_made_once_and_again_for_another() -> None:
    signer, keys = Signer(PLACE, JSON), Keys("AKIA", Secret("one"))
    days = [signer.headers("/", b"", keys, NOW + timedelta(days=day))["authorization"] for day in (0, 1, 0)]
    assert days[0] == days[2] != days[1]
    other = signer.headers("/", b"", Keys("AKIA", Secret("two")), NOW)["authorization"]
    assert other != days[0]


def test_keys_are_not_shown() -> None:
    assert "canary" not in repr(Keys("canary", Secret("canary"), Secret("canary")))


class Source:
    """A role's credentials, which last until they are told otherwise."""

    def __init__(self, lasts: timedelta) -> None:
        self.asked = 0
        self.lasts = lasts
        self.failure: Exception | None = None
        self.threads: set[str] = set()
        self.credentials = RefreshableCredentials.create_from_metadata(self._metadata(), self._again, "test")

    def _again(self) -> dict[str, str]:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.failure:
            raise self.failure
        return self._metadata()

    def _metadata(self) -> dict[str, str]:
        until = datetime.now(UTC) + self.lasts
        return {
            "access_key": f"AKIA{self.asked}",
            "secret_key": "s",
            "token": "t",
            "expiry_time": until.isoformat(),
        }


async def test_credentials_that_last_are_asked_once() -> None:
    source = Source(timedelta(hours=6))
    renewing = Renewing(source.credentials)
    assert await renewing.keys() is await renewing.keys()
    assert source.asked == 0


async def test_credentials_that_run_out_are_renewed_once_beside_the_loop() -> None:
    source = Source(timedelta(minutes=12))  # good for a while, and botocore wants new ones
    source.lasts = timedelta(hours=6)
    renewing = Renewing(source.credentials)
    found = await asyncio.gather(*(renewing.keys() for _ in range(10)))
    assert {keys.access_key_id for keys in found} == {"AKIA1"}
    assert source.asked == 1
    assert threading.main_thread().name not in source.threads


@pytest.mark.parametrize(
    "failure",
    [
        CredentialRetrievalError(provider="test", error_msg="canary"),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "canary"}}, "AssumeRole"),
        PermissionError("canary"),  # of the file that a token is kept in
        KeyError("canary"),  # of what a process has written
    ],
)
async def test_credentials_that_are_not_to_be_had(failure: Exception) -> None:
    source = Source(timedelta(minutes=-1))
    source.failure = failure
    with pytest.raises(NoKeys) as caught:
        await Renewing(source.credentials).keys()
    assert str(caught.value) == type(failure).__name__
    assert "canary" not in repr(caught.value.__context__)


async def test_no_key_at_all() -> None:
    with pytest.raises(NoKeys):
        await Renewing(Credentials("", "")).keys()
