"""The fields of a Snowflake source, and what the driver connects with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import Field, model_validator

from connect.errors import UserError
from connect.redact import Secret
from connect.warehouses.interface import SourceSettings


class SnowflakeSettings(SourceSettings):
    """`url: snowflake://user:${PASSWORD}@account/database/schema?warehouse=…&role=…`, or the same in pieces."""

    url: str | None = Field(None, repr=False)
    account: str | None = None
    user: str | None = None
    password: Secret | None = None
    private_key: Secret | None = None
    """The key itself, as PEM text."""
    private_key_file: str | None = None
    private_key_passphrase: Secret | None = None
    role: str | None = None
    warehouse: str | None = None
    database: str | None = None
    schema_: str | None = Field(None, alias="schema")
    host: str | None = None
    """Where it is not `account.snowflakecomputing.com`: a private endpoint."""
    port: int | None = Field(None, ge=1, le=65535)
    protocol: Literal["https", "http"] | None = None
    query_tag: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> SnowflakeSettings:
        pieces = [self.account, self.user, self.password, self.role, self.warehouse, self.database, self.schema_]
        if self.url is not None and any(piece is not None for piece in pieces):
            raise ValueError("give either `url`, which may end in ?warehouse=…&role=…, or its pieces")
        if self.url is None and not (self.account and self.user):
            raise ValueError("give either `url`, or `account`, `user`, and `password` or `private_key_file`")
        if self.private_key is not None and self.private_key_file is not None:
            raise ValueError("give either `private_key` or `private_key_file`")
        if self.url is None and not (self.password or self.private_key or self.private_key_file):
            raise ValueError("give `password`, `private_key` or `private_key_file`")
        return self

    def parameters(self, name: str, root: Path) -> dict[str, Any]:
        """What the driver connects with. Raises UserError where the URL or the key can not be read."""
        given = {
            "account": self.account,
            "user": self.user,
            "password": self.password.reveal() if self.password else None,
            "role": self.role,
            "warehouse": self.warehouse,
            "database": self.database,
            "schema": self.schema_,
        }
        own = _of_url(self.url, name) if self.url is not None else given
        own |= {"host": self.host or own.get("host"), "port": self.port or own.get("port"), "protocol": self.protocol}
        if key := self._key(name, root):
            own = {**own, "private_key": key, "password": None, "authenticator": "SNOWFLAKE_JWT"}
        return {name: value for name, value in own.items() if value is not None}

    def named(self) -> dict[str, str]:
        """Role, warehouse, database and schema, as far as they are told."""
        if self.url is None:
            own = {"role": self.role, "warehouse": self.warehouse, "database": self.database, "schema": self.schema_}
            return {name: value for name, value in own.items() if value}
        found = re.match(r"[^:]+://[^/]*/([^/?]*)/?([^/?]*)", self.url)
        database, schema = found.groups() if found else ("", "")
        query = dict(parse_qsl(self.url.partition("?")[2]))
        own = {"database": database, "schema": schema, "role": query.get("role"), "warehouse": query.get("warehouse")}
        return {name: value for name, value in own.items() if value}

    def _key(self, name: str, root: Path) -> bytes | None:
        """The private key without its passphrase, as the driver takes it."""
        if self.private_key is None and self.private_key_file is None:
            return None
        passphrase = self.private_key_passphrase.reveal().encode() if self.private_key_passphrase else None
        return _decrypted(self._pem(name, root), passphrase, name)

    def _pem(self, name: str, root: Path) -> bytes:
        if self.private_key is not None:
            # Environment variables often hold a key with its line ends written as \n.
            return self.private_key.reveal().replace("\\n", "\n").encode()
        file = root / Path(self.private_key_file or "").expanduser()
        try:
            return file.read_bytes()
        except OSError as error:
            hint = "check `private_key_file` in connect.yml; it is relative to the project's folder"
            message = f"the private key of source `{name}` can not be read from {file}: {error.strerror}"
            raise UserError.of("bad-private-key", message, hint) from None


def _decrypted(pem: bytes, passphrase: bytes | None, name: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    said = f"the private key of source `{name}` can not be read"
    try:
        key = load_pem_private_key(pem, passphrase)
    except TypeError:  # there is a passphrase and should be none, or the other way round
        hint = "leave out `private_key_passphrase`" if passphrase else "it is encrypted: give `private_key_passphrase`"
    except Exception:  # noqa: BLE001 - what OpenSSL does not like, it says in many ways
        hint = "check `private_key_passphrase`" if passphrase else "it is PEM text: -----BEGIN PRIVATE KEY-----"
    else:
        return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    raise UserError.of("bad-private-key", said, hint)


def _of_url(url: str, name: str) -> dict[str, Any]:
    """What snowflake-sqlalchemy reads in a URL, but for what is SQLAlchemy's own."""
    from snowflake.sqlalchemy.snowdialect import SnowflakeDialect
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        _, found = SnowflakeDialect().create_connect_args(make_url(url))
    except (SQLAlchemyError, ValueError):
        hint = "snowflake://user:${PASSWORD}@account/database/schema?warehouse=compute&role=reader"
        raise UserError.of("bad-url", f"the URL of source `{name}` can not be read", hint) from None
    kept = ("account", "user", "password", "host", "port", "database", "schema", "warehouse", "role")
    return {key: found[key] for key in kept if key in found}
