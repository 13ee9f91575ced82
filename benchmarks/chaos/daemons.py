"""Four daemons on one ledger, under fire: each a process with a clock of its own, that runs fast and is a bit wrong."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from dataclasses import field as made
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

from benchmarks.chaos.duty import Post, resume
from benchmarks.chaos.estate import Estate, Plan
from benchmarks.chaos.house import OPENING, SECRET
from benchmarks.chaos.scenario import POSTGRESQL
from benchmarks.chaos.timetable import JUMP, Evidence, Followed, Ran
from benchmarks.chaos.trial import Trouble
from connect.ledger.records import Schedule
from connect.ledger.store import Ledger
from connect.testing.clock import FastClock, Jump
from connect.testing.receivers import Manners, Receivers
from connect.vocabulary import Mode, RunState

START = datetime(2026, 11, 22, 9, 0, 30, tzinfo=UTC)
_DRAIN_SPEED = 6.0
_PATIENCE = 240.0
_LOOK = 0.03
_SKEWS = (0.0, 2.9, -2.2, -1.1)
"""Seconds by which each daemon's clock is wrong."""


@dataclass(frozen=True)
class Siege:
    """What four daemons go through."""

    ledger: str
    kills: int = 60
    drained: int = 8
    """Stopped well, by SIGTERM, in between."""
    outages: tuple[timedelta, ...] = (timedelta(minutes=8), timedelta(minutes=25))
    """For so long no daemon runs at all."""
    speed: float = 20.0
    """Of the daemons' clocks. A machine that can do more runs in a minute bears more."""
    daemons: int = 4
    jump: tuple[timedelta, timedelta] | None = (timedelta(minutes=8), timedelta(minutes=30))
    """When one daemon's clock is put back by an hour, and when forward again."""

    def __str__(self) -> str:
        return f"daemons, {self.ledger}"


def plans(start: datetime) -> list[Plan]:
    """What is there from the beginning."""
    return [
        Plan("minutely", "recurring", 1),
        Plan("all", "recurring", 2, missed="all", grace=timedelta(minutes=20)),
        Plan("strict", "recurring", 5, missed="skip", overlap="skip"),
        Plan("alone", "recurring", 2, overlap="skip"),
        Plan("edited", "recurring", 3),
        Plan("renamed_before", "recurring", 5, missed="all"),
        Plan("broken", "recurring", 4),
        Plan("orders", "event", 2),
        Plan("payments_before", "event", 3, missed="all"),
        Plan("later", "scheduled", at=start.replace(second=0) + timedelta(minutes=15)),
    ]


_ONCE = Plan("once", "immediate")
_EDITED = Plan("edited", "recurring", 5)


@dataclass
class Field:
    """The siege, going on."""

    siege: Siege
    estate: Estate
    ledger: Ledger
    clock: FastClock
    posts: list[Post]
    random: Random
    followed: dict[str, Followed] = made(default_factory=dict)
    diary: list[str] = made(default_factory=list)
    kills: int = 0
    drained: int = 0
    resumed: int = 0
    booting: float = 1.0
    """Seconds that a daemon takes to begin, on this machine as busy as it is."""
    _specs: dict[str, str] = made(default_factory=dict)
    _events_since: datetime | None = None
    _by_hand: dict[str, ForkServerProcess] = made(default_factory=dict)
    """Runs that have crashed too often, and who goes on with them."""
    _looked_at: float = 0.0
    _watched: dict[str, Callable[[datetime], None]] = made(default_factory=dict)

    # Daemons

    def hit(self, post: Post, how: signal.Signals) -> None:
        """End a daemon; it comes back after a while."""
        if how is signal.SIGKILL:
            post.kill()
            self.kills += 1
        else:
            post.terminate()
            self.drained += 1
        post.back_at = time.monotonic() + self.random.uniform(0, 1.5)
        self.note(f"{how.name} for {post.number}")

    def start(self, post: Post) -> None:
        post.start(self.estate.root, SECRET)

    def up(self) -> list[Post]:
        return [post for post in self.posts if post.process and not post.ending]

    def _tend(self) -> None:
        """Those that have ended are cleared away, those whose time has come are started."""
        for post in self.posts:
            if post.process and post.process.exitcode is not None:
                asked, code = post.ending, post.clear()
                if not asked or code not in (0, -signal.SIGTERM):  # the latter before it could say otherwise
                    raise self.trouble(f"daemon {post.number} ended with {code}{'' if asked else ' by itself'}")
            if post.process is None and post.back_at is not None and post.back_at <= time.monotonic():
                self.start(post)

    # Time

    def pass_time(self, seconds: float) -> None:
        """Let the world go on for so long."""
        until = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= until, "time")

    def until(self, happened: Callable[[], bool], what: str, patience: float = _PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() > deadline:
                raise self.trouble(f"waited in vain for {what}")
            self._tend()
            self._resume()
            self._events()
            self._look()
            time.sleep(_LOOK)

    def _resume(self) -> None:
        """Somebody looks every second for runs that were paused because they crash: nothing is wrong with them."""
        if time.monotonic() < self._looked_at + 1:
            return
        self._looked_at = time.monotonic()
        self._by_hand = {run: process for run, process in self._by_hand.items() if process.exitcode is None}
        for run in self.ledger.runs(limit=200):
            if run.state is RunState.paused and run.id not in self._by_hand:
                self.note(f"a run of {run.campaign} is resumed: {run.reason}")
                self._by_hand[run.id] = resume(self.estate.root, run.id, self.clock, SECRET)
                self.resumed += 1

    def _events(self) -> None:
        """Every ten seconds of the fast clock some events happen."""
        since, now = self._events_since, self.clock.now()
        if since is None or now - since < timedelta(seconds=10) or now < since:
            return
        if self.estate.happen(since, self.clock):
            self._events_since = now

    def nothing_happens_any_more(self) -> None:
        self._events_since = None

    def _look(self) -> None:
        """Note when what the daemons follow is another."""
        if not self._watched:
            return
        schedules = self.schedules()
        for name, tell in self._watched.items():
            spec = schedules[name].spec if name in schedules else ""
            if spec != self._specs.get(name, ""):
                self._specs[name] = spec
                tell(self.clock.now())

    def watch(self, name: str, tell: Callable[[datetime], None]) -> None:
        found = self.schedules().get(name)
        self._specs[name] = found.spec if found else ""
        self._watched[name] = tell

    def schedules(self) -> dict[str, Schedule]:
        return self.ledger.schedules(Mode.live)

    def note(self, what: str) -> None:
        self.diary.append(f"{self.clock.now():%H:%M:%S} {what}, {len(self.up())} up")

    def trouble(self, what: str) -> Trouble:
        logs = sorted(self.estate.root.glob("daemon-*.log"))
        words = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in logs)
        return Trouble(f"{self.siege}: {what}\n{words}\n" + "\n".join(self.diary[-20:]))

    # What people do meanwhile

    def begin(self) -> None:
        """All four take on everything that is there."""
        there = plans(START)
        for plan in there:
            self.estate.put(plan)
        began = time.monotonic()
        for post in self.posts:
            self.start(post)
        names = {plan.name for plan in there}
        self.until(lambda: {*self.schedules()} > names, "the first look")
        for plan in there:
            since = self.schedules()[plan.name].live_since
            assert since
            self.followed[plan.name] = Followed(plan, since)
        self._events_since = self.clock.now()
        self.booting = min(10.0, max(1.5, time.monotonic() - began))
        self.note("all are followed")

    def put_the_immediate_one(self) -> None:
        self.estate.put(_ONCE)
        self.followed["once"] = Followed(_ONCE, self.clock.now())
        self.note("`once` has come")

    def edit(self) -> None:
        followed = self.followed["edited"]
        followed.edited, followed.until = _EDITED, self.schedules()["edited"].cursor

        def seen(now: datetime) -> None:
            followed.since = now
            self.note("`edited` is followed anew")

        self.watch("edited", seen)
        self.estate.put(_EDITED)
        self.note("`edited` was edited")

    def break_one(self) -> None:
        self.estate.write("broken", "status: live\ntrigger: {type: recurring, cron:\n")
        self.note("`broken` was broken")

    def mend(self) -> None:
        self.estate.put(self.followed["broken"].plan)
        self.note("`broken` was mended")

    def rename(self, title: str) -> None:
        old, new = f"{title}_before", f"{title}_after"
        followed = self.followed[old]
        followed.names.append(new)

        def seen(now: datetime) -> None:
            self.note(f"`{new}` is followed")

        self.watch(new, seen)
        self.estate.rename(old, new)
        self.note(f"`{old}` was renamed")

    def outage(self, length: timedelta) -> None:
        """All four at once, and none of them comes back."""
        for post in self.posts:
            post.kill()
            post.back_at = None
        self.note(f"an outage of {length}")
        self.pass_time(length.total_seconds() / self.siege.speed)
        for post in self.posts:
            self.start(post)
        self.note("the outage is over")

    def strike(self, how: signal.Signals) -> None:
        """One that is up, at any instant; also while it starts."""
        self.until(lambda: bool(self.up()), "a daemon to strike")
        self.hit(self.random.choice(self.up()), how)


def besieged(siege: Siege, seed: int, root: Path) -> Evidence:
    """Fire at four daemons, let what is left be worked off, and gather the evidence. Raises Trouble."""
    random = Random(f"{seed} {siege}")
    clock = FastClock(time.time(), START, siege.speed)
    with Receivers(Manners(seed=random.randrange(10**9))) as receivers, _ledger(siege, root, clock) as (url, follow):
        estate = Estate(root, random)
        estate.settle(receivers, url)
        with OPENING:
            ledger = Ledger.open(url, project="chaos", target="default", clock=clock)
        field = Field(siege, estate, ledger, clock, _posts(siege, clock), random)
        try:
            field.begin()
            _fire(field)
            end = field.clock.now()
            _work_off(field, follow)
            rows = [Ran(run, ledger.states(run.id), ledger.tallies(run.id)) for run in ledger.runs(limit=1_000_000)]
            return Evidence(
                [*field.followed.values()],
                end,
                rows,
                estate.happened,
                receivers.tallies(),
                field.kills,
                field.drained,
                len(siege.outages),
                field.resumed,
                timedelta(seconds=10 + 5 * siege.speed),
                field.diary,
            )
        finally:
            for post in field.posts:
                post.kill()
            ledger.close()


def _posts(siege: Siege, clock: FastClock) -> list[Post]:
    wrong = [replace(clock, skew=timedelta(seconds=skew)) for skew in _SKEWS[: siege.daemons]]
    if siege.jump:
        back, forth = siege.jump
        wrong[-1] = replace(wrong[-1], jumps=(Jump(back, -JUMP), Jump(forth, JUMP)))
    return [Post(number, each) for number, each in enumerate(wrong)]


def _fire(field: Field) -> None:
    """Everything that is done, in the order that the seed gives."""
    siege, random = field.siege, field.random
    hits = [signal.SIGKILL] * siege.kills + [signal.SIGTERM] * siege.drained
    random.shuffle(hits)
    others = _others(field)
    places = sorted(random.choices(range(len(hits)), k=len(others)))
    for number, how in enumerate(hits):
        field.pass_time(random.uniform(0.0, field.booting))
        for place, other in zip(places, others, strict=True):
            if place == number:
                other()
        field.strike(how)
    field.pass_time(field.booting * 2)


def _others(field: Field) -> list[Callable[[], None]]:
    first, *more = [lambda length=length: field.outage(length) for length in field.siege.outages]
    return [
        field.put_the_immediate_one,
        field.break_one,
        first,
        field.edit,
        field.mend,
        lambda: field.rename("renamed"),
        *more,
        lambda: field.rename("payments"),
    ]


def _work_off(field: Field, follow: Callable[[FastClock], None]) -> None:
    """The clocks go slower, so that what waits is worked off; then all are stopped well."""
    _stop_all(field)
    slow = FastClock(time.time(), field.clock.now(), _DRAIN_SPEED)
    field.clock = slow
    field.nothing_happens_any_more()
    follow(slow)
    end = slow.now()
    field.note("from here on slower")
    for post in field.posts:
        post.clock = replace(slow, skew=post.clock.skew)
        field.start(post)
    field.until(lambda: _is_done(field, end), "the end of all runs", 3 * _PATIENCE)
    _stop_all(field)


def _stop_all(field: Field) -> None:
    for post in field.posts:
        post.terminate()
        post.back_at = None
    field.until(lambda: not any(post.process for post in field.posts), "the end of all daemons")


def _is_done(field: Field, end: datetime) -> bool:
    """Nothing of the time before waits, or goes on; and everything of that time was decided."""
    schedules = field.schedules()
    live = [each for each in schedules.values() if each.live_since and each.campaign in _followed_now(field)]
    behind = any(each.cursor < end - timedelta(minutes=5) for each in live if not each.fired)
    waiting = (RunState.queued, RunState.running, RunState.paused)
    return not behind and not any(
        run.state in waiting and run.fire_time <= end for run in field.ledger.runs(limit=1_000_000)
    )


def _followed_now(field: Field) -> set[str]:
    return {each.names[-1] if each.names else each.plan.name for each in field.followed.values()}


@contextmanager
def _ledger(siege: Siege, root: Path, clock: FastClock) -> Iterator[tuple[str, Callable[[FastClock], None]]]:
    """The URL of a fresh ledger, and how its own clock is told to go as this one does. Raises NoServer."""
    if siege.ledger != POSTGRESQL:
        yield f"sqlite:///{root / 'state.db'}", lambda clock: None
        return
    from connect.testing.postgres import shared_server

    server = shared_server()
    name = server.create()
    try:
        server.sql("CREATE SCHEMA moved", name)
        server.sql(_as_fast_as(clock), name)
        # A function of the same name, found before the server's own.
        url = f"{server.url(name)}&options=-csearch_path%3Dpublic,moved,pg_catalog"
        yield url, lambda clock: server.sql(_as_fast_as(clock), name)
    finally:
        server.drop(name)


def _as_fast_as(clock: FastClock) -> str:
    began = datetime.fromtimestamp(clock.began, UTC).isoformat()
    return (
        "CREATE OR REPLACE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"$$ SELECT '{clock.start.isoformat()}'::timestamptz"
        f" + (pg_catalog.clock_timestamp() - '{began}'::timestamptz) * {clock.speed} $$"
    )
