"""Where a MySQL or MariaDB server is, and how its line is encrypted."""

from __future__ import annotations

import ssl
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, model_validator

from connect.redact import Secret
from connect.warehouses.interface import SourceSettings

SslMode = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]
"""As MySQL's own clients call them."""

_IN_A_URL = ("unix_socket", "ssl_mode", "ssl_ca")
_NOT_OURS = ("charset",)
"""What SQLAlchemy's URLs have, and is always the same here."""


class MySQLSettings(SourceSettings):
    """`url: mysql://user:${PASSWORD}@host/database`, or the same in pieces."""

    url: str | None = Field(None, repr=False)
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    unix_socket: str | None = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    ssl_mode: SslMode | None = None
    ssl_ca: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> MySQLSettings:
        if self.url is not None and any(getattr(self, name) is not None for name in _PIECES):
            raise ValueError("give either `url`, which may end in ?ssl_mode=required, or its pieces")
        if self.url is None and not self.database:
            raise ValueError("give either `url`, or `host`, `database`, `user` and `password`")
        return self

    def pieces(self) -> dict[str, Any]:
        """Everything that is set, by the names of these fields. Raises ValueError where the URL is none."""
        if self.url is None:
            own = {name: getattr(self, name) for name in _PIECES}
            own["password"] = self.password.reveal() if self.password else None
        else:
            own = _in_url(self.url)
        return {name: value for name, value in own.items() if value not in (None, "")}

    def parameters(self) -> dict[str, Any]:
        """What PyMySQL connects with. Raises ValueError where the URL is none, and OSError for `ssl_ca`."""
        own = self.pieces()
        mode, authority = own.pop("ssl_mode", None), own.pop("ssl_ca", None)
        if "password" in own:
            own["password"] = own["password"].encode()
        if mode is None and "unix_socket" in own:
            mode = "disabled"
        return {**own, **_encryption(mode, authority)}


_PIECES = ("host", "port", "unix_socket", "database", "user", "password", "ssl_mode", "ssl_ca")


def _in_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    mode = named.get("ssl_mode")
    if set(named) - {*_IN_A_URL, *_NOT_OURS} or (mode and mode not in get_args(SslMode)):
        raise ValueError("a URL has no other parameters than these")
    own: dict[str, Any] = {name: value for name, value in named.items() if name in _IN_A_URL}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    own |= {"user": unquote(user), "password": unquote(password), "host": parts.hostname, "port": parts.port}
    return {**own, "database": unquote(parts.path[1:])}


def _encryption(mode: SslMode | None, authority: str | None) -> dict[str, Any]:
    if mode == "disabled":
        return {"ssl_disabled": True}
    if mode in (None, "preferred"):
        return {}
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # which the certificates that servers make for themselves are not
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
    return {"ssl": context}
