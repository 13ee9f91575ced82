"""The daemon over real files and a real ledger, on a clock that the test moves: months pass in seconds."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connect.clock import SystemClock
from connect.errors import Disposition, OutsideError, Problem, RunTrouble, UserError
from connect.ledger.owner import Owner
from connect.ledger.records import NewRun, RunRecord
from connect.ledger.refusals import RunExists
from connect.ledger.store import Ledger
from connect.pipeline.bundle import Bundle
from connect.redact import Redactor
from connect.schedule import claims
from connect.schedule.daemon import Daemon, Pace, Tools
from connect.schedule.log import Log
from connect.schedule.notify import Notifier
from connect.schedule.watching import Watch
from connect.testing import FakeClock
from connect.vocabulary import Mode, RunState

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURLY = '{type: recurring, cron: "0 * * * *"}'
DAY_BY_DAY = Pace(look=86_400, beat=86_400, longest=86_400)
"""A daemon that looks at what others do only once a day."""
SELDOM = Pace(look=600, longest=600, beat=600)
"""Often enough for most tests, and fast."""


@dataclass
class Desk:
    """What a test holds in its hands: files, ledger and clock, and daemons over them."""

    club: object
    clock: FakeClock
    ledger: Ledger
    lines: io.StringIO = field(default_factory=io.StringIO)
    worked: list[tuple[str, datetime]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def daemon(self, work=None, make_run=None, process: int = 1, pace: Pace = SELDOM, **tools) -> Daemon:
        owner = replace(Owner.here(), host=f"host-{process}")
        log = Log(self.lines, "json", Redactor(), self.clock)
        chosen = Tools(
            self.ledger, self.clock, log, make_run or self.make_run, work or self.work, owner=owner, pace=pace, **tools
        )
        return Daemon(self.club.house(), Watch(self.club.root), chosen)

    def make_run(self, project, campaign, fire) -> NewRun:
        return NewRun(
            id=f"0run{next(self.numbers):012}",
            mode=project.mode,
            campaign=campaign.name,
            fire_time=fire.fire_time,
            manual=False,
            digest=campaign.digest,
            campaign_json="{}",
            salt=b"salt",
            secret=b"secret",
            state=fire.state,
            reason=fire.reason,
            since=fire.since,
            until=fire.until,
        )

    async def work(self, record: RunRecord, stop: asyncio.Event) -> None:
        """A run that has nobody to write to."""
        await asyncio.to_thread(self._run, record)
        self.worked.append((record.campaign, record.fire_time))

    def _run(self, record: RunRecord) -> None:
        if record.state is RunState.queued:
            self.ledger.start_run(record.id)
        claimed = self.ledger.claim_slice(record.id, owner=Owner.here(), lease=timedelta(minutes=1))
        assert self.ledger.end_slice(claimed)

    async def let(self, daemon: Daemon, passes: timedelta = timedelta(0)) -> None:
        """Let so much time pass; the daemon comes round whenever it wants to, and its runs end meanwhile."""
        until = self.clock.now() + passes
        while True:
            seconds = await daemon.tick()
            while daemon.is_busy:
                await daemon.a_run_has_ended()
                await daemon.tick()
            left = (until - self.clock.now()).total_seconds()
            if left <= 0:
                return
            self.clock.advance(min(seconds, left))

    def runs(self, campaign=None) -> list[tuple[str, datetime, RunState, str]]:
        found = self.ledger.runs(campaign=campaign, limit=5000)
        return sorted((run.campaign, run.fire_time, run.state, run.reason) for run in found)

    def said(self, *actions: str) -> list[dict]:
        lines = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [line for line in lines if not actions or line["action"] in actions]

    def change(self, name: str, mode: Mode = Mode.live, **fields) -> None:
        """As the command line does."""
        assert self.ledger.put_schedule(replace(self.ledger.schedules(mode)[name], **fields))


@pytest.fixture
def desk(club, tmp_path: Path) -> Iterator[Desk]:
    clock = FakeClock(NOON)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/state.db", project="club", target="default", clock=clock)
    yield Desk(club, clock, ledger)
    ledger.close()


def fire_times(found) -> list[datetime]:
    return [fire_time for _, fire_time, _, _ in found]


class Told(Notifier):
    """Who is told how a daemon is; `then` is done whenever it has come round."""

    def __init__(self, then=lambda: None, alive_every=None):
        super().__init__()
        self.then, self.alive_every, self.lines = then, alive_every, []

    def status(self, text):
        super().status(text)
        self.then()

    def _send(self, *lines):
        self.lines.append(lines[0])


# Time passes


async def test_every_day_of_two_months_has_its_run(desk):
    desk.club.campaign("daily")
    await desk.let(desk.daemon(pace=DAY_BY_DAY), 61 * DAY)
    nine = NOON.replace(hour=9)
    assert [fire_time for _, fire_time in desk.worked] == [nine + day * DAY for day in range(1, 62)]
    assert Counter(state for _, _, state, _ in desk.runs()) == {RunState.completed: 61}


async def test_the_loop_goes_round_by_itself(desk):
    # Time flies while runs are at work in threads, so days may be looked at late; none is left out.
    desk.club.campaign("daily", '{type: recurring, cron: "0 9 * * *", missed: all, grace: 30d}')
    stop = asyncio.Event()
    told = Told(lambda: len(desk.runs()) >= 14 and stop.set())
    await desk.clock.hurry(desk.daemon(pace=DAY_BY_DAY, notifier=told).run(stop))
    assert fire_times(desk.runs())[:14] == [NOON.replace(hour=9) + day * DAY for day in range(1, 15)]
    assert desk.worked


async def test_a_run_begins_when_its_time_has_come_and_not_before(desk):
    desk.club.campaign("daily")
    daemon = desk.daemon()
    await desk.let(daemon, 21 * HOUR - timedelta(seconds=1))
    assert desk.worked == []
    await desk.let(daemon, timedelta(seconds=1))
    assert desk.worked == [("daily", NOON + 21 * HOUR)]


async def test_the_daemon_rests_neither_too_long_nor_too_shortly(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon(pace=Pace(look=60, beat=60))
    await desk.let(daemon, HOUR - timedelta(seconds=20))
    assert await daemon.tick() == 15
    desk.clock.advance(15)
    assert await daemon.tick() == 5
    desk.clock.advance(4.9)
    assert await daemon.tick() == 0.2


async def test_what_was_missed_while_no_daemon_ran_is_caught_up(desk):
    desk.club.campaign("hourly", HOURLY)
    await desk.let(desk.daemon())
    desk.clock.advance(10 * 3600 + 60)
    await desk.let(desk.daemon())
    assert desk.worked == [("hourly", NOON + 10 * HOUR)]
    assert Counter(reason for *_, reason in desk.runs()) == {
        "": 1,
        "missed: a later one has come": 5,
        "missed: older than 6h": 4,
    }


async def test_a_clock_that_is_set_back_fires_nothing_twice(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon(pace=replace(DAY_BY_DAY, longest=600))
    await desk.let(daemon, 3 * HOUR)
    desk.clock.set(NOON + HOUR)
    await desk.let(daemon, 4 * HOUR)
    assert [fire_time for _, fire_time in desk.worked] == [NOON + hours * HOUR for hours in range(1, 6)]


async def test_a_clock_that_is_set_forward_is_noticed_within_seconds(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(minutes=1))
    desk.clock.set(NOON + 2 * HOUR)
    await desk.let(daemon, timedelta(seconds=15))
    assert desk.worked == [("hourly", NOON + 2 * HOUR)]


async def test_events_have_one_window_after_the_other(desk):
    desk.club.campaign("events", "{type: event, every: 1h, lag: 5m}")
    await desk.let(desk.daemon(pace=DAY_BY_DAY), DAY)
    windows = sorted((run.since, run.until) for run in desk.ledger.runs())
    assert len(windows) == 24
    assert windows[0] == (NOON, NOON + timedelta(minutes=55))
    assert all(one[1] == other[0] for one, other in itertools.pairwise(windows))


# Several daemons


async def test_daemons_on_one_ledger_share_the_work(desk):
    for name in ("one", "two", "three"):
        desk.club.campaign(name, HOURLY)
    daemons = [desk.daemon(process=number) for number in range(3)]

    for _ in range(8):
        for daemon in daemons:
            await daemon.tick()  # all see what is due, and all want to work on it
        await asyncio.gather(*(desk.let(daemon) for daemon in daemons))
        desk.clock.advance(3600)

    expected = {(name, NOON + hours * HOUR) for name in ("one", "two", "three") for hours in range(1, 8)}
    assert Counter(desk.worked) == dict.fromkeys(expected, 1)
    assert {state for _, _, state, _ in desk.runs()} == {RunState.completed}


async def test_who_is_slower_reads_and_decides_again(desk, monkeypatch):
    desk.club.campaign("hourly", HOURLY)
    daemon, put = desk.daemon(), desk.ledger.put_schedule
    await desk.let(daemon)
    desk.clock.advance(3600)

    def late(*arguments, **named):
        monkeypatch.setattr(desk.ledger, "put_schedule", put)
        desk.change("hourly", paused=True)  # by hand, in this very moment
        return put(*arguments, **named)

    monkeypatch.setattr(desk.ledger, "put_schedule", late)
    await desk.let(daemon)
    assert [(state, reason) for _, _, state, reason in desk.runs()] == [(RunState.skipped, "paused by hand")]


async def test_another_daemons_newer_checkout_is_left_alone_until_this_one_is_read_again(desk):
    desk.club.campaign("daily", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)
    desk.change("daily", spec="recurring of another checkout")
    await desk.let(daemon, 3 * HOUR)
    assert desk.runs() == []
    assert len(desk.said("campaign-elsewhere")) == 1

    daemon.reload()
    await desk.let(daemon)
    assert desk.ledger.schedules(Mode.live)["daily"].spec == claims.spec_of(daemon.house.campaigns["daily"])
    await desk.let(daemon, HOUR)
    assert [fire_time for _, fire_time in desk.worked] == [NOON + 4 * HOUR]


async def test_heartbeats_say_who_is_there_and_end_with_the_daemon(desk):
    daemon, stop = desk.daemon(pace=Pace(), version="1.2.3"), asyncio.Event()
    await desk.let(daemon, timedelta(seconds=40))
    (record,) = desk.ledger.daemons()
    assert (record.version, record.mode, record.started_at, record.runs) == ("1.2.3", Mode.live, NOON, 0)
    assert record.beat_at == NOON + timedelta(seconds=30)
    stop.set()
    await daemon.run(stop)
    assert desk.ledger.daemons() == []


# Adopting


async def test_a_ledger_that_has_never_seen_the_project_fires_nothing_that_fires_once(desk):
    desk.club.campaign("now", "{type: immediate}")
    desk.club.campaign("past", "{type: scheduled, at: 2026-06-01T11:00}")
    desk.club.campaign("future", "{type: scheduled, at: 2026-06-01T13:00}")
    await desk.let(desk.daemon(), 2 * HOUR)
    assert desk.worked == [("future", NOON + HOUR)]
    assert [line["campaign"] for line in desk.said("campaign-adopted") if "connect launch" in line["reason"]] == [
        "now",
        "past",
    ]


async def test_a_daemon_that_dies_while_it_adopts_makes_nothing_fire(desk, monkeypatch):
    for name in ("a", "b", "c"):
        desk.club.campaign(name, "{type: immediate}")
    put, away = desk.ledger.put_schedule, OutsideError.of("ledger-unavailable", "killed here")

    def once(schedule, *arguments, **named):
        if schedule.campaign != "a":
            raise away
        return put(schedule, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "put_schedule", once)
        await desk.daemon().tick()
    assert set(desk.ledger.schedules(Mode.live)) == {"a"}
    await desk.let(desk.daemon(), HOUR)
    assert desk.runs() == []


async def test_a_new_campaign_that_fires_once_fires_when_its_file_comes(desk):
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    assert [name for name, _ in desk.worked] == ["now"]
    desk.club.campaign("now", "{type: immediate}", subject="Other")
    await desk.let(daemon, timedelta(minutes=1))
    await desk.let(desk.daemon(), HOUR)
    assert len(desk.runs()) == 1


async def test_a_broken_file_does_not_make_old_ones_of_the_campaigns_that_come(desk):
    desk.club.write("campaigns/broken.yml", "trigger: [")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(seconds=30))
    desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    assert [name for name, _ in desk.worked] == ["now"]


async def test_a_campaign_in_trouble_does_not_make_old_ones_of_those_that_come(desk, monkeypatch):
    desk.club.campaign("trouble", "{type: immediate}")
    put, in_trouble = desk.ledger.put_schedule, True

    def failing(schedule, *arguments, **named):
        if schedule.campaign == "trouble" and in_trouble:
            raise ZeroDivisionError
        return put(schedule, *arguments, **named)

    monkeypatch.setattr(desk.ledger, "put_schedule", failing)
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(seconds=30))
    desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    in_trouble = False
    await desk.let(daemon, timedelta(seconds=30))
    assert [name for name, _ in desk.worked] == ["now"]
    assert desk.ledger.schedules(Mode.live)["trouble"].fired


async def test_a_file_that_was_broken_when_the_daemon_began_is_not_new_when_it_is_mended(desk):
    desk.club.write("campaigns/early.yml", "trigger: [")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(seconds=30))
    desk.club.write("campaigns/late.yml", "trigger: [")
    await desk.let(daemon, timedelta(seconds=30))
    for name in ("early", "late"):
        desk.club.campaign(name, "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    assert [name for name, _ in desk.worked] == ["late"]
    assert desk.ledger.schedules(Mode.live)["early"].fired


async def test_a_file_that_was_broken_and_gone_is_new_when_it_comes_again(desk):
    desk.club.write("campaigns/now.yml", "trigger: [")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(seconds=30))
    desk.club.remove("now")
    await desk.let(daemon, timedelta(seconds=30))
    desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    assert [name for name, _ in desk.worked] == ["now"]


async def test_a_file_that_is_renamed_fires_nothing_again(desk):
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    file = desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(seconds=30))
    file.rename(file.with_name("renamed.yml"))
    await desk.let(daemon, timedelta(minutes=1))
    assert [name for name, _ in desk.worked] == ["now"]
    assert desk.ledger.schedules(Mode.live)["renamed"].fired
    assert desk.ledger.schedules(Mode.live)["now"].live_since is None
    assert [line["reason"] for line in desk.said("campaign-renamed")] == ["it was called now"]


async def test_a_file_that_was_gone_while_no_daemon_ran_catches_nothing_up(desk):
    desk.club.campaign("hourly", HOURLY)
    desk.club.campaign("other")
    await desk.let(desk.daemon())
    desk.club.remove("hourly")
    desk.clock.advance(600)
    daemon = desk.daemon()
    await desk.let(daemon, 4 * HOUR)
    assert desk.ledger.schedules(Mode.live)["hourly"].live_since is None
    desk.club.campaign("hourly", HOURLY)
    await desk.let(daemon, timedelta(minutes=11))
    assert desk.runs("hourly") == []
    await desk.let(daemon, HOUR)
    assert fire_times(desk.runs("hourly")) == [NOON + 5 * HOUR]


async def test_a_file_that_is_gone_here_only_is_not_retired_while_another_daemon_is_alive(desk):
    desk.club.campaign("one")
    await desk.let(desk.daemon(process=1))
    desk.club.remove("one")
    await desk.let(desk.daemon(process=2))
    assert desk.ledger.schedules(Mode.live)["one"].live_since


async def test_each_mode_has_its_own_schedules(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon, HOUR)
    text = (desk.club.root / "connect.yml").read_text()
    desk.club.write("connect.yml", text.replace("mode: live", "mode: offline"))
    await desk.let(daemon, 2 * HOUR)
    assert [(run.mode, run.fire_time) for run in reversed(desk.ledger.runs())] == [
        (Mode.live, NOON + HOUR),
        (Mode.offline, NOON + 2 * HOUR),
        (Mode.offline, NOON + 3 * HOUR),
    ]
    assert desk.ledger.schedules(Mode.live)["hourly"].cursor == NOON + HOUR


# Changes of the files


async def test_a_changed_trigger_holds_from_now_on(desk):
    desk.club.campaign("daily")
    daemon = desk.daemon()
    await desk.let(daemon, 30 * HOUR)
    desk.club.campaign("daily", '{type: recurring, cron: "0 10 * * *"}')
    await desk.let(daemon, 24 * HOUR)
    assert [fire_time.hour for _, fire_time in desk.worked] == [9, 10]
    assert [line["campaign"] for line in desk.said("campaign-changed")] == ["daily"]


async def test_a_broken_file_is_said_once_and_its_last_good_version_goes_on(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)
    desk.club.campaign("hourly", "{type: recurring, cron: never}")
    desk.club.campaign("other")
    await desk.let(daemon, HOUR)
    assert desk.worked == [("hourly", NOON + HOUR)]
    (line,) = desk.said("file-broken")
    assert (line["code"], line["where"].partition(":")[0]) == ("bad-cron", "campaigns/hourly.yml")
    assert "other" in desk.ledger.schedules(Mode.live)


async def test_a_broken_project_is_said_and_everything_goes_on(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)
    desk.club.write("connect.yml", "name: [")
    await desk.let(daemon, HOUR)
    assert desk.worked == [("hourly", NOON + HOUR)]
    assert len(desk.said("file-broken")) == 1


async def test_what_a_daemon_finds_broken_when_it_begins_is_said(desk):
    desk.club.write("campaigns/bad.yml", "trigger: [")
    stop = asyncio.Event()
    stop.set()
    await desk.daemon().run(stop)
    assert len(desk.said("file-broken")) == 1


async def test_another_ledger_takes_a_restart(desk):
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    desk.club.write("connect.yml", (desk.club.root / "connect.yml").read_text() + "state: sqlite:///other.db\n")
    await desk.let(daemon, timedelta(minutes=1))
    assert len(desk.said("restart-needed")) == 1


async def test_a_run_that_can_not_be_made_is_said_once_and_made_when_it_is_mended(desk):
    desk.club.campaign("hourly", HOURLY)
    desk.club.campaign("other", HOURLY)
    broken = True

    def make_run(project, campaign, fire):
        if broken and campaign.name == "hourly":
            raise UserError.of("missing-template", "there is no template `x`")
        return desk.make_run(project, campaign, fire)

    daemon = desk.daemon(make_run=make_run)
    await desk.let(daemon, HOUR + timedelta(minutes=10))
    assert [name for name, _ in desk.worked] == ["other"]
    assert [line["code"] for line in desk.said("campaign-not-followed")] == ["missing-template"]
    broken = False
    await desk.let(daemon, timedelta(minutes=1))
    assert [name for name, _ in desk.worked] == ["other", "hourly"]


async def test_a_bug_with_one_campaign_does_not_hold_up_the_others(desk):
    desk.club.campaign("a-bug", HOURLY)
    desk.club.campaign("other", HOURLY)

    def make_run(project, campaign, fire):
        if campaign.name == "a-bug":
            raise ZeroDivisionError("ann@mail.example")
        return desk.make_run(project, campaign, fire)

    await desk.let(desk.daemon(make_run=make_run), HOUR)
    assert [name for name, _ in desk.worked] == ["other"]
    (line,) = desk.said("campaign-not-followed")
    assert line["reason"] == "internal error: ZeroDivisionError"
    assert "mail.example" not in desk.lines.getvalue()


# By hand


async def test_held_by_hand(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)
    desk.change("hourly", skip_next=True)
    await desk.let(daemon, 2 * HOUR)
    desk.change("hourly", paused=True)
    await desk.let(daemon, HOUR)
    assert [reason for *_, reason in desk.runs()] == ["skipped by hand", "", "paused by hand"]
    assert [line["reason"] for line in desk.said("fire-time-skipped")] == ["skipped by hand", "paused by hand"]


async def test_what_somebody_else_queued_is_taken_up_within_seconds(desk):
    desk.club.campaign("now", "{type: immediate}")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon, timedelta(minutes=1))
    campaign = daemon.house.campaigns["now"]
    launched = claims.launch(desk.ledger.schedules(Mode.live)["now"], campaign, desk.clock.now())
    runs = [desk.make_run(daemon.house.project, campaign, fire) for fire in launched.fires]
    assert desk.ledger.put_schedule(launched.schedule_after, runs)
    await desk.let(daemon, timedelta(seconds=5))
    assert [name for name, _ in desk.worked] == ["now"]


async def test_one_that_was_run_by_hand_meanwhile_does_not_fire_when_it_becomes_live(desk):
    desk.club.campaign("now", "{type: immediate}", status="draft")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    by_hand = claims.Fire(desk.clock.now(), RunState.running)
    desk.ledger.create_run(desk.make_run(daemon.house.project, daemon.house.campaigns["now"], by_hand))
    desk.club.campaign("now", "{type: immediate}")
    await desk.let(daemon, timedelta(minutes=1))
    assert len(desk.runs()) == 1
    assert desk.ledger.schedules(Mode.live)["now"].fired


@pytest.mark.parametrize(
    ("trigger", "ran_as", "manual", "reason"),
    [
        ("{type: scheduled, at: 2026-06-01T13:00}", None, True, "it has run by hand: run 0byhand"),
        ("{type: scheduled, at: 2026-06-01T13:00}", None, False, ""),
        ("{type: scheduled, at: 2026-06-01T13:00}", "{type: scheduled, at: 2026-05-01T13:00}", True, ""),
        ("{type: scheduled, at: 2026-06-01T13:00}", HOURLY, True, ""),
        (HOURLY, None, True, ""),
    ],
    ids=["the same time", "not by hand", "another time", "another trigger", "recurring"],
)
async def test_what_was_run_by_hand_before_its_time_does_not_fire_at_it(desk, trigger, ran_as, manual, reason):
    desk.club.campaign("once", ran_as or trigger)
    house = desk.club.house()
    by_hand = desk.make_run(house.project, house.campaigns["once"], claims.Fire(NOON, RunState.running))
    stored = Bundle(campaign=house.campaigns["once"], templates={}).stored()
    desk.ledger.create_run(replace(by_hand, id="0byhand", manual=manual, campaign_json=stored))
    desk.club.campaign("once", trigger)
    await desk.let(desk.daemon(), HOUR)
    assert [why for _, fire_time, _, why in desk.runs() if fire_time == NOON + HOUR] == [reason]


async def test_after_a_clock_that_was_ahead_no_fire_time_has_two_runs(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)
    campaign, row = daemon.house.campaigns["hourly"], desk.ledger.schedules(Mode.live)["hourly"]
    by_other_clock = claims.decide(campaign, row, NOON + 2 * DAY)
    runs = [desk.make_run(daemon.house.project, campaign, fire) for fire in by_other_clock.fires]
    assert desk.ledger.put_schedule(by_other_clock.schedule_after, runs)
    before = desk.runs()
    row = desk.ledger.schedules(Mode.live)["hourly"]
    assert desk.ledger.put_schedule(claims.set_back(campaign, row, desk.clock.now()))
    await desk.let(daemon, 2 * DAY + HOUR)
    assert fire_times(desk.runs()) == [*fire_times(before), NOON + 2 * DAY + HOUR]
    assert len(set(fire_times(desk.runs()))) == 49


async def test_overlap_skip_looks_at_runs_that_have_not_ended(desk):
    desk.club.campaign("hourly", '{type: recurring, cron: "0 * * * *", overlap: skip}')
    begun, ends = asyncio.Event(), asyncio.Event()

    async def work(record, stop):
        await asyncio.to_thread(desk.ledger.start_run, record.id)
        begun.set()
        await ends.wait()
        await asyncio.to_thread(desk.ledger.finish, record.id, RunState.completed)

    daemon = desk.daemon(work=work)
    await daemon.tick()
    desk.clock.advance(3600)
    await daemon.tick()
    await begun.wait()
    for _ in range(2):
        desk.clock.advance(3600)
        await daemon.tick()
    ends.set()
    await desk.let(daemon, HOUR)
    assert [(state, reason) for _, _, state, reason in desk.runs()] == [
        (RunState.completed, ""),
        (RunState.skipped, "overlap: an earlier run has not ended"),
        (RunState.skipped, "overlap: an earlier run has not ended"),
        (RunState.completed, ""),
    ]


# Work


class Workshop:
    """Runs that go on until they are told to end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.cancelled: list[str] = []
        self.begins = asyncio.Event()
        self.go_on = asyncio.Event()
        self.heeds_stop = True

    async def work(self, record: RunRecord, stop: asyncio.Event) -> None:
        self.begun.append(record.campaign)
        self.begins.set()
        try:
            if self.heeds_stop:
                await stop.wait()
                self.stopped.append(record.campaign)
            else:
                await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.append(record.campaign)
            raise

    async def have_begun(self, count: int) -> None:
        while len(self.begun) < count:
            self.begins.clear()
            await self.begins.wait()


async def at_work(desk: Desk, shop: Workshop, names=("a", "b", "c"), **tools) -> Daemon:
    """A daemon with as many runs as it takes at once."""
    for name in names:
        desk.club.campaign(name, HOURLY)
    daemon = desk.daemon(work=shop.work, **tools)
    await daemon.tick()
    desk.clock.advance(3600)
    await daemon.tick()
    await shop.have_begun(min(len(names), tools.get("runs", 4)))
    return daemon


async def test_no_more_runs_at_a_time_than_it_may(desk):
    shop = Workshop()
    daemon = await at_work(desk, shop, runs=2)
    assert (daemon.at_work, len(shop.begun)) == (2, 2)
    desk.clock.advance(60)
    await daemon.tick()
    assert len(shop.begun) == 2


async def test_the_oldest_fire_time_has_its_turn_first(desk):
    desk.club.campaign("late", '{type: recurring, cron: "30 12 * * *"}')
    desk.club.campaign("early", '{type: recurring, cron: "10 12 * * *"}')
    await desk.let(desk.daemon())
    desk.clock.advance(3600)
    await desk.let(desk.daemon(runs=1))
    assert [name for name, _ in desk.worked] == ["early", "late"]


async def test_a_stop_lets_runs_stop_well(desk):
    shop, stop = Workshop(), asyncio.Event()
    daemon = await at_work(desk, shop)
    running = asyncio.create_task(daemon.run(stop))
    stop.set()
    await running
    assert sorted(shop.stopped) == ["a", "b", "c"]
    assert shop.cancelled == []
    assert [line["action"] for line in desk.said("daemon-stopping", "daemon-stopped")] == [
        "daemon-stopping",
        "daemon-stopped",
    ]


async def test_runs_that_do_not_stop_in_time_are_abandoned(desk):
    shop, stop = Workshop(), asyncio.Event()
    shop.heeds_stop = False
    daemon = await at_work(desk, shop)
    running = asyncio.create_task(daemon.run(stop))
    stop.set()
    before = desk.clock.monotonic()
    await desk.clock.hurry(running)
    assert desk.clock.monotonic() - before == 50
    assert sorted(shop.cancelled) == ["a", "b", "c"]
    assert desk.said("runs-abandoned")[0]["count"] == 3


async def test_a_second_stop_waits_for_nobody(desk):
    shop, stop = Workshop(), asyncio.Event()
    shop.heeds_stop = False
    daemon = await at_work(desk, shop)
    before = desk.clock.monotonic()
    running = asyncio.create_task(daemon.run(stop))
    stop.set()
    daemon.abandon()
    await running
    assert sorted(shop.cancelled) == ["a", "b", "c"]
    assert desk.clock.monotonic() == before


async def test_nothing_is_begun_after_a_stop(desk):
    desk.club.campaign("hourly", HOURLY)
    daemon, stop = desk.daemon(), asyncio.Event()
    await desk.let(daemon)
    desk.clock.advance(3600)
    stop.set()
    await daemon.run(stop)
    assert desk.runs() == []


async def test_room_for_another_run_is_used_at_once(desk):
    stop, desk.clock = asyncio.Event(), SystemClock()
    await desk.let(desk.daemon())
    for name in ("a", "b", "c"):
        desk.club.campaign(name, "{type: immediate}")

    async def work(record, stopping):
        await desk.work(record, stopping)
        if len(desk.worked) == 3:
            stop.set()

    await desk.daemon(work=work, runs=1, pace=DAY_BY_DAY).run(stop)  # a day is too long for a test to wait
    assert len(desk.worked) == 3


@pytest.mark.parametrize(
    ("problem", "action", "reason"),
    [
        (
            RunTrouble(Disposition.pause, Problem("sender-refused", "smtp says 535", "look at the password")),
            "run-trouble",
            "smtp says 535",
        ),
        (ZeroDivisionError("ann@mail.example"), "run-trouble", "internal error: ZeroDivisionError"),
    ],
)
async def test_trouble_with_a_run_is_said_and_ends_nothing_else(desk, problem, action, reason):
    desk.club.campaign("bad", HOURLY)
    desk.club.campaign("good", HOURLY)
    tried = []

    async def work(record, stop):
        if record.campaign == "bad":
            tried.append(desk.clock.monotonic())
            raise problem
        await desk.work(record, stop)

    daemon = desk.daemon(pace=Pace(), work=work)
    await desk.let(daemon)
    desk.clock.advance(3600)
    await desk.let(daemon, timedelta(minutes=11))
    assert [name for name, _ in desk.worked] == ["good"]
    assert {(line["campaign"], line["reason"]) for line in desk.said(action)} == {("bad", reason)}
    assert "mail.example" not in desk.lines.getvalue()
    waits = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert waits == [5, 10, 20, 40, 80, 160, 300]


async def test_a_run_that_others_work_on_is_left_to_them(desk):
    desk.club.campaign("hourly", HOURLY)

    async def work(record, stop):
        raise RunExists(record)

    await desk.let(desk.daemon(work=work), HOUR + timedelta(seconds=4))
    assert not desk.said("run-trouble")
    assert [line["campaign"] for line in desk.said("run-left")] == ["hourly"]


async def test_how_a_run_ended_is_said(desk):
    desk.club.campaign("hourly", HOURLY)
    await desk.let(desk.daemon(), HOUR)
    assert [line["action"] for line in desk.said() if "run" in line] == ["run-taken-up", "run-completed"]
    assert {line["campaign"] for line in desk.said() if "run" in line} == {"hourly"}


async def test_once_does_what_is_due_and_leaves(desk):
    desk.club.campaign("a", HOURLY)
    desk.club.campaign("b", HOURLY)
    desk.club.campaign("later")
    await desk.let(desk.daemon())
    desk.clock.advance(3600)
    await desk.daemon(runs=1).run_once(asyncio.Event())
    assert sorted(name for name, _ in desk.worked) == ["a", "b"]
    assert desk.ledger.daemons() == []


# What is outside


async def test_a_ledger_that_is_away_is_waited_for_and_nothing_is_lost(desk, monkeypatch):
    desk.club.campaign("hourly", HOURLY)
    daemon = desk.daemon()
    await desk.let(daemon)

    def away(*_, **__):
        raise OutsideError.of("ledger-unavailable", "the ledger can not be reached")

    with monkeypatch.context() as patch:
        for verb in ("schedules", "put_schedule", "work", "beat", "now"):
            patch.setattr(desk.ledger, verb, away)
        await desk.let(daemon, HOUR + timedelta(minutes=1))
    assert [line["reason"] for line in desk.said("ledger-away")] == ["the ledger can not be reached"]
    await desk.let(daemon, timedelta(seconds=15))
    assert desk.worked == [("hourly", NOON + HOUR)]
    assert len(desk.said("ledger-back")) == 1


async def test_a_bug_in_the_loop_does_not_end_it(desk, monkeypatch):
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "work", lambda mode: 1 / 0)
        await desk.let(daemon, timedelta(seconds=30))
    assert {line["reason"] for line in desk.said("daemon-trouble")} == {"internal error: ZeroDivisionError"}
    await desk.let(daemon, timedelta(seconds=30))


async def test_while_nothing_is_due_500_campaigns_ask_the_ledger_for_nothing_but_work(desk, monkeypatch):
    for number in range(500):
        desk.club.campaign(f"c{number}", HOURLY if number % 2 else "{type: event, every: 1h}")
    daemon = desk.daemon(pace=Pace())
    await desk.let(daemon)
    asked = Counter()
    for verb in ("schedules", "put_schedule", "work", "beat", "now", "daemons", "transact"):
        monkeypatch.setattr(desk.ledger, verb, counted(asked, verb, getattr(desk.ledger, verb)))
    await desk.let(daemon, timedelta(seconds=60))
    assert asked == {"work": 12, "beat": 4, "transact": 4}


def counted(asked, verb, real):
    def ask(*arguments, **named):
        asked[verb] += 1
        return real(*arguments, **named)

    return ask


# Service managers


async def test_a_service_manager_is_told_how_it_is(desk):
    stop = asyncio.Event()

    def then() -> None:
        if "RELOADING=1" in told.lines:
            stop.set()
        else:
            daemon.reload()

    told = Told(then)
    daemon = desk.daemon(notifier=told)
    await daemon.run(stop)
    assert told.lines == [
        "READY=1",
        "STATUS=0 live campaigns, works on 0 runs",
        "RELOADING=1",
        "READY=1",
        "STOPPING=1",
    ]


async def test_a_loop_that_comes_round_is_alive(desk, monkeypatch):
    told, stop = Told(alive_every=30.0), asyncio.Event()
    daemon = desk.daemon(notifier=told)

    async def tick() -> float:
        daemon._came_round = desk.clock.monotonic()
        if desk.clock.now() >= NOON + HOUR:
            stop.set()
        return 15.0

    monkeypatch.setattr(daemon, "tick", tick)
    await desk.clock.hurry(daemon.run(stop))
    assert told.lines.count("WATCHDOG=1") >= 121


async def test_a_loop_that_is_stuck_is_not_alive(desk, monkeypatch):
    told, stop, stuck = Told(alive_every=30.0), asyncio.Event(), asyncio.Event()
    daemon = desk.daemon(notifier=told)

    async def never() -> float:
        await stuck.wait()
        return 1.0

    monkeypatch.setattr(daemon, "tick", never)

    async def a_while() -> None:
        for _ in range(100):
            await desk.clock.sleep(10)
        stop.set()
        stuck.set()

    await desk.clock.hurry(asyncio.gather(daemon.run(stop), a_while()))
    assert told.lines.count("WATCHDOG=1") == 10


async def test_it_says_what_others_could_not_be_told(desk):
    dropped = iter((0, 7))
    daemon = desk.daemon(dropped=lambda: next(dropped))
    await desk.let(daemon)
    assert [each.dropped for each in desk.ledger.daemons()] == [0]
    desk.clock.advance(SELDOM.beat)
    await desk.let(daemon)
    assert [each.dropped for each in desk.ledger.daemons()] == [7]
