"""A process that is killed while it writes: everything it was told is durable is there, and another goes on at once."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Slice
from connect.ledger.store import Ledger
from connect.vocabulary import Channel, Outcome, RunState

SENT = (Channel.email, "", Outcome.sent, "")

# Sixteen deliveries at a time are released, settled and passed in order, and each step is said when it is durable.
WORKER = """
import asyncio, itertools, os, sys
from datetime import timedelta
from connect.clock import SystemClock
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent
from connect.ledger.store import Ledger
from connect.vocabulary import Channel, Outcome

url, run_id = sys.argv[1:]
ledger = Ledger.open(url, project="acme", target="dev", clock=SystemClock())
slice = ledger.claim_slice(run_id, owner=Owner.here(), lease=timedelta(hours=1))
commits = Commits(ledger, slice)

def say(what, number):
    os.write(1, f"{what} {number}\\n".encode())

async def deliver(number):
    key = number.to_bytes(16, "big")
    await commits.intend([Intent(key, number, Channel.email, "smtp", number)])
    say("released", number)
    await commits.settle([(key, Outcome.sent, "")])
    say("settled", number)

async def main():
    for start in itertools.count(0, 16):
        await asyncio.gather(*(deliver(start + number) for number in range(16)))
        if start:
            keys = [number.to_bytes(16, "big") for number in range(start - 16, start)]
            await commits.advance(f"{start:032x}", {(Channel.email, "", Outcome.sent, ""): 16}, keys)
            say("passed", start)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 20, 60, 333])
def test_what_was_durable_survives_and_the_run_goes_on(url, ledger, a_run, lines):
    run = ledger.create_run(a_run())
    command = [sys.executable, "-c", WORKER, url, run.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    released, settled, passed = (
        [int(number) for number in re.findall(rf"^{what} (\d+)$", "".join(said), re.MULTILINE)]
        for what in ("released", "settled", "passed")
    )

    slice = ledger.claim_slice(run.id, owner=Owner.here(), lease=timedelta(hours=1))
    assert (slice.epoch, ledger.run(run.id).recoveries) == (2, 1)
    near = {int.from_bytes(intent.key, "big"): intent.outcome for intent in ledger.intents(slice.id)}
    counted = sum(tally.count for tally in ledger.tallies(run.id))
    reached = int(slice.cursor, 16) if slice.cursor else 0
    assert reached >= max(passed, default=0)
    assert counted == reached
    assert all(number >= reached for number in near)
    assert {number for number in released if number >= reached} <= near.keys()
    assert all(near[number] is Outcome.sent for number in settled if number >= reached)

    asyncio.run(count_as_sent(ledger, slice, [number.to_bytes(16, "big") for number in near]))
    ledger.finish(run.id, RunState.completed, slice=slice)
    assert sum(tally.count for tally in ledger.tallies(run.id)) >= max(settled, default=-1) + 1


async def count_as_sent(ledger: Ledger, slice: Slice, keys: list[bytes]) -> None:
    commits = Commits(ledger, slice)
    await commits.advance(None, {SENT: len(keys)}, keys)
    await commits.close()
