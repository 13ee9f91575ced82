"""The project's own HTTP server: where it listens, under which address the world knows it, and who may call."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from connect.project.nodes import Scalar
from connect.project.reading import Written, refuse
from connect.project.types import Boolean, Name, Rate, RateField, Word, Words
from connect.vocabulary import Scope

DEFAULT_LISTEN = "127.0.0.1:8080"


def _base_url(value: object) -> object:
    if isinstance(value, Scalar) and not value.unresolved and not re.fullmatch(r"https?://[^\s/]+\S*", value):
        raise refuse("bad-value", "`base_url` is not a URL", "it begins with https:// (or http://)")
    return str(value).rstrip("/") if isinstance(value, Scalar) else value


def _listen(value: str) -> str:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:]+)\]|([^\s:\[\]]+)):(\d{1,5})", value)
    if not found or int(found[3]) > 65535:
        raise refuse("bad-value", f"`{value}` is not an address to listen at", "a host and a port: 127.0.0.1:8080")
    return value


def host_and_port(listen: str) -> tuple[str, int]:
    """Of an address that was read: `127.0.0.1:8080`, `[::1]:8080`."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            hint = "such as 10.0.0.5, or 10.0.0.0/8"
            raise refuse("bad-value", f"`{value}` is neither an address nor a network", hint) from None
    return values


_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def _hash(value: str) -> str:
    if not _HASH.fullmatch(value):
        hint = "`connect keys new NAME` makes a key, and prints its hash: the key itself never stands in a file"
        raise refuse("bad-value", "this is not the hash of a key", hint)
    return value


class ApiKey(Written):
    """One who may call the API, known by the hash of a key that is written nowhere."""

    section: ClassVar[str] = "serve.keys"

    hash: Annotated[Word, AfterValidator(_hash)] = Field(description="sha256:…, as `connect keys new` prints it")
    scopes: tuple[Scope, ...] = Field((Scope.read,), description="read, trigger, send, control")
    rate: RateField = Field(Rate(50, timedelta(seconds=1)), description="so many calls at most, such as 50/s or 600/m")


class Serve(Written):
    """The project's public endpoint."""

    section: ClassVar[str] = "serve"

    base_url: Annotated[str, BeforeValidator(_base_url), WithJsonSchema({"type": "string"})] | None = Field(
        None, description="under which the world reaches the server: https://connect.example.com"
    )
    listen: Annotated[Word, AfterValidator(_listen)] = Field(DEFAULT_LISTEN, description="host and port")
    trusted_proxies: Annotated[Words, AfterValidator(_networks)] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded headers are believed"
    )
    metrics: Boolean = Field(False, description="answer `/metrics`, for Prometheus")
    api_keys: dict[Name, ApiKey] = Field({}, alias="keys", description="who may call the API")
