"""The command `connect`, with memory accounts that do to a person what the person's address says.

With `inside`, HTTP breaks from within, with all that it was given in its words.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta

from connect.channels.message import Outgoing
from connect.cli.main import main
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory
from connect.providers.http import Client, Reply
from connect.providers.interface import Receipt, Status

WHEN = set(os.environ.get("WHEN", "").split(","))
"""Roles that only act when they are named here."""

RECEIPTS = {
    "failed": Receipt(Status.rejected_recipient, "mailbox_unavailable"),
    "unwanted": Receipt(Status.rejected_content),
    "unknown": Receipt(Status.ambiguous, "no_answer"),
    "taken": Receipt(Status.ambiguous, "no_answer", provider_id="taken"),
}
AT_FIRST = {
    "retried": Receipt(Status.transient, "busy"),
    "throttled": Receipt(Status.throttled, "slow_down", retry_after=timedelta(milliseconds=50)),
}


async def answer(outgoing: Outgoing, attempt: int) -> Receipt | None:
    address = outgoing.message.address
    role = address.lower().split("-")[1] if "-" in address else ""
    if role in RECEIPTS:
        return RECEIPTS[role]
    if role in AT_FIRST and attempt == 1:
        return AT_FIRST[role]
    if role in WHEN:
        if role == "explode":
            raise ValueError(f"no route to {address}")
        if role == "quota":
            return Receipt(Status.quota)
        if role == "hang":
            os.write(1, b"hanging\n")
            await asyncio.sleep(3600)
    return None


async def break_inside(
    self: Client, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: object
) -> Reply:
    raise ValueError(f"{method} {url} with {body!r} and {headers} does not work")


memory.script("memory", answer)
if "inside" in WHEN:
    Client.request = break_inside  # type: ignore[method-assign]
if "credentials" in WHEN:
    problem = Problem("memory-refused", "the account refuses these credentials", "mend them")
    memory.refuse_open("memory", RunTrouble(Disposition.pause, problem))
sys.exit(main())
