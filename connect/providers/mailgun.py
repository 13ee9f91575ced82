"""Mailgun: one message in one call, as a form.

A call can carry a thousand recipients, but only variables that Mailgun puts into one body for all, so what was rendered
for each goes alone. Mailgun documents no idempotency key: nothing is repeated here, and a call that was written and not
answered is `ambiguous`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers import mailgun_events, mailgun_replies
from connect.providers.api import Api, basic, json_of, trouble
from connect.providers.events import Confirmation, Event, Webhook
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt
from connect.providers.mailgun_form import EMPTY, always, content_type, form
from connect.redact import Secret
from connect.vocabulary import Channel

_HOSTS = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}
"""A domain lives in one of them (documentation.mailgun.com, Send via HTTP)."""


class Settings(ProviderSettings):
    api_key: Secret
    """A sending key of the domain, or the account's."""
    domain: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)]
    """The domain that sends, as Mailgun knows it."""
    region: Literal["us", "eu"] = "us"
    """Where the domain was made."""
    tags: tuple[Annotated[str, StringConstraints(pattern=r"^[ -~]+$", max_length=128)], ...] = Field((), max_length=10)
    """Of every message, for Mailgun's statistics."""
    ip_pool: Annotated[str, StringConstraints(pattern=r"^[!-~]+$")] | None = None
    """The id of the pool from whose addresses it is sent."""
    require_tls: bool | None = None
    """Whether a message may only go over TLS; as the domain says if not given."""
    track_opens: bool | None = None
    """Whether Mailgun adds its pixel; as the domain says if not given."""
    track_clicks: bool | None = None
    """Whether Mailgun rewrites links; as the domain says if not given."""
    webhook_secret: Secret | None = None
    """The HTTP webhook signing key of the account."""
    endpoint_url: Annotated[str, StringConstraints(pattern="^https?://")] | None = None
    """For tests and proxies."""


class Mailgun:
    """One call for each message."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_message_bytes=25_000_000,  # documentation.mailgun.com, Send via HTTP
        default_concurrency=16,
        sandbox=True,
        tracks=True,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        settings = account.settings
        self._domain = settings.domain
        self._root = (settings.endpoint_url or _HOSTS[settings.region]).rstrip("/")
        self._url = f"{self._root}/v3/{self._domain}/messages"
        self._authorization = basic("api", Secret(settings.api_key.reveal().strip()))
        self._always = always(
            tags=settings.tags,
            ip_pool=settings.ip_pool,
            require_tls=settings.require_tls,
            track_opens=settings.track_opens,
            track_clicks=settings.track_clicks,
            sandbox=account.sandbox,
        )
        self._api = Api(account)

    async def open(self) -> None:
        """The first message tells whether the key and the domain are right."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._send(outgoing) for outgoing in batch]

    async def check(self) -> str:
        reply = await self._asked(f"{self._root}/v4/domains/{self._domain}")
        if reply.status not in (401, 403):
            return _standing(reply, self._domain)
        # A sending key may only send: a form without anything in it is refused as such where the key is right.
        return _may_send(await self._asked(self._url, EMPTY), self._domain)

    async def close(self) -> None:
        await self._api.close()

    @staticmethod
    def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
        assert isinstance(settings, Settings)
        return mailgun_events.parse(webhook, settings.webhook_secret)

    async def _send(self, outgoing: Outgoing) -> Receipt:
        written = form(outgoing, self._always)
        if isinstance(written, Receipt):
            return written
        boundary, body = written
        headers = {"authorization": self._authorization, "content-type": content_type(boundary)}
        reply = await self._api.ask(self._url, body, headers)
        return reply if isinstance(reply, Receipt) else mailgun_replies.receipt(reply, outgoing)

    async def _asked(self, url: str, written: tuple[bytes, bytes] | None = None) -> Reply:
        """The answer to something that sends nothing. Raises RunTrouble where there is none."""
        headers = {"authorization": self._authorization}
        if written is None:
            reply = await self._api.ask(url, b"", headers, method="GET")
        else:
            reply = await self._api.ask(url, written[1], {**headers, "content-type": content_type(written[0])})
        if isinstance(reply, Receipt):
            raise _trouble(_UNREACHABLE, reply.reason)
        return reply


_CREDENTIALS = (
    "mailgun-credentials",
    "make a sending key under Sending → Domain settings → Sending API keys, name it in `api_key` as a reference, and "
    "set `region: eu` where the domain is in the EU",
)
_DOMAIN = (
    "mailgun-domain",
    "check `domain` and `region`; the control panel shows its state, and the DNS records that it waits for",
)
_UNREACHABLE = ("mailgun-unreachable", "check status.mailgun.com, and whether a firewall lets this machine out on 443")


def _trouble(problem: tuple[str, str], words: str) -> RunTrouble:
    code, hint = problem
    return trouble(code, f"Mailgun: {words}", hint)


def _standing(reply: Reply, domain: str) -> str:
    """What Mailgun says of the domain, in one line."""
    if reply.status == 404:
        raise _trouble(_DOMAIN, f"there is no domain {domain} in this region")
    answer = json_of(reply)
    found = answer.get("domain") if isinstance(answer, dict) else None
    if reply.status != 200 or not isinstance(found, dict):
        raise _trouble(_UNREACHABLE, f"answered {reply.status}")
    state = str(found.get("state"))
    if state in ("unverified", "disabled"):
        raise _trouble(_DOMAIN, f"{domain} is {state}")
    return f"signed in; {domain} is {state}"


def _may_send(reply: Reply, domain: str) -> str:
    """What becomes of a form without anything in it."""
    if reply.status in (401, 403):
        raise _trouble(_CREDENTIALS, "the key is wrong, or of another domain or region")
    if reply.status == 404:
        raise _trouble(_DOMAIN, f"there is no domain {domain} in this region")
    if reply.status != 400:
        raise _trouble(_UNREACHABLE, f"answered {reply.status}")
    return f"signed in; this key may send from {domain}, and ask nothing"
