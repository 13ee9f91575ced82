"""The ledger: what must survive a crash, and nothing about people.

Its methods are plain functions for threads; `connect.ledger.commits` is how a running slice writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine

from connect.clock import Clock
from connect.errors import UserError
from connect.ledger import intents, pruning, runs, slices, tallies
from connect.ledger.owner import Owner
from connect.ledger.place import Place, place_of
from connect.ledger.records import Intent, NewRun, RunRecord, Slice, StateChange, Tally
from connect.ledger.refusals import RunExists
from connect.ledger.schema import ensure, touch
from connect.ledger.tables import EPOCH
from connect.ledger.transactions import Line, Transactions
from connect.vocabulary import Mode, RunState

T = TypeVar("T")


class Ledger:
    """One ledger of one project and target. Safe to use from several threads and processes at once.

    What it writes is tried again when others are in the way, or the database goes and comes back within seconds; then
    it raises OutsideError (`ledger-unavailable`).
    """

    def __init__(self, place: Place, engine: Engine, target: str, clock: Clock) -> None:
        self.target = target
        self.clock = clock
        self._place = place
        self._engine = engine
        self._transactions = Transactions(place, engine)

    @classmethod
    def open(cls, url: str, *, project: str, target: str, clock: Clock) -> Ledger:
        """Open the ledger at an SQLAlchemy URL, made or migrated when that is due.

        Raises UserError (`ledger-url`, `missing-extra`, `ledger-not-a-ledger`, `ledger-newer`,
        `ledger-other-target`) and OutsideError (`ledger-unavailable`).
        """
        place = place_of(url)
        engine = place.engine()
        try:
            with place.trouble():
                ensure(engine, place, project, target)
        except BaseException:
            engine.dispose()
            raise
        return cls(place, engine, target, clock)

    def close(self) -> None:
        self._engine.dispose()

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction that writes: all of it or nothing. Raises OutsideError for locks and full disks."""
        return self._transactions.write()

    def read(self) -> AbstractContextManager[Connection]:
        """A consistent view that holds nobody up."""
        return self._transactions.read()

    def transact(
        self,
        work: Callable[[Connection], T],
        happened: Callable[[Connection, T], bool] = lambda connection, result: False,
        wait: Callable[[float], object] = time.sleep,
        line: Line | None = None,
    ) -> T:
        """Do this in one transaction, and again where that is safe: see `Transactions.do`."""
        return self._transactions.do(work, happened, wait, line)

    def line(self) -> Line:
        """A connection for one who writes all the time; to be closed."""
        return self._transactions.line()

    # Runs

    def create_run(self, run: NewRun, *, again: bool = True) -> RunRecord:
        """Claim the place of a run, with its slice, its first tallies and its `running` state, in one transaction.

        Raises RunExists if the fire time has its run, if the campaign has one in this mode that is still going or
        waiting to go on, or, without `again`, if it has already run live.
        """

        def create(connection: Connection) -> RunRecord:
            self._place.one_at_a_time(connection)
            other = runs.in_the_way(connection, self.target, run, again)
            if other:
                raise RunExists(other)
            runs.insert_new(connection, self.target, run, self.clock.now())
            slices.insert_whole(connection, run.id, self.clock.now())
            tallies.add(connection, run.id, run.tallies)
            return runs.get(connection, run.id)

        def created(connection: Connection, made: RunRecord) -> bool:
            self._place.one_at_a_time(connection)
            return bool(runs.beginning_with(connection, self.target, made.id))

        return self.transact(create, created)

    def run(self, run_id: str) -> RunRecord | None:
        """A run by its id or the beginning of it. Raises UserError `ambiguous-run` when several begin like that."""
        found = self._ask(lambda connection: runs.beginning_with(connection, self.target, run_id))
        if len(found) > 1:
            raise UserError.of(
                "ambiguous-run",
                f"several runs begin with {run_id}: {', '.join(run.id for run in found)}",
                "give more of the id",
            )
        return found[0] if found else None

    def runs(self, *, campaign: str | None = None, limit: int = 50) -> list[RunRecord]:
        """Runs of every mode, newest first."""
        return self._ask(lambda connection: runs.newest(connection, self.target, campaign, limit))

    def unfinished(self, mode: Mode, campaign: str) -> RunRecord | None:
        """The run of this campaign that is going on, or waits to go on."""
        return self._ask(lambda connection: runs.unfinished(connection, self.target, mode, campaign))

    def last_completed(self, mode: Mode, campaign: str) -> RunRecord | None:
        return self._ask(lambda connection: runs.last_completed(connection, self.target, mode, campaign))

    def has_run_live(self, campaign: str) -> RunRecord | None:
        """The newest live run that may have reached somebody: completed, not ended, or with deliveries in the air."""
        return self._ask(lambda connection: runs.has_run_live(connection, self.target, campaign))

    def ran(self, mode: Mode, campaign: str, fire_time: datetime) -> RunRecord | None:
        """The run of exactly this fire time."""
        return self._ask(lambda connection: runs.at(connection, self.target, mode, campaign, fire_time))

    def set_state(self, run_id: str, state: RunState, reason: str, *, slice: Slice | None = None) -> None:
        """Pause, stop or go on. Runs end through `finish`. Raises UserError `run-ended` or `unknown-run`.

        With a slice, only its holder may, who lets go of it with that (raises LeaseLost).
        """
        if state.ended:
            raise ValueError("a run ends through finish(), which also erases its secrets")

        def change(connection: Connection) -> None:
            if slice:
                slices.fence(connection, slice)
                slices.release(connection, slice)
            runs.set_state(connection, run_id, state, reason, self.clock.now())

        self.transact(change)

    def note(self, run_id: str, text: str) -> None:
        """Say what a run waits for (`waiting: rate 14/s`) without changing its state; "" when it goes on."""
        self.transact(lambda connection: runs.note(connection, run_id, text, self.clock.now()))

    def states(self, run_id: str) -> list[StateChange]:
        """What became of a run, oldest first."""
        return self._ask(lambda connection: runs.states(connection, run_id))

    def tallies(self, run_id: str) -> list[Tally]:
        """Everything that the cursor has passed, counted."""
        return self._ask(lambda connection: tallies.read(connection, run_id))

    def finish(self, run_id: str, state: RunState, reason: str = "", *, slice: Slice | None = None) -> None:
        """End a run: its salt, secret and intents are erased from the disk, whoever still works on it loses its lease.

        Intents that are left over are counted first: by their outcome, or as `unknown: in_doubt`. With a slice, only
        its holder may end the run (raises LeaseLost). Raises UserError `run-ended` or `unknown-run`.
        """
        if not state.ended:
            raise ValueError(f"{state} does not end a run")

        def end(connection: Connection) -> None:
            if slice:
                slices.fence(connection, slice)
            slices.end(connection, run_id)  # first: from now on nobody writes what would not be counted
            tallies.add(connection, run_id, intents.left_over(connection, run_id))
            intents.erase(connection, run_id)
            runs.end(connection, run_id, state, reason, self.clock.now())

        def ended(connection: Connection, _: None) -> bool:
            slices.hold(connection, run_id)
            run = runs.get(connection, run_id)
            return (run.state, run.reason) == (state, reason)

        self.transact(end, ended)
        self._forget()

    # Slices

    def claim_slice(self, run_id: str, *, owner: Owner, lease: timedelta) -> Slice:
        """Become the only one who works on a slice of this run: compare-and-set, with the next epoch.

        Raises SliceHeld while another worker's lease lives, unless that worker is a process of this machine that
        no longer exists. Raises UserError `run-ended` or `unknown-run`.
        """

        def claim(connection: Connection) -> Slice:
            slices.hold(connection, run_id)
            runs.must_go_on(connection, run_id)
            claimed, taken_over = slices.claim(connection, run_id, owner, self._now(connection), lease)
            if taken_over:
                runs.count_recovery(connection, run_id)
            return claimed

        def is_claimed(connection: Connection, claimed: Slice) -> bool:
            slices.hold(connection, run_id)
            return claimed in slices.of_run(connection, run_id)

        return self.transact(claim, is_claimed)

    def renew(self, slice: Slice, lease: timedelta) -> Slice:
        """Hold on to a slice for another lease from now. Raises LeaseLost."""

        def renew(connection: Connection) -> Slice:
            slices.fence(connection, slice)
            return slices.renew(connection, slice, self._now(connection) + lease)

        return self.transact(renew)

    def release(self, slice: Slice) -> None:
        """Let go of a slice, so that the next worker need not wait; nothing happens when it was lost already."""
        self.transact(lambda connection: slices.release(connection, slice))

    def slice(self, run_id: str) -> Slice:
        """The slice of a run as it stands, to show progress; who claims it gets it from `claim_slice`."""
        return self._ask(lambda connection: slices.of_run(connection, run_id)[0])

    def intents(self, slice_id: int) -> list[Intent]:
        """What is near the air, or was when its worker died, in the order of their sequence."""
        return self._ask(lambda connection: intents.read(connection, slice_id))

    # Upkeep

    def prune(self, older_than: timedelta) -> int:
        """Remove runs that ended longer ago than this, with their states, slices and tallies; returns how many.

        Runs that have not ended stay, and so does the newest of each campaign and mode: it says that the campaign has
        run, and without it a fire time would be due again.
        """
        now = self.clock.now()
        before = now - min(older_than, now - EPOCH)
        removed = self.transact(lambda connection: pruning.prune(connection, self.target, before))
        self._forget()
        return removed

    def size(self) -> int:
        """Bytes that the ledger takes on the disk."""
        return self._ask(self._place.size)

    def check(self) -> str:
        """For `connect doctor`: prove that the ledger is whole and can be written; returns what was found."""
        with self.write() as connection:
            touch(connection)
            damage = self._place.damage(connection)
            counts = runs.count(connection, self.target)
            remark = self._place.remark(connection)
        if damage:
            raise self._place.damaged(damage)
        return f"{self._place} holds {counts} of target {self.target}" + (f"; {remark}" if remark else "")

    def _ask(self, question: Callable[[Connection], T]) -> T:
        return self._transactions.ask(question)

    def _now(self, connection: Connection) -> datetime:
        """The instant for leases."""
        return self._place.now(connection, self.clock)

    def _forget(self) -> None:
        with self._place.trouble():
            self._place.forget(self._engine)
