"""The ledger: what must survive a crash, and nothing about people.

Its methods are plain functions for threads; `connect.ledger.commits` is how a running slice writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from connect.clock import Clock
from connect.errors import OutsideError, UserError
from connect.ledger import intents, runs, slices, tallies
from connect.ledger.engine import READS, Place, connect_to, is_busy
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, NewRun, RunRecord, Slice, StateChange, Tally
from connect.ledger.refusals import RunExists
from connect.ledger.schema import ensure
from connect.vocabulary import Mode, RunState

_TRIES = 3


class Ledger:
    """One ledger of one project and target. Safe to use from several threads and processes at once."""

    def __init__(self, place: Place, engine: Engine, target: str, clock: Clock) -> None:
        self.target = target
        self.clock = clock
        self._place = place
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, project: str, target: str, clock: Clock) -> Ledger:
        """Open the ledger at an SQLAlchemy URL, made or migrated when that is due.

        Raises UserError (`ledger-url`, `not-yet-supported`, `ledger-not-a-ledger`, `ledger-newer`,
        `ledger-other-target`) and OutsideError (`ledger-unavailable`).
        """
        place = Place.of(url)
        engine = connect_to(place)
        try:
            with place.trouble():
                ensure(engine, place, project, target)
        except BaseException:
            engine.dispose()
            raise
        return cls(place, engine, target, clock)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes: all of it or nothing. Raises OutsideError for locks and full disks."""
        with self._place.trouble(), self._engine.begin() as connection:
            yield connection

    def transact(self, work: Callable[[Connection], None]) -> None:
        """Do this in one transaction, and again from its beginning if somebody else held the lock for too long."""
        for _ in range(_TRIES - 1):
            try:
                with self.write() as connection:
                    return work(connection)
            except OutsideError as error:
                if not is_busy(error.__cause__):
                    raise
        with self.write() as connection:
            return work(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that holds nobody up."""
        with self._place.trouble(), self._engine.connect() as connection:
            yield connection.execution_options(**READS)

    # Runs

    def create_run(self, run: NewRun, *, again: bool = True) -> RunRecord:
        """Claim the place of a run, with its slice, its first tallies and its `running` state, in one transaction.

        Raises RunExists if the fire time has its run, if the campaign has one in this mode that is still going or
        waiting to go on, or, without `again`, if it has already run live.
        """
        with self.write() as connection:
            other = runs.in_the_way(connection, self.target, run, again)
            if other:
                raise RunExists(other)
            runs.insert_new(connection, self.target, run, self.clock.now())
            slices.insert_whole(connection, run.id, self.clock.now())
            tallies.add(connection, run.id, run.tallies)
            return runs.get(connection, run.id)

    def run(self, run_id: str) -> RunRecord | None:
        """A run by its id or the beginning of it. Raises UserError `ambiguous-run` when several begin like that."""
        with self.read() as connection:
            found = runs.beginning_with(connection, self.target, run_id)
        if len(found) > 1:
            raise UserError.of(
                "ambiguous-run",
                f"several runs begin with {run_id}: {', '.join(run.id for run in found)}",
                "give more of the id",
            )
        return found[0] if found else None

    def runs(self, *, campaign: str | None = None, limit: int = 50) -> list[RunRecord]:
        """Runs of every mode, newest first."""
        with self.read() as connection:
            return runs.newest(connection, self.target, campaign, limit)

    def unfinished(self, mode: Mode, campaign: str) -> RunRecord | None:
        """The run of this campaign that is going on, or waits to go on."""
        with self.read() as connection:
            return runs.unfinished(connection, self.target, mode, campaign)

    def last_completed(self, mode: Mode, campaign: str) -> RunRecord | None:
        with self.read() as connection:
            return runs.last_completed(connection, self.target, mode, campaign)

    def has_run_live(self, campaign: str) -> RunRecord | None:
        """The newest live run that may have reached somebody: completed, not ended, or with deliveries in the air."""
        with self.read() as connection:
            return runs.has_run_live(connection, self.target, campaign)

    def ran(self, mode: Mode, campaign: str, fire_time: datetime) -> RunRecord | None:
        """The run of exactly this fire time."""
        with self.read() as connection:
            return runs.at(connection, self.target, mode, campaign, fire_time)

    def set_state(self, run_id: str, state: RunState, reason: str) -> None:
        """Pause, stop or go on. Runs end through `finish`. Raises UserError `run-ended` or `unknown-run`."""
        if state.ended:
            raise ValueError("a run ends through finish(), which also erases its secrets")
        with self.write() as connection:
            runs.set_state(connection, run_id, state, reason, self.clock.now())

    def note(self, run_id: str, text: str) -> None:
        """Say what a run waits for (`waiting: rate 14/s`) without changing its state; "" when it goes on."""
        with self.write() as connection:
            runs.note(connection, run_id, text, self.clock.now())

    def states(self, run_id: str) -> list[StateChange]:
        """What became of a run, oldest first."""
        with self.read() as connection:
            return runs.states(connection, run_id)

    def tallies(self, run_id: str) -> list[Tally]:
        """Everything that the cursor has passed, counted."""
        with self.read() as connection:
            return tallies.read(connection, run_id)

    def finish(self, run_id: str, state: RunState, reason: str = "", *, slice: Slice | None = None) -> None:
        """End a run: its salt, secret and intents are erased from the disk, whoever still works on it loses its lease.

        Intents that are left over are counted first: by their outcome, or as `unknown: in_doubt`. With a slice, only
        its holder may end the run (raises LeaseLost). Raises UserError `run-ended` or `unknown-run`.
        """
        if not state.ended:
            raise ValueError(f"{state} does not end a run")
        with self.write() as connection:
            if slice:
                slices.fence(connection, slice)
            tallies.add(connection, run_id, intents.left_over(connection, run_id))
            intents.erase(connection, run_id)
            slices.end(connection, run_id)
            runs.end(connection, run_id, state, reason, self.clock.now())
        with self._place.trouble():
            self._place.forget(self._engine)

    # Slices

    def claim_slice(self, run_id: str, *, owner: Owner, lease: timedelta) -> Slice:
        """Become the only one who works on a slice of this run: compare-and-set, with the next epoch.

        Raises SliceHeld while another worker's lease lives, unless that worker is a process of this machine that
        no longer exists. Raises UserError `run-ended` or `unknown-run`.
        """
        with self.write() as connection:
            runs.must_go_on(connection, run_id)
            claimed, taken_over = slices.claim(connection, run_id, owner, self.clock.now(), lease)
            if taken_over:
                runs.count_recovery(connection, run_id)
            return claimed

    def renew(self, slice: Slice, lease: timedelta) -> Slice:
        """Hold on to a slice for another lease from now. Raises LeaseLost."""
        with self.write() as connection:
            return slices.renew(connection, slice, self.clock.now() + lease)

    def release(self, slice: Slice) -> None:
        """Let go of a slice, so that the next worker need not wait; nothing happens when it was lost already."""
        with self.write() as connection:
            slices.release(connection, slice)

    def slice(self, run_id: str) -> Slice:
        """The slice of a run as it stands, to show progress; who claims it gets it from `claim_slice`."""
        with self.read() as connection:
            return slices.of_run(connection, run_id)[0]

    def intents(self, slice_id: int) -> list[Intent]:
        """What is near the air, or was when its worker died, in the order of their sequence."""
        with self.read() as connection:
            return intents.read(connection, slice_id)

    def check(self) -> str:
        """For `connect doctor`: prove that the ledger is whole and can be written; returns what was found."""
        with self.write() as connection:
            damage = self._place.damage(connection)
            counts = runs.count(connection, self.target)
        if damage:
            raise self._place.damaged(damage)
        return f"{self._place} holds {counts} of target {self.target}"
