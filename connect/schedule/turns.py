"""The runs that this daemon works on now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from connect.clock import Clock
from connect.errors import ConnectError
from connect.ledger.records import RunRecord
from connect.ledger.refusals import LeaseLost, RunEnded, RunExists, SliceHeld, SlicesClosed
from connect.ledger.store import Ledger
from connect.schedule.log import Log
from connect.vocabulary import Mode, RunState

Work = Callable[[RunRecord, asyncio.Event], Awaitable[object]]
"""Takes a run as far as it goes now; until the event is set, which asks it to stop well."""


class NotHere(ConnectError):
    """This daemon lacks what the run needs, such as a file of its campaign that is live; others may have it."""


_SHORTLY, _LONGEST = 5.0, 300.0
"""Seconds until a run that made trouble is tried again: twice as long each time."""
_ELSEWHERE = (SliceHeld, SlicesClosed, RunExists, RunEnded, LeaseLost)
"""Others were faster, or have to be waited for: nothing is wrong."""


@dataclass(frozen=True, slots=True)
class _Turn:
    task: asyncio.Task[None]
    stop: asyncio.Event


class Turns:
    """Takes up what the ledger has to do, so many runs at a time. One run's trouble is its own."""

    def __init__(self, ledger: Ledger, clock: Clock, work: Work, most: int, log: Log) -> None:
        self._ledger, self._clock, self._work, self._most, self._log = ledger, clock, work, most, log
        self._turns: dict[str, _Turn] = {}
        self._later: dict[str, tuple[float, float]] = {}
        """Runs that made trouble: (by the monotonic clock, not before then; the seconds that this was)."""
        self.has_room = asyncio.Event()
        """Set when a run has come to its end here."""

    def __len__(self) -> int:
        return len(self._turns)

    async def take_up(self, mode: Mode) -> int:
        """Begin with what waits, oldest fire time first, while there is room; returns how many were begun.

        Raises OutsideError while the ledger is away.
        """
        self.has_room.clear()
        if len(self._turns) >= self._most:
            return 0
        found = await asyncio.to_thread(self._ledger.work, mode)
        self._later = {run.id: self._later[run.id] for run in found if run.id in self._later}
        mine = [record for record in found if record.id not in self._turns and self._may_try(record)]
        begun = mine[: self._most - len(self._turns)]
        for record in begun:
            stop = asyncio.Event()
            self._turns[record.id] = _Turn(asyncio.create_task(self._take(record, stop)), stop)
        return len(begun)

    def _may_try(self, record: RunRecord) -> bool:
        return self._later.get(record.id, (0.0, 0.0))[0] <= self._clock.monotonic()

    async def _take(self, record: RunRecord, stop: asyncio.Event) -> None:
        if record.id not in self._later:
            self._log.info("run-taken-up", campaign=record.campaign, run=record.id, fire_time=record.fire_time)
        try:
            await self._work(record, stop)
        except NotHere as problem:
            if record.id not in self._later:  # said once: it may be so for days
                self._left(record, problem)
            self._delay_more(record)
        except _ELSEWHERE as held:
            self._left(record, held)
            self._delay(record, _SHORTLY)
        except ConnectError as problem:
            await self._troubled(record, problem)
        except Exception as problem:  # noqa: BLE001 - one run's bug must not end the others
            await self._troubled(record, problem)
        else:
            self._later.pop(record.id, None)
            await self._tell(record)
        finally:
            del self._turns[record.id]
            self.has_room.set()

    async def _troubled(self, record: RunRecord, problem: Exception) -> None:
        self._delay_more(record)
        if isinstance(problem, ConnectError) and not problem.problems:  # it was asked to stop
            await self._tell(record)
        else:
            self._log.trouble("run-trouble", problem, campaign=record.campaign, run=record.id)
            await self._note(record, problem)

    async def _note(self, record: RunRecord, problem: Exception) -> None:
        """What is in its way, for those who look at the run; of a run that was paused, the ledger says it already."""
        if isinstance(problem, ConnectError):
            with suppress(ConnectError):
                await asyncio.to_thread(self._ledger.note, record.id, f"waiting: {problem.problems[0].message}")

    def _left(self, record: RunRecord, held: ConnectError) -> None:
        self._log.info("run-left", campaign=record.campaign, run=record.id, reason=held.problems[0].message)

    def _delay_more(self, record: RunRecord) -> None:
        _, before = self._later.get(record.id, (0.0, 0.0))
        self._delay(record, min(max(_SHORTLY, before * 2), _LONGEST))

    def _delay(self, record: RunRecord, seconds: float) -> None:
        self._later[record.id] = (self._clock.monotonic() + seconds, seconds)

    async def _tell(self, record: RunRecord) -> None:
        """How the run stands, now that nothing is done for it here."""
        with suppress(ConnectError):
            now = await asyncio.to_thread(self._ledger.run, record.id)
            if now:
                action = "run-waits" if now.state is RunState.running else f"run-{now.state}"
                self._log.info(action, campaign=now.campaign, run=now.id, reason=now.reason)

    def stop(self) -> None:
        """Ask every run to stop well."""
        for turn in self._turns.values():
            turn.stop.set()

    def abandon(self) -> None:
        """Stop every run where it is. What is in the air is in doubt."""
        for turn in self._turns.values():
            turn.task.cancel()

    async def end(self, drain: float) -> None:
        """Ask every run to stop, wait for them so many seconds, then abandon those that have not."""
        self.stop()
        tasks = [turn.task for turn in self._turns.values()]
        if not tasks:
            return
        patience = asyncio.ensure_future(self._clock.sleep(drain))
        ended = asyncio.ensure_future(asyncio.wait(tasks))
        try:
            await asyncio.wait((patience, ended), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._log.warning("runs-abandoned", count=len(self._turns), reason="they did not stop in time")
                self.abandon()
            await ended
        finally:
            patience.cancel()
