"""Endpoints of the user's that are told what happens: `webhooks` in connect.yml."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from connect.project.nodes import Block, Scalar, scalar
from connect.project.reading import Reading, Written, refuse
from connect.project.secrets import report_literal
from connect.project.types import Boolean
from connect.redact import Secret
from connect.vocabulary import HappeningType

_URL = re.compile(r"https?://[^\s/?#@]+([/?]\S*)?", re.IGNORECASE)
_LEAST_KEY = 16
"""Bytes that a key has at least."""


def _url(value: object) -> object:
    if isinstance(value, Scalar) and not value.unresolved and not _URL.fullmatch(value):
        raise refuse("bad-url", "`url` is not a URL", "it begins with https:// and has neither a password nor spaces")
    return str(value) if isinstance(value, Scalar) else value


def _signing_secret(value: Any) -> Any:
    if isinstance(value, Scalar) and value.secret and not value.unresolved and not _is_key(str(value)):
        hint = "`whsec_` and base64, such as the output of: echo whsec_$(openssl rand -base64 24)"
        raise refuse("bad-value", "`signing_secret` is not a signing secret", hint)
    return Secret(str(value)) if isinstance(value, Scalar) else value


def _is_key(text: str) -> bool:
    """Whether it is a secret of Standard Webhooks."""
    try:
        return len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) >= _LEAST_KEY
    except (binascii.Error, ValueError):
        return False


class Hook(Written):
    """One endpoint."""

    section: ClassVar[str] = "webhooks"

    url: Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string"})] = Field(
        repr=False, description="the endpoint: https://…"
    )
    signing_secret: Annotated[Secret, BeforeValidator(_signing_secret)] = Field(
        description="signs each request (Standard Webhooks): ${NAME}"
    )
    events: tuple[HappeningType, ...] = Field(
        tuple(HappeningType), description="what it is told; everything by default"
    )
    allow_private: Boolean = Field(
        False, description="it may be on this machine or in a private network, and speak plain http"
    )
    enabled: Boolean = Field(True, description="false tells it nothing")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        secret, url = scalar(tree.get("signing_secret")), scalar(tree.get("url"))
        if secret is not None and not (secret.secret or secret.unresolved):
            report_literal(secret, "the signing secret", reading)
        plain = url is not None and not url.unresolved and url.lower().startswith("http://")
        if plain and tree.get("allow_private") != "true":
            said = "what an endpoint is told names people, and `http://` shows it to everybody on the way"
            hint = "use https://; `allow_private: true` is for an endpoint in your own network"
            reading.report("plain-http", said, hint, node=url)
        return tree
