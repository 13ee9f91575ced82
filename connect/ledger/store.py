"""The ledger: what must survive a crash, and nothing about people.

Its methods are plain functions for threads; `connect.ledger.commits` is how a running slice writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from sqlalchemy import Connection, Engine

from connect.clock import Clock
from connect.errors import UserError
from connect.ledger import (
    calls,
    census,
    daemons,
    events,
    intents,
    lifecycle,
    optouts,
    pruning,
    runs,
    schedules,
    seen,
    slices,
    slots,
    spells,
    tallies,
    work,
)
from connect.ledger.calls import Call
from connect.ledger.owner import Owner
from connect.ledger.place import Place, place_of
from connect.ledger.records import (
    WHOLE,
    Bucket,
    Census,
    DaemonRecord,
    EventCount,
    Held,
    HeldOptOut,
    Intent,
    NewRun,
    NewSlice,
    Reported,
    RunRecord,
    Schedule,
    Slice,
    Slots,
    Spell,
    StateChange,
    Tally,
)
from connect.ledger.schema import ensure, touch
from connect.ledger.scope import Scope
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
        self._scope = Scope(target, place, clock)
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
        """Claim the place of a run, with its slices, its first tallies and its first state, in one transaction.

        Raises CallKnown where a call of this name has its run. Raises RunExists if the fire time has its run, if the
        campaign has one in this mode that is still going, waiting to go on or queued, or, without `again`, if it has
        already run live. One that is made to run beside others, is queued or is skipped can always be made, unless its
        fire time has a run; the last two get no slices.
        """
        return self.transact(
            lambda connection: lifecycle.create(connection, self._scope, run, again),
            lambda connection, made: lifecycle.is_created(connection, self._scope, made),
        )

    def start_run(
        self,
        run_id: str,
        *,
        audience_rows: int | None = None,
        tallies: Sequence[Tally] = (),
        slices: Sequence[NewSlice] = WHOLE,
        not_if_live: bool = False,
    ) -> RunRecord:
        """A queued run runs from now on, with slices and first tallies, in one transaction.

        Raises RunExists if this one runs already, or its campaign has another that is unfinished, unless it runs beside
        that; with `not_if_live` also if one has run live that may have reached somebody: for what fires only once.
        Raises UserError `run-ended` or `unknown-run`.
        """
        return self.transact(
            lambda connection: lifecycle.start(
                connection, self._scope, run_id, audience_rows, tallies, slices, not_if_live
            ),
            lambda connection, started: lifecycle.is_started(connection, self._scope, started),
        )

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

    def runs(
        self,
        *,
        campaign: str | None = None,
        limit: int = 50,
        state: RunState | None = None,
        behind: tuple[datetime, str] | None = None,
    ) -> list[RunRecord]:
        """Runs of every mode, newest first; those behind one that is known by when it was made and its id."""
        return self._ask(lambda connection: runs.newest(connection, self.target, campaign, limit, state, behind))

    def abandoned(self) -> list[RunRecord]:
        """Unfinished runs whose people were in the memory of a process that is gone."""
        return self._ask(lambda connection: work.abandoned(connection, self.target, self._now(connection)))

    def interrupted(self) -> frozenset[str]:
        """The ids of runs whose process is gone in the middle of them, and that nobody has taken up again."""
        return self._ask(lambda connection: work.interrupted(connection, self.target, self._now(connection)))

    def call(self, name: bytes) -> Call | None:
        """What became of a call of the API that named itself so, if one did."""
        return self._ask(lambda connection: calls.find(connection, name))

    def unfinished(self, mode: Mode, campaign: str) -> RunRecord | None:
        """The run of this campaign that is going on, or waits to go on: of several the one of the oldest fire time.

        A queued one has not begun.
        """
        return self._ask(lambda connection: runs.unfinished(connection, self.target, mode, campaign))

    def queued(self, mode: Mode, campaign: str) -> list[RunRecord]:
        """Runs of this campaign whose fire time has come and that wait for their turn, oldest fire time first."""
        return self._ask(lambda connection: runs.queued(connection, self.target, mode, campaign))

    def work(self, mode: Mode) -> list[RunRecord]:
        """What a daemon may take up now, oldest fire time first.

        That is of each campaign without an unfinished run its oldest queued one, every queued one that runs beside
        others, and every running one of which a slice is open and nobody's. Never a run of `connect send`, nor one that
        is queued while its campaign is paused by hand.
        """
        return self._ask(lambda connection: work.work(connection, self.target, mode, self._now(connection)))

    def last_completed(self, mode: Mode, campaign: str) -> RunRecord | None:
        return self._ask(lambda connection: runs.last_completed(connection, self.target, mode, campaign))

    def has_run_live(self, campaign: str) -> RunRecord | None:
        """The newest live run that may have reached somebody: completed, not ended, or with deliveries in the air."""
        return self._ask(lambda connection: runs.has_run_live(connection, self.target, campaign))

    def ran(self, mode: Mode, campaign: str, fire_time: datetime) -> RunRecord | None:
        """The run of exactly this fire time."""
        return self._ask(lambda connection: runs.at(connection, self.target, mode, campaign, fire_time))

    def set_state(
        self,
        run_id: str,
        state: RunState,
        reason: str,
        *,
        slice: Slice | None = None,
        unless: Literal[RunState.paused] | None = None,
    ) -> None:
        """Pause, stop or go on. Runs end through `finish`, and queued ones begin through `start_run`.

        With a slice, only its holder may, who lets go of it with that (raises LeaseLost). With `unless`, nothing
        happens where somebody has paused the run (raises RunPaused). Raises UserError `run-ended`, `run-queued` or
        `unknown-run`.
        """
        if state.ended:
            raise ValueError("a run ends through finish(), which also erases its secrets")

        def change(connection: Connection) -> None:
            if slice:
                slices.fence(connection, slice)
                slices.release(connection, slice)
            run = runs.must_have_begun(connection, run_id)
            if unless:
                runs.must_not_be_paused(run)
            runs.set_state(connection, run_id, state, reason, self.clock.now())

        self.transact(change)

    def note(self, run_id: str, text: str) -> None:
        """Say what a run waits for (`waiting: rate 14/s`) without changing its state; "" when it goes on.

        One that is paused, stopped or has ended goes on saying why.
        """
        self.transact(lambda connection: runs.note(connection, run_id, text, self.clock.now()))

    def states(self, run_id: str) -> list[StateChange]:
        """What became of a run, oldest first."""
        return self._ask(lambda connection: runs.states(connection, run_id))

    def tallies(self, run_id: str) -> list[Tally]:
        """Everything that the cursor has passed, counted."""
        return self._ask(lambda connection: tallies.read(connection, run_id))

    def events(self, run_id: str) -> list[EventCount]:
        """What was reported about the deliveries of a run, counted."""
        return self._ask(lambda connection: events.read(connection, run_id))

    def count_events(self, reported: Sequence[Reported]) -> set[bytes]:
        """Count those that are new, in one transaction; returns the first names of the new ones.

        Whatever is given again within some days counts once (`connect.ledger.seen`). Events of runs that are not here
        are remembered, and not counted.
        """
        return self.transact(lambda connection: events.count(connection, reported, self.clock.now()))

    def counted(self, reported: Sequence[Reported]) -> set[bytes]:
        """The first names of those that were counted, by whichever server, within some days."""
        return self._ask(lambda connection: seen.known(connection, [event.names for event in reported]))

    def keep_spells(self, kept: Sequence[Spell]) -> None:
        """Before a server writes events: until then it may have written some that it never comes to count."""
        self.transact(lambda connection: spells.keep(connection, kept))

    def spells(self) -> list[Spell]:
        """Of all servers, the oldest first."""
        return self._ask(spells.read)

    def end_spell(self, name: str) -> None:
        """All that was written in it has been counted."""
        self.transact(lambda connection: spells.end(connection, name))

    def checkpoint(self) -> None:
        """For who writes much, now and then: what was committed is moved to its place, so that no commit has to."""
        with self._place.trouble():
            self._place.checkpoint(self._engine)

    def forget_seen(self) -> None:
        """Forget what was counted so long ago that nobody reports it again, and calls that nobody repeats any more."""
        now = self.clock.now()
        for part in range(seen.PARTS):
            self.transact(partial(seen.forget, now=now, part=part))
        self.transact(lambda connection: calls.forget(connection, self._now(connection)))
        self.transact(lambda connection: spells.forget(connection, now))

    def finish(
        self,
        run_id: str,
        state: RunState,
        reason: str = "",
        *,
        slice: Slice | None = None,
        only_from: RunState | None = None,
    ) -> bool:
        """End a run: its salt, secret and intents are erased from the disk, whoever still works on it loses its lease.

        Intents that are left over are counted first: by their outcome, or as `unknown: in_doubt`. With a slice, only
        its holder may end the run (raises LeaseLost). With `only_from`, nothing happens where the run has left that
        state meanwhile, and the answer is False. Raises UserError `run-ended` or `unknown-run`.
        """
        if not state.ended:
            raise ValueError(f"{state} does not end a run")
        ended = self.transact(
            lambda connection: lifecycle.finish(connection, self._scope, run_id, state, reason, slice, only_from),
            lambda connection, ended: ended and lifecycle.is_finished(connection, run_id, state, reason),
        )
        if ended:
            self._forget()
        return ended

    # Slices

    def claim_slice(self, run_id: str, *, owner: Owner, lease: timedelta) -> Slice:
        """Become the only one who works on a slice of this run: compare-and-set, with the next epoch.

        It is the first that is not ended, open and free, of those that have been open for longest. A slice is free
        when its worker's lease is over, or the worker is a process of this machine that no longer exists.

        Raises SliceHeld if others work on all that is open, SlicesClosed if all that is left opens later, CapHeld if a
        run that shares its cap goes first. Raises
        UserError `run-ended`, `run-queued` or `unknown-run`.
        """
        return self.transact(
            lambda connection: lifecycle.claim(connection, self._scope, run_id, owner, lease), lifecycle.stands
        )

    def renew(self, slice: Slice, lease: timedelta) -> Slice:
        """Hold on to a slice for another lease from now. Raises LeaseLost."""

        def renew(connection: Connection) -> Slice:
            slices.fence(connection, slice)
            return slices.renew(connection, slice, self._now(connection) + lease)

        return self.transact(renew)

    def release(self, slice: Slice) -> None:
        """Let go of a slice, so that the next worker need not wait; nothing happens when it was lost already."""
        self.transact(lambda connection: slices.release(connection, slice))

    def park(
        self, slice: Slice, *, opens_at: datetime | None, closes_at: datetime | None = None, reason: str = ""
    ) -> None:
        """Let go of a slice until it opens. The run goes on running; `reason` says what it waits for, about nobody.

        One that is paused or stopped goes on saying why. Raises LeaseLost.
        """
        self.transact(
            lambda connection: lifecycle.park(connection, self._scope, slice, opens_at, closes_at, reason),
            lifecycle.stands,
        )

    def end_slice(self, slice: Slice) -> bool:
        """Everything in this slice is settled. True when it was the last: then the run is completed, as by `finish`.

        Intents that are left over, of people who left, are counted by their outcome, or as `unknown: in_doubt`.
        Raises LeaseLost.
        """
        is_last = self.transact(
            lambda connection: lifecycle.end_slice(connection, self._scope, slice),
            lambda connection, _: lifecycle.slice_is_ended(connection, slice),
        )
        if is_last:
            self._forget()
        return is_last

    def slice(self, run_id: str) -> Slice:
        """The first slice of a run as it stands; who claims it gets it from `claim_slice`."""
        return self.slices(run_id)[0]

    def slices(self, run_id: str) -> list[Slice]:
        """The slices of a run as they stand, to show progress, in the order in which they were made."""
        return self._ask(lambda connection: slices.of_run(connection, run_id))

    def intents(self, slice_id: int) -> list[Intent]:
        """What is near the air, or was when its worker died, in the order of their sequence."""
        return self._ask(lambda connection: intents.read(connection, slice_id))

    # Time

    def now(self) -> datetime:
        """The instant by the clock that all who share this ledger go by."""
        return self._ask(self._now)

    def schedules(self, mode: Mode) -> dict[str, Schedule]:
        """How far the triggers of all campaigns that ever had one here were followed, by campaign."""
        return self._ask(lambda connection: schedules.of_mode(connection, self.target, mode))

    def put_schedule(
        self, schedule: Schedule, runs: Sequence[NewRun] = (), *, instead_of: Schedule | None = None
    ) -> Schedule | None:
        """Write a schedule that is based on `version`, and the runs that it gives, queued or skipped: all or nothing.

        `instead_of` is the schedule of the name that a new one had before, as it is to be left: it is written, too.
        A run whose fire time has one already is left out. Returns the schedule with its new version; None when
        somebody was faster, and nothing is written.
        """
        return self.transact(
            lambda connection: lifecycle.follow(connection, self._scope, schedule, runs, instead_of),
            lambda connection, after: schedules.is_put(connection, self.target, after),
        )

    def take_slots(self, buckets: Sequence[Bucket], count: int) -> Slots:
        """Dated permissions to send so many messages, that keep the rates of all these buckets."""
        return self.transact(lambda connection: slots.take(connection, self._scope, buckets, count))

    def beat(self, daemon: DaemonRecord) -> None:
        """Say that a daemon is alive, now by the ledger's clock."""
        self.transact(lambda connection: daemons.beat(connection, daemon, self._now(connection)))

    def leave(self, owner: str) -> None:
        """A daemon ends."""
        self.transact(lambda connection: daemons.leave(connection, owner))

    def daemons(self) -> list[DaemonRecord]:
        """Who has said within a day or so that it is alive, the oldest daemon first."""
        return self._ask(daemons.read)

    # Opt-outs that wait for the warehouse

    def hold(self, sealed: Mapping[bytes, bytes]) -> None:
        """Keep sealed opt-outs, by name, until the warehouse has them; each once, however often it comes."""
        self.transact(lambda connection: optouts.add(connection, self._scope, sealed, self.clock.now()))

    def held(self, after: int = 0, limit: int = 1000) -> list[HeldOptOut]:
        """Those that came behind an id, in their order. Who reads on like that misses none."""
        return self._ask(lambda connection: optouts.after(connection, after, limit))

    def taken(self, after: int = 0, limit: int = 1000) -> list[HeldOptOut]:
        """The same, with those that the warehouse has since less than half an hour, or since a run at work began."""
        return self._ask(lambda connection: optouts.after(connection, after, limit, gone=True))

    def held_ids(self) -> list[int]:
        return self._ask(optouts.ids)

    def held_count(self) -> int:
        return self._ask(optouts.count)

    def waiting(self) -> Held:
        """How many are held, and since when."""
        return self._ask(optouts.waiting)

    def let_go(self, names: Collection[bytes]) -> None:
        """The warehouse has these."""
        self.transact(lambda connection: optouts.let_go(connection, names, self._now(connection)))

    def note_taken(self, sealed: Mapping[bytes, bytes]) -> None:
        """The warehouse has these, which were never held: for those that have read it before."""

        def add(connection: Connection) -> None:
            now = self._now(connection)
            optouts.add(connection, self._scope, sealed, now, gone_at=now)

        self.transact(add)

    def forget_gone(self) -> None:
        """Remove what the warehouse has for so long that nobody goes by what was read before."""
        if self._ask(lambda connection: optouts.is_any_past(connection, self._now(connection))):
            self.transact(lambda connection: optouts.remove_past(connection, self._now(connection)))

    def census(self, campaigns: Sequence[str]) -> Census:
        """How things stand, in numbers; of these campaigns the last live run."""
        return self._ask(lambda connection: census.take(connection, self.target, campaigns, self._now(connection)))

    # Upkeep

    def prune(self, older_than: timedelta) -> int:
        """Remove runs that ended longer ago than this, with their states, slices and tallies; returns how many.

        Runs that have not ended stay, and so does the newest of each campaign and mode: it says that the campaign has
        run, and without it a fire time would be due again. Daemons that have said nothing for a day go, too.
        """
        now = self.clock.now()
        before = now - min(older_than, now - EPOCH)
        removed = self.transact(lambda connection: self._prune(connection, before))
        self.forget_seen()
        self._forget()
        return removed

    def _prune(self, connection: Connection, before: datetime) -> int:
        now = self._now(connection)
        daemons.forget(connection, now)
        slots.forget(connection, now)
        return pruning.prune(connection, self.target, before)

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
        return self._scope.now(connection)

    def _forget(self) -> None:
        with self._place.trouble():
            self._place.forget(self._engine)
