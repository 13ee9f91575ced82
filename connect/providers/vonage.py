"""Vonage: one text message in each call of the Messages API, version 1.

Vonage has no idempotency key, so nothing is repeated, and a call that was written and not answered is `ambiguous`.
The correlation id is the message's `client_ref`, which comes back in every status.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field, model_validator

from connect.channels.message import Outgoing, Sms
from connect.errors import RunTrouble
from connect.providers import vonage_events, vonage_replies
from connect.providers.api import JSON, Api, basic, json_bytes, trouble
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.redact import Secret
from connect.vocabulary import Channel

HOST = "https://api.nexmo.com"

LONGEST = 1000
"""Characters of `text`; documented at developer.vonage.com/en/api/messages, as is that a `client_ref` has room for 100
(in version 0.1 of the API it was 40, which our 42 would not fit)."""


class Settings(ProviderSettings):
    application_id: str | None = None
    """Of the Vonage application whose private key signs in."""
    private_key: Secret | None = None
    """The application's: the text of its PEM file, `${file:private.key}`."""
    api_key: str | None = None
    """The account's, instead of an application."""
    api_secret: Secret | None = None
    sender: str | None = Field(None, alias="from")
    """The number or name that messages come from whose content does not say."""
    status_url: str | None = None
    """Where Vonage reports to, instead of the address that the application or account has."""
    webhook_secret: Secret | None = None
    """The signature secret of the API key that webhooks are signed with."""
    endpoint_url: str | None = None
    """Instead of Vonage's own address: for tests and proxies."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.application_id is None) != (self.private_key is None):
            raise ValueError("`application_id` and `private_key` come together")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("`api_key` and `api_secret` come together")
        if (self.application_id is None) == (self.api_key is None):
            raise ValueError("give `application_id` and `private_key`, or `api_key` and `api_secret`")
        return self


class Vonage:
    """Text messages, one call each."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.sms}),
        attachments=False,
        custom_headers=False,
        default_concurrency=8,
    )
    parse_events = staticmethod(vonage_events.parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._settings = account.settings
        self._api = Api(account)
        self._url = (self._settings.endpoint_url or HOST).rstrip("/") + "/v1/messages"
        self._pass = _Pass(self._settings)
        self._common: dict[str, str] = {"message_type": "text", "channel": "sms"}
        if self._settings.status_url:
            self._common |= {"webhook_url": self._settings.status_url, "webhook_version": "v1"}

    async def open(self) -> None:
        try:
            self._pass.authorization()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise _trouble(_PRIVATE_KEY, "`private_key` is no RSA key in PEM") from None

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def check(self) -> str:
        """An empty message is refused for what it lacks, once it is known who sends it."""
        await self.open()
        reply = await self._api.ask(self._url, b"{}", self._headers())
        if isinstance(reply, Receipt):
            raise _trouble(_UNREACHABLE, reply.reason)
        if reply.status in (401, 403, 404):
            raise _trouble(_CREDENTIALS, f"it answers {reply.status}")
        if reply.status == 402:
            raise _trouble(_BALANCE, "the balance is used up")
        if reply.status not in (400, 422):
            raise _trouble(_UNREACHABLE, f"it answers {reply.status}")
        return "signed in with " + ("an API key" if self._settings.api_key else "an application")

    async def close(self) -> None:
        await self._api.close()

    def _headers(self) -> dict[str, str]:
        return {"authorization": self._pass.authorization(), "content-type": JSON, "accept": JSON}

    async def _send(self, outgoing: Outgoing) -> Receipt:
        message = outgoing.message
        assert isinstance(message, Sms)
        sender = message.sender or self._settings.sender
        if not sender:
            return Receipt(Status.config, "sender_missing")
        if len(message.body) > LONGEST:
            return Receipt(Status.rejected_content, "message_too_large")
        fields = {
            **self._common,
            "to": message.to.removeprefix("+"),
            "from": sender.removeprefix("+"),  # numbers go without it, both of them
            "text": message.body,
            "client_ref": outgoing.correlation_id,
        }
        reply = await self._api.ask(self._url, json_bytes(fields), self._headers())
        return reply if isinstance(reply, Receipt) else vonage_replies.receipt(reply, outgoing)


_VALID = 15 * 60
_RENEWED = 10 * 60
"""Seconds. A token says until when it is valid, at most a day (developer.vonage.com/en/getting-started/concepts/
authentication); to sign one takes a millisecond, so it is used for a while."""


class _Pass:
    """What signs in: an API key, or an application's token, which is made again before it is out of date."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        self._key = basic(settings.api_key, settings.api_secret) if settings.api_key and settings.api_secret else ""
        self._private: RSAPrivateKey | None = None
        self._token, self._made = "", 0

    def authorization(self) -> str:
        """Raises ValueError, TypeError or UnsupportedAlgorithm where the private key is none."""
        if self._key:
            return self._key
        now = int(self._clock())
        if not self._made <= now < self._made + _RENEWED:  # also where this machine's clock was set back
            self._token, self._made = self._signed(now), now
        return self._token

    def _signed(self, now: int) -> str:
        self._private = self._private or _private_key(self._settings.private_key)
        claims = {
            "application_id": self._settings.application_id,
            "iat": now,
            "exp": now + _VALID,
            "jti": str(uuid.uuid4()),
        }
        return "Bearer " + jwt.encode(claims, self._private, algorithm="RS256")


def _private_key(secret: Secret | None) -> RSAPrivateKey:
    pem = (secret or Secret("")).reveal().replace("\\n", "\n")  # as one line of an environment holds it
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


_PRIVATE_KEY = (
    "vonage-private-key",
    "give the text of the file that the dashboard made with the application's key: `private_key: ${file:private.key}`",
)
_CREDENTIALS = (
    "vonage-credentials",
    "check `application_id` and `private_key` (or `api_key` and `api_secret`) in the Vonage dashboard, that the "
    "application has the capability Messages, and this machine's clock",
)
_BALANCE = ("vonage-balance", "top up the account in the Vonage dashboard")
_UNREACHABLE = (
    "vonage-unreachable",
    "check whether a firewall lets this machine out on port 443, and vonageapi.statuspage.io",
)


def _trouble(problem: tuple[str, str], words: str) -> RunTrouble:
    code, hint = problem
    return trouble(code, f"Vonage: {words}", hint)
