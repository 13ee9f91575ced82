"""Following the triggers: what the files say, and what the clock says, becomes schedules and runs in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connect.clock import Clock
from connect.errors import ConnectError
from connect.ledger.owner import Owner
from connect.ledger.records import NewRun, Schedule
from connect.ledger.store import Ledger
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.project.trigger import Immediate, Scheduled
from connect.schedule import claims, history
from connect.schedule.claims import Fire
from connect.schedule.house import Changes, House
from connect.schedule.log import Log
from connect.vocabulary import RunState

MakeRun = Callable[[Project, Campaign, Fire], NewRun]
"""A fire time as a row for the ledger. Raises ConnectError where the campaign can not be kept for it."""

_AGAIN = timedelta(seconds=15)
"""After trouble with one campaign."""
_ELSEWHERE = timedelta(minutes=1)
"""How often one looks whether another daemon's checkout is this one again."""
_ALIVE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Look:
    """When to look at a campaign: when the clock on the wall says so, or so much time has passed.

    Either may be wrong: the wall's is set, and then what has passed is not what was to pass.
    """

    wall: float
    monotonic: float


_NOW = _Look(0.0, 0.0)


class Following:
    """All campaigns of a house, in its mode. Everything here is for threads, one at a time.

    It goes by the ledger's clock, so that daemons whose clocks differ agree about what is due.
    """

    def __init__(self, house: House, ledger: Ledger, clock: Clock, make_run: MakeRun, log: Log) -> None:
        self._house, self._ledger, self._clock, self._make_run, self._log = house, ledger, clock, make_run, log
        self._now = clock.now()
        self._said: dict[str, str] = {}
        """The last trouble of each campaign, so that it is said once."""
        self._early = {*house.unread}
        """Files that were there before this daemon, and give a campaign only later: it may be from long ago."""
        self._start()

    def _start(self) -> None:
        self.mode = self._house.project.mode
        self._looks: dict[str, _Look] = {}
        self._gone: set[str] = set()
        self._news: set[str] = set()
        """What this daemon has to say itself about their triggers. Elsewhere, others may know better."""
        self._began = False
        self._tell(self._house.campaigns)

    def hear(self, changes: Changes, *, everything: bool = False) -> None:
        """The files are others than before; `everything`: look at all campaigns as if this daemon had just begun."""
        self._early &= self._house.files
        if self._house.project.mode is not self.mode:
            self._early |= self._house.unread
            everything = True
        if everything:
            self._start()
            return
        self._gone |= {*changes.gone}
        self._tell(changes.campaigns)

    def _tell(self, names: Iterable[str]) -> None:
        self._news |= {*names}
        self._looks |= dict.fromkeys(names, _NOW)
        self._count()

    def _count(self) -> None:
        looks = self._looks.values()
        self._soonest = _Look(
            min((look.wall for look in looks), default=float("inf")),
            min((look.monotonic for look in looks), default=float("inf")),
        )

    @property
    def due_in(self) -> float:
        """Seconds until there is something to look at; 0 and less: now. Costs next to nothing."""
        if self._gone or not self._began:
            return 0.0
        wall = self._soonest.wall - self._clock.now().timestamp()
        return min(wall, self._soonest.monotonic - self._clock.monotonic())

    def look(self) -> None:
        """Adopt what is new, retire what is gone, and decide about everything that is due.

        Raises OutsideError while the ledger is away; then nothing is lost, and the next look does it.
        """
        self._now = self._ledger.now()
        schedules = self._ledger.schedules(self.mode)
        self._retire(schedules)
        campaigns = self._house.campaigns
        for name in [name for name, look in self._looks.items() if self._has_come(look)]:
            if name in campaigns:
                self._look_at(campaigns[name], schedules)
            else:
                del self._looks[name]
                self._news.discard(name)
        self._count()
        if claims.is_fresh(schedules):
            self._settle()

    def _settle(self) -> None:
        """Everything that can be followed was adopted: what comes now is new.

        What one broken file holds back must not make old campaigns of all that come until it is mended.
        """
        in_trouble = (self._house.loaded(name) for name in self._news)
        self._early |= {loaded.file for loaded in in_trouble if loaded}
        self._ledger.put_schedule(claims.settled(self.mode, self._now))

    def _was_before(self, campaign: Campaign, schedules: Mapping[str, Schedule]) -> bool:
        """Whether a campaign that the ledger does not know may have been live before anybody followed it."""
        loaded = self._house.loaded(campaign.name)
        return claims.is_fresh(schedules) or (loaded is not None and loaded.file in self._early)

    def _has_come(self, look: _Look) -> bool:
        return look.wall <= self._clock.now().timestamp() or look.monotonic <= self._clock.monotonic()

    def _retire(self, schedules: Mapping[str, Schedule]) -> None:
        """Files that are gone, or went while no daemon was there: should they come again, nothing of the past fires."""
        if not self._began and self._house.is_whole and not self._others_are_alive():
            self._gone |= {name for name, row in schedules.items() if row.live_since} - self._house.campaigns.keys()
        self._began = True
        self._gone -= self._renamed(schedules)
        for name in sorted(self._gone):
            row = schedules.get(name)
            retired = claims.retire(row) if row and name not in self._house.campaigns else None
            if retired and self._ledger.put_schedule(retired) is None:
                continue  # somebody was faster: with the next look
            if retired:
                self._log.info("campaign-gone", campaign=name, reason="it has no file any more")
            self._gone.discard(name)

    def _renamed(self, schedules: Mapping[str, Schedule]) -> set[str]:
        """Those that are here under a new name, which takes their schedule over: who retired them before that would
        have it begin anew, and what came due meanwhile would be lost."""
        new = [campaign for name, campaign in self._house.campaigns.items() if name not in schedules]
        before = (claims.predecessor(campaign, self.mode, self._vanished(schedules)) for campaign in new)
        return {old.campaign for old in before if old}

    def _vanished(self, schedules: Mapping[str, Schedule]) -> dict[str, Schedule]:
        known = self._house.campaigns
        return {name: row for name, row in schedules.items() if name not in known}

    def _others_are_alive(self) -> bool:
        here = str(Owner.here())
        return any(
            daemon.owner != here and daemon.mode is self.mode and self._now - daemon.beat_at < _ALIVE
            for daemon in self._ledger.daemons()
        )

    def _look_at(self, campaign: Campaign, schedules: Mapping[str, Schedule]) -> None:
        """One campaign; trouble with it is its own."""
        try:
            self._follow(campaign, schedules)
        except _NotMade as trouble:
            self._trouble(campaign, trouble.problem)
        except ConnectError:
            raise
        except Exception as problem:  # noqa: BLE001 - the others' fire times must not suffer from one campaign's bug
            self._trouble(campaign, problem)
        else:
            self._news.discard(campaign.name)

    def _trouble(self, campaign: Campaign, problem: BaseException) -> None:
        self._look_again(campaign, _AGAIN)
        if self._said.get(campaign.name) != str(problem):
            self._said[campaign.name] = str(problem)
            self._log.trouble("campaign-not-followed", problem, campaign=campaign.name)

    def _follow(self, campaign: Campaign, schedules: Mapping[str, Schedule]) -> None:
        """Decide and write, until nobody was faster."""
        row = schedules.get(campaign.name)
        while True:
            if row and campaign.name not in self._news and not claims.agrees(campaign, row):
                self._leave_to_others(campaign)
                return
            written = self._put(campaign, row) if row else self._adopt(campaign, schedules)
            if written:
                self._await(campaign, written)
                return
            schedules = self._ledger.schedules(self.mode)
            row = schedules.get(campaign.name)

    def _adopt(self, campaign: Campaign, schedules: Mapping[str, Schedule]) -> Schedule | None:
        """One that the ledger has no schedule of. Its old name, if it had one, fires no more from that instant on."""
        vanished, fresh = self._vanished(schedules), self._was_before(campaign, schedules)
        adopted = claims.adopt(campaign, self.mode, self._now, fresh=fresh, vanished=vanished)
        before = claims.predecessor(campaign, self.mode, vanished)
        written = self._put(campaign, adopted, claims.retire(before) if before else None)
        if written and before:
            self._log.info("campaign-renamed", campaign=campaign.name, reason=f"it was called {before.campaign}")
        return written

    def _put(self, campaign: Campaign, schedule: Schedule, instead_of: Schedule | None = None) -> Schedule | None:
        """The schedule as it stands then; None when somebody was faster."""
        ran = history.ran(self._ledger, campaign, schedule)
        busy = history.busy(self._ledger, campaign, schedule)
        decision = claims.decide(campaign, schedule, self._now, ran=ran, busy=busy)
        if decision is None and schedule.version:
            return schedule
        after, fires = (decision.schedule_after, decision.fires) if decision else (schedule, ())
        made = [self._made(campaign, fire) for fire in fires]
        written = self._ledger.put_schedule(after, made, instead_of=instead_of)
        if written:
            self._say(campaign, schedule, after, fires)
        return written

    def _made(self, campaign: Campaign, fire: Fire) -> NewRun:
        try:
            return self._make_run(self._house.project, campaign, fire)
        except ConnectError as problem:
            raise _NotMade(problem) from problem

    def _await(self, campaign: Campaign, schedule: Schedule) -> None:
        """When to look at it again: when it fires next, by the clock of the ledger."""
        self._said.pop(campaign.name, None)
        begins = claims.next_begin(campaign, schedule)
        if begins is None:
            self._looks.pop(campaign.name, None)
        else:
            self._look_again(campaign, begins - self._now)

    def _look_again(self, campaign: Campaign, after: timedelta) -> None:
        seconds = after.total_seconds()
        self._looks[campaign.name] = _Look(self._clock.now().timestamp() + seconds, self._clock.monotonic() + seconds)

    def _leave_to_others(self, campaign: Campaign) -> None:
        """Another daemon has read another version of this file: its word is newer than this one's."""
        self._look_again(campaign, _ELSEWHERE)
        said = "another daemon follows another version of its file"
        if self._said.get(campaign.name) != said:
            self._said[campaign.name] = said
            self._log.warning("campaign-elsewhere", campaign=campaign.name, reason=said)

    def _say(self, campaign: Campaign, before: Schedule, after: Schedule, fires: Sequence[Fire]) -> None:
        """What was written, in lines."""
        name = campaign.name
        if before.version:
            self._say_turns(name, before, after)
        else:
            self._log.info("campaign-adopted", campaign=name, reason=_adopted_as(campaign, after, fires))
        skipped = [fire for fire in fires if fire.state is RunState.skipped]
        for fire in fires:
            if fire.state is RunState.queued:
                self._log.info("run-queued", campaign=name, fire_time=fire.fire_time, until=fire.until)
        if skipped:
            last, count = skipped[-1], len(skipped)
            self._log.warning(
                "fire-time-skipped", campaign=name, reason=last.reason, fire_time=last.fire_time, count=count
            )

    def _say_turns(self, name: str, before: Schedule, after: Schedule) -> None:
        if before.spec != after.spec:
            self._log.info("campaign-changed", campaign=name, reason="its trigger is another from now on")
        if not before.live_since and after.live_since:
            self._log.info("campaign-live", campaign=name)
        if before.live_since and not after.live_since:
            self._log.info("campaign-not-live", campaign=name, reason="it is not live in its file any more")


def _adopted_as(campaign: Campaign, schedule: Schedule, fires: Sequence[Fire]) -> str:
    if schedule.fired and not fires and isinstance(campaign.trigger, Immediate | Scheduled):
        return f"fires once, and has been live before: only `connect launch {campaign.name}` fires it"
    return campaign.status.value


class _NotMade(Exception):
    """A run could not be made of a fire time: something in the project's files is wrong."""

    def __init__(self, problem: ConnectError) -> None:
        super().__init__(str(problem))
        self.problem = problem
