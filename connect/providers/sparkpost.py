"""SparkPost, transmissions API: one message in a call.

A call could have thousands of recipients, but one content, into which SparkPost would put what differs: links in such
values are not tracked. It has no idempotency key, so a call that was written and not answered is `ambiguous`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers import sparkpost_replies
from connect.providers.api import JSON, Api, json_of, trouble
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt
from connect.providers.sparkpost_calls import transmission, unfit
from connect.providers.sparkpost_events import WebhookSettings, parse_events
from connect.redact import Secret
from connect.vocabulary import Channel

HOSTS = {"us": "https://api.sparkpost.com", "eu": "https://api.eu.sparkpost.com"}
"""Region → where its API is. Accounts of one are unknown to the other."""

MOST_BYTES = 20_000_000
"""Of the texts and attachments of a transmission."""


class Settings(WebhookSettings):
    api_key: Secret
    """With the permission "Transmissions: Read/Write"."""
    region: Literal["us", "eu"] = "us"
    subaccount: int | None = Field(None, ge=0)
    """Send as this subaccount, with a key of the main account."""
    transactional: bool | None = None
    """True: unsubscribes from marketing do not count, and SparkPost adds no List-Unsubscribe header."""
    ip_pool: str | None = None
    """A dedicated IP pool; the account's default otherwise."""
    open_tracking: bool | None = None
    """Whether SparkPost adds pixels; as the account says where it is not given."""
    click_tracking: bool | None = None
    """Whether SparkPost rewrites links; as the account says where it is not given."""
    return_path: str | None = Field(None, pattern=r"^[^@\s{}]+@[^@\s{}]+$")
    """An address at a verified bounce domain."""
    endpoint_url: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    """Instead of the region's, for Enterprise accounts, tests and proxies."""


class SparkPost:
    """Each message is a transmission of its own."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_message_bytes=MOST_BYTES,
        default_concurrency=16,
        tracks=True,
    )
    parse_events = staticmethod(parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._settings = settings = account.settings
        self._api = Api(account)
        self._seconds = account.timeout.total_seconds()
        self._host = (settings.endpoint_url or HOSTS[settings.region]).rstrip("/") + "/api/v1/"
        self._url = self._host + "transmissions"
        self._headers = {"authorization": settings.api_key.reveal(), "content-type": JSON}
        if settings.subaccount is not None:
            self._headers["x-msys-subaccount"] = str(settings.subaccount)
        self._always = _always(settings)

    async def open(self) -> None:
        key = self._settings.api_key.reveal()
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise _credentials("`api_key` is empty, or has characters that no key has")

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        deadline = asyncio.get_running_loop().time() + self._seconds
        if len(batch) == 1:  # always, but for callers who do not look at `max_batch`
            return [await self._one(batch[0], deadline)]
        return list(await asyncio.gather(*(self._one(outgoing, deadline) for outgoing in batch)))

    async def check(self) -> str:
        """Asks for the account, which a key that may only send is not allowed to."""
        await self.open()
        reply = await self._api.ask(self._host + "account?include=usage", b"", self._headers, method="GET")
        if isinstance(reply, Receipt):
            raise _unreachable(reply.reason)
        if reply.status == 401:
            raise _credentials("the API answers 401")
        if reply.status == 403:
            return "reachable; this key may not ask for the account (Account: Read)"
        if reply.status != 200:
            raise _unreachable(f"the API answers {reply.status}")
        return _standing(reply)

    async def close(self) -> None:
        await self._api.close()

    async def _one(self, outgoing: Outgoing, deadline: float) -> Receipt:
        refusal = unfit(outgoing)
        if refusal is not None:
            return refusal
        body = transmission(outgoing, self._always)
        reply = await self._api.ask(self._url, body, self._headers, deadline=deadline)
        return reply if isinstance(reply, Receipt) else sparkpost_replies.answered(reply, outgoing)


def _always(settings: Settings) -> dict[str, object]:
    """What every transmission of an account has; what is not given is left to the account's own defaults."""
    given = {
        "transactional": settings.transactional,
        "ip_pool": settings.ip_pool,
        "open_tracking": settings.open_tracking,
        "click_tracking": settings.click_tracking,
    }
    options = {name: value for name, value in given.items() if value is not None}
    found: dict[str, object] = {"options": options} if options else {}
    return found | ({"return_path": settings.return_path} if settings.return_path else {})


_CLOSED = ("suspended", "terminated", "cancelled")


def _standing(reply: Reply) -> str:
    """What the account says of itself, in one line (developers.sparkpost.com, "Account")."""
    answer = json_of(reply)
    results = answer.get("results") if isinstance(answer, dict) else None
    account: dict[str, Any] = results if isinstance(results, dict) else {}
    if account.get("status") in _CLOSED:
        raise trouble(
            "sparkpost-suspended",
            "SparkPost: the account is not active",
            "open the SparkPost app: its banner says why, and how to ask Compliance",
        )
    usage = account.get("usage")
    day = usage.get("day") if isinstance(usage, dict) else None
    if not isinstance(day, dict) or not all(isinstance(day.get(part), int) for part in ("used", "limit")):
        return "signed in"
    return f"signed in; {day['used']} of {day['limit']} today"


def _credentials(words: str) -> RunTrouble:
    return trouble(
        "sparkpost-credentials",
        f"SparkPost: {words}",
        "give `api_key` as a reference to a key with the permission Transmissions: Read/Write, made in the app of the "
        "account's own `region` (us or eu)",
    )


def _unreachable(words: str) -> RunTrouble:
    return trouble(
        "sparkpost-unreachable",
        f"SparkPost: {words}",
        "check `region` and `endpoint_url`, status.sparkpost.com, and whether a firewall lets this machine out on "
        "port 443",
    )
