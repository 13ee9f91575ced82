"""Amazon SES, API v2: up to 50 individually rendered messages in one call.

SES has no idempotency key, so nothing is repeated, and a call that was written and not answered is `ambiguous`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from connect.channels.message import Email, Outgoing
from connect.providers import aws_replies, http_replies, ses_replies
from connect.providers.api import JSON
from connect.providers.aws import Door, NoKeys, ReportingSettings, Service, Way, opened
from connect.providers.aws_replies import Refusal
from connect.providers.http import NotWritten, Unanswered
from connect.providers.http_turns import Turns
from connect.providers.interface import (
    Account,
    Capabilities,
    ProviderSettings,
    Receipt,
    Status,
)
from connect.providers.ses_calls import MOST_BYTES, MOST_ENTRIES, PATHS, Call, calls, single
from connect.providers.ses_events import parse_events
from connect.vocabulary import Channel

SERVICE = Service(
    "Amazon SES",
    "sesv2",
    {"content-type": JSON},
    (
        "ses-credentials",
        "give `access_key_id` and `secret_access_key` as references (or let boto3 find them: environment, profile, "
        "role), and `region`; they need ses:SendEmail, ses:SendRawEmail and ses:SendBulkEmail",
    ),
    ("ses-unreachable", "check `region`, and whether a firewall lets this machine out on port 443"),
)
_PAUSED = ("ses-paused", "open the SES console of this region: Account dashboard says why, and how to appeal")


class Settings(ReportingSettings):
    configuration_set: str | None = None
    """Through which SES publishes events."""
    bulk: bool = True
    """False sends every message in a call of its own."""


class Ses:
    """Bulk calls where SES can carry the message in one, calls of one message otherwise."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.email}),
        max_batch=MOST_ENTRIES,
        max_call_bytes=MOST_BYTES,
        max_message_bytes=40_000_000,
        default_concurrency=8,
        tracks=True,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account = account
        self._settings = account.settings
        self._turns = Turns(account.concurrency)
        self._door: Door | None = None
        self._ways: dict[str, Way] = {}
        """Operation → where it is asked for."""

    parse_events = staticmethod(parse_events)

    async def open(self) -> None:
        self._door = door = await opened(self._account, self._settings, SERVICE)
        self._ways = {operation: door.way(path) for operation, path in PATHS.items()}

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        sending = _Sending(batch, asyncio.get_running_loop().time() + self._account.timeout.total_seconds())
        rest = []
        for member, outgoing in enumerate(batch):
            if _ascii_addresses(outgoing):
                rest.append(member)
            else:
                sending.receipts[member] = Receipt(Status.rejected_content, "smtputf8_unsupported")
        await self._all(calls(batch, rest, self._settings.configuration_set, self._settings.bulk), sending)
        return [sending.receipts[member] for member in range(len(batch))]

    async def check(self) -> str:
        if self._door is None:
            await self.open()
        assert self._door is not None
        try:
            return _standing(await self._door.ask("get_account"))
        except ClientError as error:
            return _unable_to_say(error)

    async def close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    async def _all(self, planned: Iterator[Call], sending: _Sending) -> None:
        """Several calls, as many at a time as the account allows."""
        first = list(islice(planned, 2))
        if len(first) > 1:
            planned = chain(first, planned)
            lanes = min(len(sending.batch), self._account.concurrency)
            await asyncio.gather(*(self._lane(planned, sending) for _ in range(lanes)))
        elif first:
            await self._call(first[0], sending)  # without a task of its own

    async def _lane(self, planned: Iterator[Call], sending: _Sending) -> None:
        """One call after the other, on one turn, each put together just before it is made: nothing piles up."""
        if not await self._turns.take(sending.deadline):
            late = http_replies.unanswered(NotWritten("no_free_connection"))
            for call in planned:
                sending.settle(call, late)
            return
        try:
            for call in planned:
                await self._call(call, sending)
        finally:
            self._turns.give()

    async def _call(self, call: Call, sending: _Sending) -> None:
        """One call, and the receipts of what it carried."""
        try:
            answer = await self._ask(call, sending.deadline)
        except Unanswered as failure:
            sending.settle(call, http_replies.unanswered(failure))
        except NoKeys as error:
            sending.settle(call, aws_replies.unsigned(str(error)))
        else:
            if not isinstance(answer, Refusal):
                _accepted(call, answer, sending)
            elif len(call.members) > 1 and ses_replies.refuses_one(answer):
                await self._one_by_one(call, sending)
            else:
                sending.settle(call, ses_replies.refused(answer, [sending.batch[member] for member in call.members]))

    async def _one_by_one(self, call: Call, sending: _Sending) -> None:
        """SES refused a bulk call whole, over something in it: each message alone shows which one it was."""
        name = self._settings.configuration_set
        await self._all((single(sending.batch[member], member, name) for member in call.members), sending)

    async def _ask(self, call: Call, deadline: float) -> dict[str, Any] | Refusal:
        """One call. Raises NoKeys where it can not be signed, Unanswered where there is no reply."""
        door = self._door
        if door is None:
            raise NotWritten("client_closed")
        return aws_replies.read(await door.post(self._ways[call.operation], call.body, deadline))


@dataclass(frozen=True, slots=True)
class _Sending:
    """One `send`: what is to be sent, and the instant of the loop's clock after which nothing more is written."""

    batch: Sequence[Outgoing]
    deadline: float
    receipts: dict[int, Receipt] = field(default_factory=dict)
    """Of each member of the batch, when it has one."""

    def settle(self, call: Call, receipt: Receipt) -> None:
        """The same for everything that the call carried."""
        self.receipts.update(dict.fromkeys(call.members, receipt))


def _accepted(call: Call, answer: dict[str, Any], sending: _Sending) -> None:
    """One receipt for each message; an entry that SES says nothing of is in doubt."""
    if call.operation == "SendEmail":
        (member,) = call.members
        sending.receipts[member] = aws_replies.accepted(answer)
        return
    results = answer.get("BulkEmailEntryResults")
    entries: list[object] = results if isinstance(results, list) else []
    for member, entry in zip_longest(call.members, entries[: len(call.members)]):
        sending.receipts[member] = ses_replies.answered(entry, sending.batch[member])


def _ascii_addresses(outgoing: Outgoing) -> bool:
    """SES takes no address outside ASCII before the @ (it does not offer SMTPUTF8); domains come as punycode."""
    assert isinstance(outgoing.message, Email)
    email = outgoing.message
    for mailbox in (email.sender, *email.to, *email.cc, *email.bcc, *email.reply_to):  # half of what `all` costs
        if not mailbox.address.isascii():
            return False
    return True


def _standing(account: Any) -> str:
    """What GetAccount says, in one line."""
    if not account.get("SendingEnabled", True):
        raise SERVICE.trouble(_PAUSED, "sending is paused for this account")
    quota = account.get("SendQuota", {})
    allowed = f"{quota.get('MaxSendRate', 0):g}/s, {quota.get('SentLast24Hours', 0):g} of " + (
        f"{quota.get('Max24HourSend', 0):g} in 24 hours"
    )
    if not account.get("ProductionAccessEnabled", True):
        return f"signed in; in the sandbox (only verified recipients); {allowed}"
    return f"signed in; {allowed}"


def _unable_to_say(error: ClientError) -> str:
    """Credentials that may only send are fine; credentials that are wrong are not."""
    code = error.response.get("Error", {}).get("Code", "")
    status, reason = ses_replies.ERRORS.get(code, (Status.accepted, ""))
    if status is Status.config and reason != "access_denied" and code != "NotFoundException":
        raise SERVICE.trouble(SERVICE.credentials, code) from None
    return "reachable; these credentials may not ask for quota and sandbox (ses:GetAccount)"
