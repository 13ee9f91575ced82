"""Postmark: up to 500 individually rendered messages in one call, each with an answer of its own.

Postmark has no idempotency key, so nothing is repeated, and a call that was written and not answered is `ambiguous`.
Documented at postmarkapp.com/developer (seen 2026-11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from connect.channels.message import Outgoing
from connect.providers import postmark_replies as replies
from connect.providers.api import JSON, Api, everyone, json_bytes, json_of, trouble
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.providers.postmark_events import parse_events
from connect.providers.postmark_messages import (
    LARGEST_MESSAGE,
    MOST_BYTES,
    MOST_MESSAGES,
    constant,
    packed,
)
from connect.providers.postmark_settings import Settings
from connect.vocabulary import Channel

_TEST_TOKEN = "POSTMARK_API_TEST"
"""Messages that come with it are checked, and not sent (postmarkapp.com/developer/api/overview, "Authentication")."""


class Postmark:
    """One call for a batch, as long as it is within Postmark's size."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_batch=MOST_MESSAGES,
        max_call_bytes=MOST_BYTES,
        max_message_bytes=LARGEST_MESSAGE,
        default_concurrency=4,
        sandbox=True,
        tracks=True,
    )
    parse_events = staticmethod(parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account, self._settings = account, account.settings
        self._api = Api(account)
        self._url = account.settings.endpoint_url.rstrip("/")
        self._fields, self._metadata = constant(account.settings), dict(account.settings.metadata)
        token = account.settings.server_token
        self._headers = {
            "accept": JSON,
            "content-type": JSON,
            "x-postmark-server-token": _TEST_TOKEN if account.sandbox else token.reveal() if token else "",
        }

    async def open(self) -> None:
        if not self._headers["x-postmark-server-token"]:
            raise trouble(*_NO_TOKEN)

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        deadline = asyncio.get_running_loop().time() + self._account.timeout.total_seconds()
        receipts = [Receipt(Status.rejected_content, "message_too_large")] * len(batch)
        for members, items in packed(batch, self._fields, self._metadata):
            answers = await self._call([batch[member] for member in members], items, deadline)
            for member, receipt in zip(members, answers, strict=True):
                receipts[member] = receipt
        return receipts

    async def check(self) -> str:
        if self._settings.server_token is None:
            await self.open()
            return await self._try_out()
        server = await self._look("/server")
        stream = await self._look(f"/message-streams/{quote(self._settings.message_stream, safe='')}")
        return _standing(server, stream, self._settings.message_stream)

    async def close(self) -> None:
        await self._api.close()

    async def _call(self, members: Sequence[Outgoing], items: Sequence[bytes], deadline: float) -> list[Receipt]:
        """One call; where Postmark refuses it whole, over something in it, each message alone shows which it was."""
        body = b"".join((b"[", b",".join(items), b"]"))
        reply = await self._api.ask(f"{self._url}/email/batch", body, self._headers, deadline=deadline)
        if isinstance(reply, Receipt):
            return everyone(reply, members)
        if reply.status == 200:
            return replies.each(reply, members)
        if len(members) == 1 or not replies.refuses_one(reply):
            return replies.whole(reply, members)
        alone = [self._call([outgoing], [item], deadline) for outgoing, item in zip(members, items, strict=True)]
        return [receipt for (receipt,) in await asyncio.gather(*alone)]

    async def _look(self, path: str) -> dict[str, Any]:
        """What Postmark knows of itself. Raises RunTrouble."""
        token = self._settings.server_token
        headers = {"accept": JSON, "x-postmark-server-token": token.reveal() if token else ""}
        reply = await self._api.ask(self._url + path, b"", headers, method="GET")
        if isinstance(reply, Receipt):
            raise trouble("postmark-unreachable", f"Postmark: {reply.reason}", _UNREACHABLE)
        if reply.status == 401:
            raise trouble("postmark-token", "Postmark does not know this server token", _TOKEN_HINT)
        if reply.status in (404, 422):
            raise trouble("postmark-stream", "Postmark: this server has no such message stream", _STREAM_HINT)
        said = json_of(reply)
        if reply.status != 200 or not isinstance(said, dict):
            raise trouble("postmark-unreachable", f"Postmark answers {reply.status}", _UNREACHABLE)
        return said

    async def _try_out(self) -> str:
        """A message that is checked and not sent: without a token there is nothing else to ask for."""
        message = {"From": "check@connect.example", "To": "check@connect.example", "Subject": "check", "TextBody": "."}
        reply = await self._api.ask(f"{self._url}/email/batch", json_bytes([message]), self._headers)
        if isinstance(reply, Receipt) or reply.status != 200:
            reason = reply.reason if isinstance(reply, Receipt) else f"answers {reply.status}"
            raise trouble("postmark-unreachable", f"Postmark: {reason}", _UNREACHABLE)
        return "the sandbox answers: messages are checked, and none is sent"


_TOKEN_HINT = "take it from the tab API Tokens of your server in Postmark, and give it as a reference: `server_token`"
_STREAM_HINT = "`message_stream` is the ID in the stream's settings; a new server has `outbound` and `broadcast`"
_UNREACHABLE = "check `endpoint_url`, status.postmarkapp.com, and whether a firewall lets this machine out on port 443"
_NO_TOKEN = ("postmark-token", "Postmark: there is no `server_token`", _TOKEN_HINT)


def _standing(server: dict[str, Any], stream: dict[str, Any], name: str) -> str:
    """What `/server` and `/message-streams/{id}` say, in one line."""
    if stream.get("ArchivedAt"):
        raise trouble("postmark-stream", f"Postmark: the message stream `{name}` is archived", _STREAM_HINT)
    delivers = "live" if server.get("DeliveryType", "Live") == "Live" else "a sandbox server: nothing is delivered"
    handling = stream.get("SubscriptionManagementConfiguration")
    own = isinstance(handling, dict) and handling.get("UnsubscribeHandlingType") == "Postmark"
    unsubscribing = "; Postmark puts its own unsubscribe link and headers into every message" if own else ""
    kind = stream.get("MessageStreamType", "")
    return f"server {server.get('Name', '')}: {delivers}; stream {name} ({kind}){unsubscribing}"
