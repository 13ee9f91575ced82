"""Signing in, with proof: a password must be right, and the token of a key pair signed with the registered key.

`POST /control/users` registers somebody: `{name, password}`, or `{name, key}` with the public half as PEM text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

import fakesnow.server as emulator
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


@dataclass(frozen=True)
class User:
    password: str | None
    key: str | None


USERS: dict[str, User] = {}
"""By their names in capitals, as Snowflake keeps them."""

PARAMETERS: dict[str, dict[str, Any]] = {}
"""Token of who signed in → the session's parameters that were asked for."""

WRONG_PASSWORD = ("390100", "Incorrect username or password was specified.")
WRONG_TOKEN = ("390144", "JWT token is invalid.")


async def register(request: Request) -> Response:
    """Somebody who may sign in from now on."""
    asked = await request.json()
    USERS[asked["name"].upper()] = User(asked.get("password"), asked.get("key"))
    return JSONResponse({})


async def login(request: Request) -> Response:
    """The emulator's answer, completed, for whoever proves to be a registered user."""
    asked = (await content(request))["data"]
    if refused := refusal(asked):
        return failed(*refused, "28000")
    answer = json.loads(bytes((await emulator.login_request(request)).body))
    answer["data"] |= {
        "masterToken": secrets.token_urlsafe(32),
        "validityInSeconds": 3600,
        "masterValidityInSeconds": 14400,
        "sessionId": secrets.randbits(48),
        "displayUserName": asked["LOGIN_NAME"].upper(),
    }
    answer["data"]["sessionInfo"] |= {
        "warehouseName": request.query_params.get("warehouse"),
        "roleName": request.query_params.get("roleName") or "PUBLIC",
    }
    PARAMETERS[answer["data"]["token"]] = asked.get("SESSION_PARAMETERS", {})
    return JSONResponse(answer)


def refusal(asked: dict[str, Any]) -> tuple[str, str] | None:
    """Why somebody may not sign in; None where they may."""
    name = asked.get("LOGIN_NAME", "").upper()
    user = USERS.get(name)
    if asked.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
        right = user is not None and user.key is not None
        return None if right and is_signed(asked, name, user.key) else WRONG_TOKEN
    known = user.password if user else None
    return None if known is not None and known == asked.get("PASSWORD") else WRONG_PASSWORD


def is_signed(asked: dict[str, Any], name: str, pem: str) -> bool:
    """Whether the token is of this account and user, not too old, and signed with the key that was registered.

    https://docs.snowflake.com/en/developer-guide/sql-api/authenticating says what is in it.
    """
    key = load_pem_public_key(pem.encode())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
    subject = f"{asked['ACCOUNT_NAME'].upper()}.{name}"
    try:
        said = jwt.decode(asked["TOKEN"], key, algorithms=["RS256"], options={"require": ["iss", "sub", "iat", "exp"]})
    except jwt.PyJWTError:
        return False
    return (said["sub"], said["iss"]) == (subject, f"{subject}.{fingerprint}")


async def content(request: Request) -> dict[str, Any]:
    body = await request.body()
    packed = request.headers.get("Content-Encoding") == "gzip"
    return dict(json.loads(gzip.decompress(body) if packed else body or b"{}"))


def failed(code: str, message: str, state: str) -> Response:
    data = {"errorCode": code, "sqlState": state}
    return JSONResponse({"data": data, "code": code, "message": message, "success": False})
