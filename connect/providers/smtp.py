"""Any SMTP server or relay: STARTTLS or TLS, AUTH, and connections that are used again.

SMTP can not tell a message that was lost from one whose answer was lost (RFC 5321 §4.5.3.2, RFC 1047): once the final
dot is written, anything but a reply is `ambiguous`; before it, nothing was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property, partial
from typing import ClassVar, Self

from pydantic import Field, model_validator

from connect.channels import mime
from connect.channels.message import Outgoing
from connect.clock import Clock, SystemClock
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers.interface import (
    Account,
    Capabilities,
    Heard,
    ProviderSettings,
    Receipt,
)
from connect.providers.smtp_connections import Connections
from connect.providers.smtp_dkim import NoKey, Signatures, Signer
from connect.providers.smtp_pipeline import Pipeline
from connect.providers.smtp_session import Auth, NotReady, Obstacle, Target
from connect.providers.smtp_transaction import Encode, Submission
from connect.redact import Secret
from connect.vocabulary import Channel


class Security(StrEnum):
    starttls = "starttls"  # plain first, then upgraded; usually port 587
    tls = "tls"  # TLS from the first byte; usually port 465
    none = "none"  # everything in clear, credentials too


_LOCAL = {"localhost", "127.0.0.1", "::1"}
_PORTS = {Security.starttls: 587, Security.tls: 465, Security.none: 587}


class Settings(ProviderSettings):
    host: str
    port: int | None = Field(default=None, ge=1, le=65535)
    """587, or 465 with `security: tls`."""
    security: Security = Security.starttls
    username: str | None = None
    password: Secret | None = None
    auth: Auth = Auth.auto
    """How to sign in. With `xoauth2` the password is an access token."""
    local_hostname: str | None = None
    """The name this machine says in EHLO; its own full name if not given."""
    verify: bool = True
    ca_file: str | None = None
    """A CA certificate beyond the system's, relative to the project's root."""
    messages_per_connection: int = Field(default=500, ge=1)
    allow_plaintext: bool = False
    dkim: Signatures = ()
    """How e-mails are signed, where the server does not do that itself; a list has several keys sign each of them."""

    @model_validator(mode="after")
    def _not_in_clear(self) -> Self:
        if self.security is Security.none and self.host not in _LOCAL and not self.allow_plaintext:
            raise ValueError(
                "`security: none` sends everything in clear, and is for localhost; "
                "use `starttls` or `tls`, or say `allow_plaintext: true`"
            )
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` come together")
        if len({each.place.lower() for each in self.dkim}) < len(self.dkim):
            raise ValueError("each key of `dkim` wants a `selector` of its own")
        return self


class Smtp:
    """One message in one transaction; two at a time on a connection where the server knows PIPELINING."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(channels=frozenset({Channel.email}), default_concurrency=8)

    def __init__(self, account: Account, clock: Clock = SystemClock()) -> None:
        assert isinstance(account.settings, Settings)
        self._clock = clock
        self._signatures = account.settings.dkim
        self._target = _target(account, account.settings)
        self._seconds = account.timeout.total_seconds()
        self._connections = Connections(
            self._target,
            account.margin,
            account.concurrency,
            account.settings.messages_per_connection,
            self._seconds,
        )

    async def open(self) -> None:
        _ = self._signer
        self._connections.changed(await self._proven())

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return list(await asyncio.gather(*(self._send(outgoing) for outgoing in batch)))

    def post(self, outgoing: Outgoing, heard: Heard) -> None:
        self._connections.carry(self._submission(outgoing, heard))

    def drop(self) -> None:
        self._connections.drop()

    async def check(self) -> str:
        signer = self._signer
        pipeline = await self._proven()
        cipher = pipeline.wire.cipher
        self._connections.changed(pipeline)
        how = f"over {cipher}" if cipher else "in clear"
        signed_in = ", signed in" if self._target.username else ", without signing in"
        return f"{self._target.host}:{self._target.port} answers {how}{signed_in}" + (f"; {signer}" if signer else "")

    @property
    def connected(self) -> bool:
        return self._connections.has_idle

    async def close(self) -> None:
        await self._connections.close(min(self._seconds, 5))

    @cached_property
    def _signer(self) -> Signer | None:
        """Loads the keys. Raises RunTrouble with the remedy."""
        try:
            return Signer(self._signatures) if self._signatures else None
        except NoKey as error:
            raise RunTrouble(Disposition.pause, Problem("smtp-dkim-key", str(error), _KEY_HINT)) from None

    @cached_property
    def _encode(self) -> Encode:
        return self._signer.encode if self._signer else mime.encode

    async def _proven(self) -> Pipeline:
        """A connection that got through TLS and AUTH, or RunTrouble with the remedy."""
        try:
            return await self._connections.fresh()
        except TimeoutError:
            raise _trouble(self._target, NotReady(Obstacle.unreachable, "no answer in time")) from None
        except NotReady as obstacle:
            raise _trouble(self._target, obstacle) from None

    async def _send(self, outgoing: Outgoing) -> Receipt:
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        submission = self._submission(outgoing, partial(_tell, answer))
        self._connections.carry(submission)
        try:
            return await answer
        finally:
            self._connections.abandon(submission)

    def _submission(self, outgoing: Outgoing, heard: Heard) -> Submission:
        return Submission(outgoing, self._clock.now(), heard, self._encode)


def _tell(answer: asyncio.Future[Receipt], said: Receipt | Exception) -> None:
    if answer.done():  # it was cancelled, and whoever waited has not come to say so
        return
    if isinstance(said, Exception):
        answer.set_exception(said)
    else:
        answer.set_result(said)


def _target(account: Account, settings: Settings) -> Target:
    return Target(
        host=settings.host,
        port=settings.port or _PORTS[settings.security],
        tls=settings.security is Security.tls,
        starttls=settings.security is Security.starttls,
        username=settings.username or "",
        password=settings.password.reveal() if settings.password else "",
        auth=settings.auth,
        local_hostname=settings.local_hostname,
        verify=settings.verify,
        ca_file=account.root / settings.ca_file if settings.ca_file else None,
    )


_UNREACHABLE = "check `host` and `port`, and whether a firewall lets this machine out (many close port 25)"
_REMEDIES: dict[Obstacle, tuple[str, str]] = {
    Obstacle.unreachable: ("smtp-unreachable", _UNREACHABLE),
    Obstacle.busy: ("smtp-unreachable", "the server takes no more connections now: try again, with less `concurrency`"),
    Obstacle.tls: (
        "smtp-tls",
        "check `security` (`starttls` is usually port 587, `tls` 465) and that `host` is the name in the server's "
        "certificate; for a certificate of your own give `ca_file`",
    ),
    Obstacle.sign_in: (
        "smtp-auth",
        "check `username`, `password` and `auth`; many providers want an SMTP password of its own",
    ),
}


_KEY_HINT = (
    "make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem`, "
    "and refer to it: `private_key: ${file:dkim.pem}`"
)


def _trouble(target: Target, obstacle: NotReady) -> RunTrouble:
    code, hint = _REMEDIES[obstacle.obstacle]
    message = f"{target.host}:{target.port}: {' '.join(obstacle.text.split())[:200]}"
    return RunTrouble(Disposition.pause, Problem(code, message, hint))
