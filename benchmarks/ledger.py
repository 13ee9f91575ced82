"""What the ledger costs: deliveries for each second of processor time, durable before the send and after it.

Four groups of 64 are in flight. Each is released, then settled: most are passed by the cursor at once, some wait ahead
of it. The client's processor time counts, not the disk's nor the server's.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.rows import Row
from connect.clock import SystemClock
from connect.identity import new_run_id
from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Call, NewRun
from connect.ledger.store import Ledger
from connect.testing.postgres import NoServer, shared_server
from connect.vocabulary import Channel, Mode, Outcome, RunState

GROUP = 64
_LANES = 4
_SLOW = 8
"""Every eighth group answers later than those behind it."""
_SENT = (Channel.sms, "", Outcome.sent, "")


def rows(deliveries: int = 128_000, times: int = 3) -> Iterator[Row]:
    """Deliveries a second of processor time on each engine; and with one group at a time, where none share a commit."""
    base = _on_sqlite(deliveries, times)
    yield Row("ledger_sqlite", base, "per CPU s", "ledger_sqlite", 1.0)
    alone = _on_sqlite(deliveries // 4, times, lanes=1)
    yield Row("ledger_sqlite_lone", alone, "per CPU s", "ledger_sqlite", alone / base)
    one_by_one = _on_sqlite(deliveries // 64, times, lanes=1, group=1)
    yield Row("ledger_sqlite_one_by_one", one_by_one, "per CPU s", "ledger_sqlite", one_by_one / base)
    try:
        server = shared_server()
    except NoServer:
        return
    name = server.create()
    try:
        found = _rate(server.url(name), deliveries, times)
    finally:
        server.drop(name)
    yield Row("ledger_postgresql", found, "per CPU s", "ledger_sqlite", found / base)


def _on_sqlite(deliveries: int, times: int, lanes: int = _LANES, group: int = GROUP) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _rate(f"sqlite:///{Path(folder) / 'state.db'}", deliveries, times, lanes, group)


def _rate(url: str, deliveries: int, times: int, lanes: int = _LANES, group: int = GROUP) -> float:
    """The median of several runs in one ledger."""
    ledger = Ledger.open(url, project="bench", target="dev", clock=SystemClock())
    try:
        return median(asyncio.run(_sweep(ledger, deliveries, lanes, group)) for _ in range(times))
    finally:
        ledger.close()


@dataclass
class _Sweep:
    """What is still to be sent, and how far all of it is settled."""

    groups: Iterator[tuple[int, list[bytes]]]
    settled: dict[int, list[bytes]] = field(default_factory=dict)
    front: int = 0

    def passed(self) -> list[bytes]:
        """The keys of the groups at the front that are settled."""
        keys: list[bytes] = []
        while self.front in self.settled:
            keys += self.settled.pop(self.front)
            self.front += 1
        return keys


async def _sweep(ledger: Ledger, deliveries: int, lanes: int, size: int) -> float:
    """Deliveries for each second of processor time of one run."""
    run = ledger.create_run(_new_run())
    slice = ledger.claim_slice(run.id, owner=Owner.here(), lease=timedelta(hours=1))
    commits, source = Commits(ledger, slice), os.urandom(16 * deliveries)
    keys = [source[start : start + 16] for start in range(0, len(source), 16)]
    groups = [keys[start : start + size] for start in range(0, deliveries, size)]
    sweep = _Sweep(enumerate(groups))
    began = time.process_time()
    await asyncio.gather(*(_lane(commits, sweep) for _ in range(lanes)))
    took = time.process_time() - began
    await commits.close()
    counted = sum(tally.count for tally in ledger.tallies(run.id))
    if counted != deliveries or ledger.intents(slice.id):
        raise SystemExit(f"the ledger counted {counted} of {deliveries}")
    await asyncio.to_thread(ledger.finish, run.id, RunState.completed, slice=slice)
    return deliveries / took


async def _lane(commits: Commits, sweep: _Sweep) -> None:
    for number, keys in sweep.groups:
        first = number * len(keys)
        await commits.release([Call(number, Channel.sms, "texts", keys, range(first, first + len(keys)))])
        for _ in range(20 if number % _SLOW == 0 else 1):
            await asyncio.sleep(0)
        sweep.settled[number] = keys
        passed = sweep.passed()
        if passed:
            await commits.advance(f"{sweep.front:032x}", {_SENT: len(passed)}, passed)
        else:
            await commits.settle([(key, Outcome.sent, "") for key in keys])


def _new_run() -> NewRun:
    now = SystemClock().now()
    return NewRun(new_run_id(int(now.timestamp())), Mode.live, "bench", now, True, "", "{}", b"salt", b"secret")


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:<26} {row.value:>10,.0f} {row.unit:<10} {row.ratio:>6.2f}  {row.ratio_to}")
