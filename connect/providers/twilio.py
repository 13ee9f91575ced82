"""Twilio: one text message in each call of the Messages resource.

Twilio has no idempotency key for messages, so nothing is repeated, and a call that was written and not answered is
`ambiguous`. The correlation id comes back in the query of the status callback: messages have no metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, field_validator, model_validator

from connect.channels.message import Outgoing, Sms
from connect.errors import RunTrouble
from connect.providers import twilio_events, twilio_replies
from connect.providers.api import FORM, Api, basic, json_of, trouble
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.providers.twilio_callback import callback
from connect.redact import Secret
from connect.vocabulary import Channel

HOSTS = {"us1": "https://api.twilio.com", "ie1": "https://api.dublin.ie1.twilio.com"}
"""Documented at www.twilio.com/docs/global-infrastructure: messages are handled in these regions."""


class Settings(ProviderSettings):
    signed_url: ClassVar[str] = "status_callback"
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$")
    """`AC…`, of the account or subaccount that sends."""
    auth_token: Secret | None = None
    """The account's; also what its webhooks are signed with."""
    api_key: str | None = None
    """`SK…`: a key instead of the auth token; in `ie1`, one of that region."""
    api_secret: Secret | None = None
    messaging_service_sid: str | None = None
    """`MG…`: chooses the sender, and queues for it. A content's own `from` goes without it."""
    sender: str | None = Field(None, alias="from")
    """The number, short code or name that messages come from whose content does not say."""
    status_callback: str | None = None
    """The public URL of the webhook for this account."""
    webhook_secret: Secret | None = None
    """The auth token that webhooks are signed with, if it is not `auth_token`."""
    region: Literal["us1", "ie1"] = "us1"
    endpoint_url: str | None = None
    """Instead of Twilio's own address: for tests and proxies."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("`api_key` and `api_secret` come together")
        if self.api_key is None and self.auth_token is None:
            raise ValueError("give `auth_token`, or `api_key` and `api_secret`")
        return self

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if self.messaging_service_sid and self.sender:
            raise ValueError("give `messaging_service_sid` or `from`, not both")
        return self

    @field_validator("status_callback")
    @classmethod
    def _whole_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("https://", "http://")):
            raise ValueError("`status_callback` is the whole URL, with https://")
        return url


class Twilio:
    """Text messages, one call each."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.sms}),
        attachments=False,
        custom_headers=False,
        default_concurrency=16,
    )
    parse_events = staticmethod(twilio_events.parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._settings = account.settings
        self._api = Api(account)
        base = (self._settings.endpoint_url or HOSTS[self._settings.region]).rstrip("/")
        self._account_url = f"{base}/2010-04-01/Accounts/{self._settings.account_sid}"
        self._messages_url = f"{self._account_url}/Messages.json"
        self._headers = {"authorization": _authorization(self._settings), "content-type": FORM}

    async def open(self) -> None:
        """Nothing to do: the first message tells whether the credentials are right."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def check(self) -> str:
        if self._settings.api_key:  # a standard key may not read the account itself
            await self._look(f"{self._messages_url}?PageSize=1")
            return "signed in with an API key"
        return _standing(await self._look(f"{self._account_url}.json"))

    async def close(self) -> None:
        await self._api.close()

    async def _send(self, outgoing: Outgoing) -> Receipt:
        message = outgoing.message
        assert isinstance(message, Sms)
        sender = self._sender(message)
        if sender is None:
            return Receipt(Status.config, "sender_missing")
        fields = [("To", message.to), sender, ("Body", message.body)]
        if self._settings.status_callback:
            fields.append(("StatusCallback", callback(self._settings.status_callback, outgoing.correlation_id)))
        body = urlencode(fields, errors="replace").encode()
        reply = await self._api.ask(self._messages_url, body, self._headers)
        return reply if isinstance(reply, Receipt) else twilio_replies.receipt(reply, outgoing)

    def _sender(self, message: Sms) -> tuple[str, str] | None:
        if message.sender:
            return "From", message.sender
        if self._settings.messaging_service_sid:
            return "MessagingServiceSid", self._settings.messaging_service_sid
        return ("From", self._settings.sender) if self._settings.sender else None

    async def _look(self, url: str) -> object:
        """What a resource says of itself. Raises RunTrouble."""
        reply = await self._api.ask(url, b"", {"authorization": self._headers["authorization"]}, method="GET")
        if isinstance(reply, Receipt):
            raise _trouble(_UNREACHABLE, reply.reason)
        if reply.status != 200:
            raise _turned_away(reply)
        return json_of(reply)


def _authorization(settings: Settings) -> str:
    if settings.api_key and settings.api_secret:
        return basic(settings.api_key, settings.api_secret)
    assert settings.auth_token is not None
    return basic(settings.account_sid, settings.auth_token)


_CREDENTIALS = (
    "twilio-credentials",
    "check `account_sid` and `auth_token` (or `api_key` and `api_secret`, of the same account and region) in the "
    "Twilio console: Account, API keys & tokens",
)
_UNREACHABLE = (
    "twilio-unreachable",
    "check whether a firewall lets this machine out on port 443, and status.twilio.com",
)
_SUSPENDED = ("twilio-suspended", "open the Twilio console: it says why, and how to appeal")


def _trouble(problem: tuple[str, str], words: str) -> RunTrouble:
    code, hint = problem
    return trouble(code, f"Twilio: {words}", hint)


def _turned_away(reply: Reply) -> RunTrouble:
    problem = _CREDENTIALS if reply.status in (401, 403, 404) else _UNREACHABLE
    return _trouble(problem, f"it answers {reply.status}")


def _standing(account: object) -> str:
    """What the Account resource says, in one line."""
    said = account if isinstance(account, dict) else {}
    if said.get("status") not in (None, "active"):
        raise _trouble(_SUSPENDED, "the account is suspended or closed")
    if said.get("type") == "Trial":
        return "signed in; a trial account: only verified numbers are written to"
    return "signed in"
