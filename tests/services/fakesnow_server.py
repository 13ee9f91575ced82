"""fakesnow as a server that checks who signs in. Run by the Python of its own environment, which has fakesnow.

    .services/fakesnow/bin/python -P tests/services/fakesnow_server.py

It listens on a free port of this machine, prints the port, and ends when its standard input does.

What the emulator lacks is added here. Signing in: it lets everybody in and answers too little for version 5 of the
driver; here a password must be right, and the token of a key pair must be signed with the key whose public half was
registered, as Snowflake checks it. `POST /control/users` registers somebody: `{name, password}` or `{name, key}`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
import socket
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import fakesnow.server as emulator
import jwt
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class User:
    password: str | None
    key: str | None
    """The public key, as PEM text."""


USERS: dict[str, User] = {}
"""By their names in capitals, as Snowflake keeps them."""

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
        return failed(*refused)
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
    return dict(json.loads(gzip.decompress(body) if packed else body))


def failed(code: str, message: str) -> Response:
    return JSONResponse({"data": {"errorCode": code}, "code": code, "message": message, "success": False})


async def ignored(request: Request) -> Response:
    """Whatever else a driver tells a server, such as its telemetry."""
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})


OWN = {"/session/v1/login-request"}
ROUTES = [
    Route("/control/users", register, methods=["POST"]),
    Route("/session/v1/login-request", login, methods=["POST"]),
    *(route for route in emulator.routes if route.path not in OWN),
    Route("/{path:path}", ignored, methods=["GET", "POST", "PUT"]),
]


def end_with_input(server: uvicorn.Server) -> None:
    """Stop when whoever started this does, however that ends."""
    sys.stdin.read()
    server.should_exit = True


def main() -> None:
    warnings.filterwarnings("ignore", "Arrow output on a DB-API result")
    emulator.logger.setLevel("ERROR")  # it logs the text of every query that fails
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=ROUTES), log_level="warning", timeout_graceful_shutdown=1))
    threading.Thread(target=end_with_input, args=[server], daemon=True).start()
    print(listening.getsockname()[1], flush=True)  # noqa: T201
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
