"""The stand-in for Snowflake lets in who proves to be a registered user, and nobody else."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connect.testing.postgres import NoServer
from connect.testing.services import Service, shared_service


@pytest.fixture(scope="module")
def service() -> Service:
    try:
        return shared_service("fakesnow")
    except NoServer as why:
        pytest.skip(str(why))


def _register(service: Service, **user: str) -> None:
    url = f"http://127.0.0.1:{service.port}/control/users"
    asked = urllib.request.Request(url, json.dumps(user).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(asked, timeout=30).close()


def _key() -> tuple[str, str]:
    """A new key pair as PEM texts: private, public."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), public.decode()


@pytest.fixture
def sign_in(service: Service) -> Callable[..., Any]:
    def sign_in(**given: str) -> Any:
        import snowflake.connector as driver

        where = {"account": "acme", "host": "127.0.0.1", "port": service.port, "protocol": "http"}
        with driver.connect(**where, enable_server_session_keep_alive_auto_detection=False, **given) as connection:
            return connection.cursor().execute("select 1").fetchone()

    return sign_in


def test_the_right_key_or_password(service: Service, sign_in: Callable[..., Any]) -> None:
    private, public = _key()
    _register(service, name="ann", key=public)
    _register(service, name="bob", password="hunter2")
    assert sign_in(user="ann", private_key=private, authenticator="SNOWFLAKE_JWT") == (1,)
    assert sign_in(user="Bob", password="hunter2") == (1,)


def test_another_key_another_password_or_nobody(service: Service, sign_in: Callable[..., Any]) -> None:
    import snowflake.connector as driver

    (_, public), (other, _) = _key(), _key()
    _register(service, name="cara", key=public)
    _register(service, name="dan", password="hunter2")
    for given in (
        {"user": "cara", "private_key": other, "authenticator": "SNOWFLAKE_JWT"},
        {"user": "dan", "private_key": other, "authenticator": "SNOWFLAKE_JWT"},
        {"user": "dan", "password": "hunter3"},
        {"user": "cara", "password": "hunter2"},
        {"user": "erin", "password": "hunter2"},
    ):
        with pytest.raises(driver.DatabaseError) as raised:
            sign_in(**given)
        assert raised.value.errno in (390100, 390144), given
