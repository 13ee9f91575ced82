"""Resend: up to 100 individually rendered messages in one call, which is known again by its idempotency key.

A call that was written and not answered is repeated under its key, with exactly its members: Resend answers as it did
the first time, and sends nothing again. A batch carries no attachments, so messages with some go alone, each always
under its own key. What can go together does, in one call, which is made first: the answers of a `send` may be taken
apart (some ended, some tried again in other company) only where the key of that call has done its work.
Documented at resend.com/docs (seen 2026-11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from connect.channels.message import Outgoing
from connect.providers import resend_replies as replies
from connect.providers.api import JSON, Api, everyone, json_of, trouble
from connect.providers.interface import Account, Capabilities, Idempotency, ProviderSettings, Receipt, Status
from connect.providers.resend_events import parse_events
from connect.providers.resend_messages import (
    LARGEST_MESSAGE,
    MOST_BYTES,
    MOST_MESSAGES,
    Call,
    call_of,
    planned,
)
from connect.providers.resend_settings import Settings
from connect.vocabulary import Channel


class Resend:
    """Batches in permissive mode, in which a message that is refused does not hold up the others."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_batch=MOST_MESSAGES,
        max_call_bytes=MOST_BYTES,
        max_message_bytes=LARGEST_MESSAGE,
        idempotency=Idempotency.request_key,
        idempotency_lifetime=timedelta(hours=24),
        default_concurrency=2,
        tracks=True,
    )
    parse_events = staticmethod(parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account, self._tags = account, dict(account.settings.tags)
        self._api = Api(account)
        self._url = account.settings.endpoint_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {account.settings.api_key.reveal()}", "content-type": JSON}

    async def open(self) -> None:
        """Connections are made as they are needed; whether the key is right, the first message tells."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        deadline = asyncio.get_running_loop().time() + self._account.timeout.total_seconds()
        plan = planned(batch, self._tags)
        receipts = {member: Receipt(Status.rejected_content, reason) for member, reason in plan.refused.items()}
        alone = plan.alone
        if plan.together:
            answers = await self._call(call_of(batch, plan, plan.together), deadline)
            if not any(answer.status in replies.SETTLED for answer in answers):  # then nobody else is, either
                receipts, alone = dict.fromkeys(range(len(batch)), replies.held_back(answers[0])), []
            receipts.update(zip(plan.together, answers, strict=True))
        calls = [self._call(call_of(batch, plan, [member]), deadline) for member in alone]
        receipts.update(zip(alone, [answer for (answer,) in await asyncio.gather(*calls)], strict=True))
        return [receipts[member] for member in range(len(batch))]

    async def check(self) -> str:
        reply = await self._api.ask(f"{self._url}/domains", b"", self._headers, method="GET")
        if isinstance(reply, Receipt):
            raise trouble("resend-unreachable", f"Resend: {reply.reason}", _UNREACHABLE)
        said = json_of(reply)
        said = said if isinstance(said, dict) else {}
        if reply.status == 200:
            return _standing(said.get("data"))
        if said.get("name") == "restricted_api_key":  # as it should be; the key was recognised
            return "signed in; this key may only send, so it can not ask which domains are verified"
        if 400 <= reply.status < 404:
            raise trouble("resend-key", "Resend does not accept this API key", _KEY_HINT)
        raise trouble("resend-unreachable", f"Resend answers {reply.status}", _UNREACHABLE)

    async def close(self) -> None:
        await self._api.close()

    async def _call(self, call: Call, deadline: float) -> list[Receipt]:
        headers = self._headers | ({} if len(call.members) == 1 else _PERMISSIVE) | {"idempotency-key": call.key}
        reply = await self._api.ask(self._url + call.path, call.body, headers, deadline=deadline)
        if isinstance(reply, Receipt):
            return everyone(reply, call.members)
        if 200 <= reply.status < 300:
            return replies.accepted(reply, call.members)
        if len(call.members) > 1 and replies.refuses_one(reply):
            return await self._one_by_one(call, deadline)
        return replies.refused(reply, call.members)

    async def _one_by_one(self, call: Call, deadline: float) -> list[Receipt]:
        """Resend refused a batch whole, over something in it: each message alone shows which one it was.

        One after the other, and no more once one is not settled: so what is tried again was not written.
        """
        receipts: list[Receipt] = []
        for single in call.apart():
            if receipts and receipts[-1].status not in replies.SETTLED:
                receipts.append(replies.held_back(receipts[-1]))
            else:
                receipts += await self._call(single, deadline)
        return receipts


_PERMISSIVE = {"x-batch-validation": "permissive"}
"""Else one message that is refused holds up all others (resend.com/changelog/batch-validation-modes)."""

_KEY_HINT = "make one at resend.com/api-keys (sending access is enough), and give it as a reference: `api_key`"
_DOMAIN_HINT = "add your domain at resend.com/domains, put its records into your DNS, and wait until it is verified"
_UNREACHABLE = "check `endpoint_url`, resend-status.com, and whether a firewall lets this machine out on port 443"


def _standing(domains: object) -> str:
    """What `/domains` says, in one line."""
    known = [each for each in domains if isinstance(each, dict)] if isinstance(domains, list) else []
    verified = sorted(str(each.get("name")) for each in known if each.get("status") == "verified")
    if not verified:
        raise trouble(
            "resend-domain", "Resend: no domain is verified, so nobody but yourself can be sent to", _DOMAIN_HINT
        )
    return f"signed in; verified: {', '.join(verified)}"
