"""Mailjet, Send API v3.1: up to 50 individually rendered messages in one call, with a result for each.

Mailjet has no idempotency key: `deduplicate` is by address and campaign, so it can not tell whether a message is the
same, and a call that was written and not answered is `ambiguous`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import ClassVar, Literal

from pydantic import Field

from connect.channels.message import Outgoing
from connect.errors import RunTrouble
from connect.providers import mailjet_replies
from connect.providers.api import JSON, Api, basic, json_of, trouble
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt
from connect.providers.mailjet_calls import MOST_BYTES, MOST_RECIPIENTS, Call, calls, manner, unfit
from connect.providers.mailjet_events import WebhookSettings, parse_events
from connect.providers.mailjet_replies import Refusal
from connect.redact import Secret
from connect.vocabulary import Channel

HOSTS = {
    None: "https://api.mailjet.com",
    "eu": "https://api.eu.mailjet.com",
    "us": "https://api.us.mailjet.com",
}
"""Region → where its API is. The last is for accounts "moved to Mailjet's US architecture" (README of Mailjet's own
clients, github.com/mailjet)."""


class Settings(WebhookSettings):
    api_key: Secret
    """The public half of an API key."""
    secret_key: Secret
    """Its private half."""
    region: Literal["eu", "us"] | None = None
    """For accounts that Mailjet has told so; others leave it out."""
    deduplicate: bool = False
    """Mailjet sends one message per address and run, and blocks every further one."""
    track_opens: bool | None = None
    """Whether Mailjet adds a pixel; as the account says where it is not given."""
    track_clicks: bool | None = None
    """Whether Mailjet rewrites links; as the account says where it is not given."""
    endpoint_url: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    """Instead of the region's, for tests and proxies."""


class Mailjet:
    """One call for a batch; several where its messages have many recipients, or much to carry."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_batch=MOST_RECIPIENTS,
        max_call_bytes=MOST_BYTES,
        max_message_bytes=MOST_BYTES,
        sandbox=True,
        tracks=True,
    )
    parse_events = staticmethod(parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account = account
        self._settings = settings = account.settings
        self._api = Api(account)
        self._host = (settings.endpoint_url or HOSTS[settings.region]).rstrip("/")
        self._url = self._host + "/v3.1/send"
        signed_in = basic(settings.api_key.reveal(), settings.secret_key)
        self._headers = {"authorization": signed_in, "content-type": JSON}
        self._manner = manner(
            deduplicate=settings.deduplicate,
            track_opens=settings.track_opens,
            track_clicks=settings.track_clicks,
            sandbox=account.sandbox,
        )

    async def open(self) -> None:
        if not self._settings.api_key or not self._settings.secret_key:
            raise _credentials("`api_key` or `secret_key` is empty")

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        sending = _Sending(batch, asyncio.get_running_loop().time() + self._account.timeout.total_seconds())
        carried = []
        for member, outgoing in enumerate(batch):
            refusal = unfit(outgoing)
            if refusal is None:
                carried.append(member)
            else:
                sending.receipts[member] = refusal
        await self._all(list(calls(batch, carried, self._manner)), sending)
        return [sending.receipts[member] for member in range(len(batch))]

    async def check(self) -> str:
        """Asks for the addresses that may be sent from, which every key may."""
        await self.open()
        reply = await self._api.ask(self._host + "/v3/REST/sender?Limit=1000", b"", self._headers, method="GET")
        if isinstance(reply, Receipt):
            raise _unreachable(reply.reason)
        if reply.status in (401, 403):
            raise _credentials(f"the API answers {reply.status}")
        if reply.status != 200:
            raise _unreachable(f"the API answers {reply.status}")
        return f"signed in; {_senders(reply)}"

    async def close(self) -> None:
        await self._api.close()

    async def _all(self, planned: Sequence[Call], sending: _Sending) -> None:
        if len(planned) == 1:  # nearly always: without a task of its own
            await self._call(planned[0], sending)
        else:
            await asyncio.gather(*(self._call(call, sending) for call in planned))

    async def _call(self, call: Call, sending: _Sending) -> None:
        """One call, and the receipts of what it carried."""
        reply = await self._api.ask(self._url, call.body, self._headers, deadline=sending.deadline)
        if isinstance(reply, Receipt):
            sending.receipts.update(dict.fromkeys(call.members, reply))
            return
        answer = mailjet_replies.read(reply)
        if not isinstance(answer, Refusal):
            for member, entry in zip_longest(call.members, answer[: len(call.members)]):
                sending.receipts[member] = mailjet_replies.answered(entry, sending.batch[member])
        elif answer.may_be_one and len(call.members) > 1:
            await self._one_by_one(call, sending)
        else:
            receipt = answer.receipt([sending.batch[member] for member in call.members])
            sending.receipts.update(dict.fromkeys(call.members, receipt))

    async def _one_by_one(self, call: Call, sending: _Sending) -> None:
        """Mailjet refused a call whole, over something in it: each message alone shows which one it was."""
        alone = [each for member in call.members for each in calls(sending.batch, [member], self._manner)]
        await self._all(alone, sending)


@dataclass(frozen=True, slots=True)
class _Sending:
    """One `send`: what is to be sent, and the instant of the loop's clock after which nothing more is written."""

    batch: Sequence[Outgoing]
    deadline: float
    receipts: dict[int, Receipt] = field(default_factory=dict)
    """Of each member of the batch, when it has one."""


def _senders(reply: Reply) -> str:
    """How many addresses and domains may be sent from (dev.mailjet.com, resource `sender`)."""
    answer = json_of(reply)
    listed = answer.get("Data") if isinstance(answer, dict) else None
    found = listed if isinstance(listed, list) else []
    active = sum(isinstance(each, dict) and each.get("Status") == "Active" for each in found)
    return f"{active} active sender{'' if active == 1 else 's'}"


def _credentials(words: str) -> RunTrouble:
    return trouble(
        "mailjet-credentials",
        f"Mailjet: {words}",
        "give `api_key` and `secret_key` as references, as Account settings → API Key Management shows them; "
        "a key that was suspended is unlocked by Mailjet's support",
    )


def _unreachable(words: str) -> RunTrouble:
    return trouble(
        "mailjet-unreachable",
        f"Mailjet: {words}",
        "check `region` and `endpoint_url`, status.mailjet.com, and whether a firewall lets this machine out on "
        "port 443",
    )
