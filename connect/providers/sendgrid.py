"""SendGrid, v3 Mail Send: one message in one call.

A call can carry a thousand personalizations, but what differs between them is short (documented at docs.sendgrid.com:
10,000 bytes of substitutions each), so whole rendered bodies go alone. SendGrid has no idempotency key: nothing is
repeated here, and a call that was written and not answered is `ambiguous`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers import sendgrid_events, sendgrid_replies
from connect.providers.api import JSON, Api, json_bytes, json_of, trouble
from connect.providers.events import Confirmation, Event, Webhook
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt
from connect.providers.sendgrid_message import always, body
from connect.redact import Secret
from connect.vocabulary import Channel

_HOSTS = {"us": "https://api.sendgrid.com", "eu": "https://api.eu.sendgrid.com"}
"""Subusers that were made in the EU have a host of their own (docs.sendgrid.com, Mail Send overview)."""


class Settings(ProviderSettings):
    api_key: Secret
    """Of the subuser that sends; it needs the scope `mail.send`."""
    region: Literal["us", "eu"] = "us"
    """`eu` for a subuser in the EU."""
    categories: tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...] = Field((), max_length=10)
    """Of every message, for SendGrid's statistics."""
    ip_pool: Annotated[str, StringConstraints(min_length=2, max_length=64)] | None = None
    """From whose addresses it is sent."""
    unsubscribe_group: int | None = None
    """The id of the group whose unsubscribes SendGrid heeds, and collects."""
    track_opens: bool | None = None
    """Whether SendGrid adds its pixel; as the account says if not given."""
    track_clicks: bool | None = None
    """Whether SendGrid rewrites links; as the account says if not given."""
    webhook_public_key: str | None = None
    """The verification key of the signed Event Webhook, which is no secret."""
    endpoint_url: Annotated[str, StringConstraints(pattern="^https?://")] | None = None
    """For tests and proxies."""

    @field_validator("webhook_public_key")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            sendgrid_events.public_key(text)
        return text


class SendGrid:
    """One call for each message."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_message_bytes=30_000_000,  # attachments included (docs.sendgrid.com, Mail Send, limitations)
        default_concurrency=16,
        sandbox=True,
        tracks=True,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        settings = account.settings
        self._key = settings.api_key.reveal().strip()
        self._sandbox = account.sandbox
        self._root = (settings.endpoint_url or _HOSTS[settings.region]).rstrip("/")
        self._url = self._root + "/v3/mail/send"
        self._headers = {"authorization": f"Bearer {self._key}", "content-type": JSON}
        self._always = always(
            categories=settings.categories,
            ip_pool=settings.ip_pool,
            unsubscribe_group=settings.unsubscribe_group,
            track_opens=settings.track_opens,
            track_clicks=settings.track_clicks,
            sandbox=account.sandbox,
        )
        self._api = Api(account)

    async def open(self) -> None:
        if not self._key or not self._key.isascii() or not self._key.isprintable():  # not to be had into a header
            raise _trouble(_CREDENTIALS, "`api_key` is blank, or holds characters that no key has")

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def check(self) -> str:
        await self.open()
        reply = await self._api.ask(f"{self._root}/v3/scopes", b"", self._headers, method="GET")
        if isinstance(reply, Receipt):
            raise _trouble(_UNREACHABLE, reply.reason)
        return _standing(reply)

    async def close(self) -> None:
        await self._api.close()

    @staticmethod
    def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
        assert isinstance(settings, Settings)
        return sendgrid_events.parse(webhook, settings.webhook_public_key)

    async def _send(self, outgoing: Outgoing) -> Receipt:
        content = body(outgoing, self._always)
        if isinstance(content, Receipt):
            return content
        reply = await self._api.ask(self._url, json_bytes(content), self._headers)
        return reply if isinstance(reply, Receipt) else sendgrid_replies.receipt(reply, outgoing, self._sandbox)


_CREDENTIALS = (
    "sendgrid-credentials",
    "make a key under Settings → API Keys that may do `Mail Send`, name it in `api_key` as a reference, and set "
    "`region: eu` where the subuser is in the EU",
)
_UNREACHABLE = (
    "sendgrid-unreachable",
    "check status.sendgrid.com, and whether a firewall lets this machine out on 443",
)


def _trouble(problem: tuple[str, str], words: str) -> RunTrouble:
    code, hint = problem
    return trouble(code, f"SendGrid: {words}", hint)


def _standing(reply: Reply) -> str:
    """What the key may do (GET /v3/scopes), in one line."""
    if reply.status == 403:
        return "signed in; this key may not ask for its own scopes"
    if reply.status == 401:
        raise _trouble(_CREDENTIALS, "the key is wrong, expired or of another region")
    answer = json_of(reply)
    scopes = answer.get("scopes") if isinstance(answer, dict) else None
    if reply.status != 200 or not isinstance(scopes, list):
        raise _trouble(_UNREACHABLE, f"answered {reply.status}")
    if "mail.send" not in scopes:
        raise _trouble(_CREDENTIALS, "the key lacks the scope `mail.send`")
    return "signed in; this key may send"
