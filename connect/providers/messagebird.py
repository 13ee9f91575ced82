"""Bird, once MessageBird: one text message in each call of the Channels API.

Its `messages` have no idempotency key, so nothing is repeated, and a call that was written and not answered is
`ambiguous`. The correlation id is the message's `reference`, which is part of every message that is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from connect.channels.message import Outgoing, Sms
from connect.errors import RunTrouble
from connect.providers import messagebird_events, messagebird_replies
from connect.providers.api import JSON, Api, json_bytes, json_of, trouble
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt
from connect.redact import Secret
from connect.vocabulary import Channel

HOST = "https://api.bird.com"

_ID = r"^[0-9a-fA-F-]{36}$"


class Settings(ProviderSettings):
    signed_url: ClassVar[str] = "webhook_url"
    access_key: Secret
    """Of a role that may send through the channel."""
    workspace_id: str = Field(pattern=_ID)
    channel_id: str = Field(pattern=_ID)
    """Of an SMS channel; it has the number or name that messages come from."""
    webhook_secret: Secret | None = None
    """The signing key that the webhook subscription was made with."""
    webhook_url: str | None = None
    """The URL of the webhook subscription, if requests come to us under another."""
    endpoint_url: str | None = None
    """Instead of Bird's own address: for tests and proxies."""


class MessageBird:
    """Text messages, one call each."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.sms}),
        attachments=False,
        custom_headers=False,
        default_concurrency=16,
    )
    parse_events = staticmethod(messagebird_events.parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        settings = account.settings
        self._api = Api(account)
        host = (settings.endpoint_url or HOST).rstrip("/")
        self._channel_url = f"{host}/workspaces/{settings.workspace_id}/channels/{settings.channel_id}"
        self._messages_url = f"{self._channel_url}/messages"
        self._headers = {
            "authorization": f"AccessKey {settings.access_key.reveal()}",
            "content-type": JSON,
            "accept": JSON,
        }

    async def open(self) -> None:
        """Nothing to do: the first message tells whether the access key is right."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def check(self) -> str:
        reply = await self._api.ask(self._channel_url, b"", self._headers, method="GET")
        if isinstance(reply, Receipt):
            raise _trouble(_UNREACHABLE, reply.reason)
        if reply.status == 403:
            return "reachable; this access key may not read the channel"
        if reply.status == 401:
            raise _trouble(_CREDENTIALS, "it does not know the access key")
        if reply.status == 404:
            raise _trouble(_CHANNEL, "there is no such channel in this workspace")
        if reply.status != 200:
            raise _trouble(_UNREACHABLE, f"it answers {reply.status}")
        return _standing(json_of(reply))

    async def close(self) -> None:
        await self._api.close()

    async def _send(self, outgoing: Outgoing) -> Receipt:
        message = outgoing.message
        assert isinstance(message, Sms)
        fields: dict[str, object] = {
            "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": message.to}]},
            "body": {"type": "text", "text": {"text": message.body}},
            "reference": outgoing.correlation_id,
        }
        if message.sender:
            fields["sender"] = {"connector": {"identifierValue": message.sender}}
        reply = await self._api.ask(self._messages_url, json_bytes(fields), self._headers)
        return reply if isinstance(reply, Receipt) else messagebird_replies.receipt(reply, outgoing)


_CREDENTIALS = ("messagebird-credentials", "check `access_key` in Bird: Settings, Security, Access keys")
_CHANNEL = (
    "messagebird-channel",
    "check `workspace_id` and `channel_id` in Bird: the channel must be an SMS channel of that workspace, and active",
)
_UNREACHABLE = (
    "messagebird-unreachable",
    "check whether a firewall lets this machine out on port 443, and status.bird.com",
)


def _trouble(problem: tuple[str, str], words: str) -> RunTrouble:
    code, hint = problem
    return trouble(code, f"Bird: {words}", hint)


def _standing(channel: object) -> str:
    """What the channel says of itself, in one line."""
    said: Mapping[str, Any] = channel if isinstance(channel, dict) else {}
    if not str(said.get("platformId", "sms")).startswith("sms"):
        raise _trouble(_CHANNEL, "the channel is not for text messages")
    if said.get("status", "active") != "active":
        raise _trouble(_CHANNEL, "the channel is not active")
    return "signed in; the channel is active"
