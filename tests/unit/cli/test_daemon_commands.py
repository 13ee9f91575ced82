"""`connect status`, `pause`, `resume`, `skip-next` and `launch`: what they say, and what they leave in the ledger."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connect.ledger.owner import Owner
from connect.ledger.records import DaemonRecord, NewRun
from connect.schedule import claims
from connect.vocabulary import Mode, RunState

DAILY = '{type: recurring, cron: "0 9 * * *", timezone: Australia/Sydney}'
SEALED = (b"salt", b"secret")


@pytest.fixture
def club(club):
    club.campaign("daily", DAILY)
    return club


def schedule(club, name="daily", mode=Mode.live):
    with club.ledger() as ledger:
        return ledger.schedules(mode).get(name)


def put(club, name="daily", **changes):
    """Change what the ledger has, as a daemon does."""
    with club.ledger() as ledger:
        assert ledger.put_schedule(replace(ledger.schedules(Mode.live)[name], **changes))


def runs(club):
    with club.ledger() as ledger:
        return [(run.campaign, run.state, run.reason) for run in ledger.runs()]


def standing(club, name="daily", *options):
    (found,) = [one for one in club.connect("status", "--json", *options).json["campaigns"] if one["name"] == name]
    return found


def alive(club, owner=None, mode=Mode.live, dropped=0):
    """A daemon says that it is alive: by default, this process does."""
    now = datetime.now(UTC)
    with club.ledger() as ledger:
        ledger.beat(DaemonRecord(str(owner or Owner.here()), mode, "0.1.0", now - timedelta(hours=3), now, 2, dropped))


def queue(club, name="daily", state=RunState.queued, reason="", hours=0):
    """A fire time is written down, as a daemon does."""
    now = datetime.now(UTC) - timedelta(hours=hours)
    run = NewRun(f"0run{hours:012}", Mode.live, name, now, False, "d", "{}", *SEALED, state=state, reason=reason)
    with club.ledger() as ledger:
        assert ledger.put_schedule(replace(ledger.schedules(Mode.live)[name], cursor=now), [run])
    return run.id


# Status


def test_without_a_daemon_it_says_so_and_how_to_start_one(club):
    ended = club.connect("status", "--mode", "test")

    assert ended.code == 0
    assert "none is running: `connect daemon --mode test` starts one" in ended.out
    assert "daily  next " in ended.out
    assert ended.out.count("09:00 AE") == 1


def test_a_daemon_is_shown_with_its_process_and_its_runs(club):
    alive(club)

    shown, found = club.connect("status").out, club.connect("status", "--json").json
    me = Owner.here()

    said = f"✓ {me.hostname} pid {me.pid}, up 3 hours, heard of "
    assert re.search(rf"{re.escape(said)}\d+ seconds? ago, works on 2 runs", shown)
    assert "none is running" not in shown
    (daemon,) = found["daemons"]
    assert (daemon["host"], daemon["pid"], daemon["late"], daemon["runs"]) == (me.hostname, me.pid, False, 2)
    assert found["alive"] == 1


def test_a_daemon_whose_process_is_gone_is_late(club):
    alive(club, replace(Owner.here(), pid=2**22 + 1))

    shown = club.connect("status").out

    assert re.search(r"late, last heard of \d+ seconds? ago", shown)
    assert "none is running" in shown


@pytest.mark.parametrize(
    ("owner", "mode", "code"),
    [
        (None, Mode.live, 0),
        (None, Mode.test, 3),
        (replace(Owner.here(), host="elsewhere/boot/1"), Mode.live, 3),
        (replace(Owner.here(), pid=2**22 + 1), Mode.live, 3),
    ],
    ids=["here", "another mode", "another machine", "gone"],
)
def test_a_health_check_wants_a_daemon_that_is_alive_here(club, owner, mode, code):
    assert club.connect("status", "--check").code == 3

    alive(club, owner, mode)

    assert club.connect("status", "--check").code == code
    assert club.connect("status").code == 0


def test_each_campaign_says_what_happens_next(club):
    club.campaign("once", "{type: scheduled, at: 2060-01-02T09:00}")
    club.campaign("hello", "{type: immediate}")
    club.campaign("orders", "{type: event, every: 5m}")
    club.campaign("held", DAILY, status="paused")
    club.campaign("later", DAILY, status="draft")
    club.campaign("own", "{type: scheduled, at: 2060-01-02T09:00, local_time: true}")

    ended = club.connect("status")
    found = {one["name"]: one for one in club.connect("status", "--json").json["campaigns"]}

    assert found["once"]["words"] == "next Fri 2060-01-02 09:00 GMT"
    assert found["hello"]["words"] == "live before any daemon came: it fires only by `connect launch hello`"
    assert found["orders"]["words"] == "polls every 5m"
    assert found["held"]["words"] == "paused in campaigns/held.yml"
    assert found["own"]["next"]["local_time"] is True
    assert "09:00 GMT, local time" in ended.out
    assert "later" not in found
    assert "1 draft" in ended.err


def test_a_broken_file_is_named(club):
    (club.root / "campaigns" / "broken.yml").write_text("trigger: {type: sometimes}\n")

    ended, found = club.connect("status"), club.connect("status", "--json").json

    assert ended.code == 0
    assert "campaigns/broken.yml is broken" in ended.out
    assert found["broken"][0]["file"] == "campaigns/broken.yml"
    assert found["broken"][0]["problems"]


def test_what_waits_says_why(club):
    club.connect("pause", "daily")
    put(club, paused=False)
    waiting = queue(club)
    with club.ledger() as ledger:
        ledger.start_run(waiting, audience_rows=7)
        ledger.note(waiting, "waiting: rate 14/s")
    second = queue(club, hours=-1)

    shown, found = club.connect("status").out, club.connect("status", "--json").json["runs"]

    assert "running: waiting: rate 14/s" in shown
    assert f"queued: waits for run {waiting} to end" in shown
    assert [(run["id"], run["state"]) for run in found] == [(waiting, "running"), (second, "queued")]


def test_skipped_fire_times_are_one_line_of_the_list(club):
    club.connect("pause", "daily")
    for hours in (3, 2, 1):
        queue(club, state=RunState.skipped, reason="missed: older than 6h", hours=hours)

    shown, every = club.connect("runs", "list").out, club.connect("runs", "list", "--all").out

    assert "skipped ×3" in shown
    assert "missed: older than 6h (3)" in shown
    assert every.count("skipped: missed: older than 6h") == 3
    assert len(club.connect("runs", "list", "--json").json) == 3


# Steering


def test_paused_says_what_would_be_next_and_is_in_the_ledger(club):
    ended = club.connect("pause", "daily")

    assert ended.code == 0
    assert "daily is paused: what comes due is skipped" in ended.out
    assert "the next would be " in ended.out
    assert "`connect resume daily` lets it fire again" in ended.out
    assert schedule(club).paused
    assert "paused by hand" in standing(club)["words"]


def test_resumed_it_fires_again(club):
    club.connect("pause", "daily")

    ended = club.connect("resume", "daily")

    assert ended.code == 0
    assert "next " in ended.out
    assert not schedule(club).paused


def test_what_came_due_while_it_was_paused_stays_skipped_without_a_daemon(club):
    club.connect("pause", "daily")
    put(club, cursor=datetime.now(UTC) - timedelta(days=3))

    assert club.connect("resume", "daily").code == 0

    assert len(runs(club)) >= 2
    assert set(runs(club)) == {("daily", RunState.skipped, "paused by hand")}
    assert datetime.now(UTC) - schedule(club).cursor < timedelta(days=2)  # a day there may have 25 hours


@pytest.mark.parametrize("trigger", [DAILY, "{type: event, every: 5m}", "{type: scheduled, at: 2060-01-02T09:00}"])
def test_resumed_after_a_clock_that_was_ahead_it_fires_from_now_on(club, trigger):
    club.campaign("daily", trigger)
    club.connect("pause", "daily")
    put(club, paused=False, cursor=datetime(2070, 1, 2, 9, tzinfo=UTC), watermark=datetime(2070, 1, 2, 9, tzinfo=UTC))
    silent = standing(club)
    assert silent["ahead"]
    assert silent["words"].startswith("the clock was ahead once: nothing fires until Thu 2070-01-02")
    assert silent["words"].endswith("; `connect resume daily` lets it fire from now on")
    assert "the clock was ahead once" in club.connect("status").out

    resumed = club.connect("resume", "daily")

    assert resumed.code == 0
    assert "the clock was ahead" not in resumed.out
    assert not standing(club)["ahead"]
    assert schedule(club).cursor <= datetime.now(UTC)
    assert schedule(club).watermark <= datetime.now(UTC)
    assert runs(club) == []


def test_a_clock_that_was_ahead_matters_only_to_what_goes_by_a_clock(club):
    club.campaign("daily", "{type: api}")
    club.connect("pause", "daily")
    put(club, paused=False, cursor=datetime(2070, 1, 2, 9, tzinfo=UTC))

    assert not standing(club)["ahead"]


def test_pausing_does_not_touch_a_run_that_goes_on(club):
    club.connect("pause", "daily")
    put(club, paused=False)
    run = queue(club)
    with club.ledger() as ledger:
        ledger.start_run(run)

    ended = club.connect("pause", "daily")

    assert f"run {run} is not touched: `connect runs pause {run}` pauses it" in ended.out
    assert runs(club) == [("daily", RunState.running, "")]


def test_skipping_the_next_names_it_and_the_one_after(club):
    ended = club.connect("skip-next", "daily")

    assert "is skipped by hand, then " in ended.out
    assert schedule(club).skip_next
    assert standing(club)["skip_next"]


def test_skipping_the_next_after_an_outage_is_not_about_what_has_come_due(club):
    minute = (datetime.now(UTC) + timedelta(minutes=30)).minute  # nothing comes due while the commands run
    club.campaign("hourly", f'{{type: recurring, cron: "{minute} * * * *"}}')
    club.connect("skip-next", "hourly")
    put(club, "hourly", cursor=datetime.now(UTC) - timedelta(hours=3), skip_next=False)

    ended = club.connect("skip-next", "hourly", "--json")

    states = [state for _, state, _ in runs(club)]
    assert states.count(RunState.queued) == 1
    assert {reason for *_, reason in runs(club)} == {"", "missed: a later one has come"}
    assert len(ended.json["runs"]) == len(states)
    assert datetime.now(UTC) - schedule(club, "hourly").cursor < timedelta(hours=1)
    assert schedule(club, "hourly").skip_next
    assert "due since" not in standing(club, "hourly")["words"]


def test_skipping_what_fires_once_and_is_due_fires_it_not(club):
    club.campaign("hello", "{type: immediate}")
    with club.ledger() as ledger:
        ledger.put_schedule(claims.settled(Mode.live, datetime.now(UTC)))

    assert club.connect("skip-next", "hello").code == 0

    assert runs(club) == []
    assert schedule(club, "hello").skip_next


def test_what_fires_once_and_has_can_not_be_skipped(club):
    club.campaign("hello", "{type: immediate}")

    ended = club.connect("skip-next", "hello")

    assert ended.code == 2
    assert "error[nothing-to-skip]" in ended.err
    assert "`connect launch hello`" in ended.err


def test_each_mode_is_steered_by_itself(club):
    club.connect("pause", "daily", "--mode", "test")

    assert schedule(club, mode=Mode.test).paused
    assert schedule(club) is None


def test_the_first_command_leaves_it_to_the_daemon_to_find_out_what_was_live_before(club):
    """Else the daemon would take the others for new ones, and fire those that fire once."""
    club.campaign("hello", "{type: immediate}")

    club.connect("pause", "daily")

    assert schedule(club, "hello") is None
    assert standing(club, "hello")["words"].startswith("live before any daemon came")


def test_a_broken_file_can_be_paused_while_its_last_good_version_goes_on(club):
    club.connect("skip-next", "daily")
    (club.root / "campaigns" / "daily.yml").write_text("trigger: {type: sometimes}\n")

    paused, resumed = club.connect("pause", "daily"), club.connect("resume", "daily", "--json")

    assert (paused.code, resumed.code) == (0, 0)
    assert resumed.json["paused"] is False


def test_a_broken_file_that_nobody_knows_says_what_is_wrong(club):
    (club.root / "campaigns" / "new.yml").write_text("trigger: {type: sometimes}\n")

    ended = club.connect("pause", "new")

    assert ended.code == 2
    assert "campaigns/new.yml:1" in ended.err


@pytest.mark.parametrize("command", ["pause", "resume", "skip-next", "launch"])
def test_an_unknown_campaign_brings_the_nearest(club, command):
    ended = club.connect(command, "dayly")

    assert ended.code == 2
    assert "error[unknown-campaign]" in ended.err
    assert "did you mean `daily`?" in ended.err


@pytest.mark.parametrize("command", ["pause", "resume", "skip-next"])
def test_machines_read_how_it_stands(club, command):
    found = club.connect(command, "daily", "--json").json

    assert found["name"] == "daily"
    assert found["mode"] == "live"
    assert (found["paused"], found["skip_next"]) == (command == "pause", command == "skip-next")


def test_pausing_what_fires_once_says_that_it_will_not_fire_later(club):
    club.campaign("once", "{type: scheduled, at: 2060-01-02T09:00}")

    ended = club.connect("pause", "once", "--target", "default")

    assert "the next would be Fri 2060-01-02 09:00 GMT" in ended.out
    assert "fires no more, only by `connect launch once --target default`" in ended.out


def test_skipping_a_poll_says_so(club):
    club.campaign("orders", "{type: event, every: 5m}")

    assert "polls every 5m; the next poll is skipped by hand" in club.connect("skip-next", "orders").out


# Launch


def test_launched_it_is_queued_and_says_that_no_daemon_is_there(club):
    club.campaign("hello", "{type: immediate}")

    ended = club.connect("launch", "hello", "--yes")

    assert ended.code == 0
    assert "is queued" in ended.out
    assert "queued: waits for a daemon" in club.connect("status").out
    assert "no daemon is running: `connect daemon` takes it up" in ended.out
    assert runs(club) == [("hello", RunState.queued, "")]
    assert schedule(club, "hello").fired
    with club.ledger() as ledger:
        assert [run.campaign for run in ledger.work(Mode.live)] == ["hello"]


def test_launched_before_its_time_it_does_not_fire_again_at_it(club):
    club.campaign("once", "{type: scheduled, at: 2060-01-02T09:00}")
    alive(club)

    ended = club.connect("launch", "once", "--yes", "--json")

    assert ended.json["daemon_alive"] is True
    assert len(ended.json["runs"]) == 1
    assert schedule(club, "once").fired
    assert standing(club, "once")["next"] is None


def test_it_asks_first_and_nobody_to_ask_is_a_no(club):
    club.campaign("hello", "{type: immediate}")

    ended = club.connect("launch", "hello")

    assert ended.code == 2
    assert "error[not-confirmed]" in ended.err
    assert "2 rows (at most 100)" in ended.err
    assert schedule(club, "hello") is None
    assert runs(club) == []


@pytest.mark.parametrize(
    ("trigger", "status", "code"),
    [(DAILY, "live", "not-one-off"), ("{type: immediate}", "draft", "campaign-not-live")],
)
def test_what_can_not_be_launched_says_why(club, trigger, status, code):
    club.campaign("hello", trigger, status=status)

    ended = club.connect("launch", "hello", "--yes")

    assert ended.code == 2
    assert f"error[{code}]" in ended.err
    assert runs(club) == []


def test_launched_twice_it_is_refused_while_the_first_waits_and_after_it_has_run(club):
    club.campaign("hello", "{type: immediate}")
    club.connect("launch", "hello", "--yes")

    waiting = club.connect("launch", "hello", "--yes")
    with club.ledger() as ledger:
        (run,) = ledger.queued(Mode.live, "hello")
        ledger.start_run(run.id)
        ledger.finish(run.id, RunState.completed)
    ran, again = club.connect("launch", "hello", "--yes"), club.connect("launch", "hello", "--yes", "--again")

    assert (waiting.code, ran.code, again.code) == (2, 2, 0)
    assert "error[run-exists]" in waiting.err
    assert "error[already-ran]" in ran.err
    assert [state for _, state, _ in runs(club)] == [RunState.queued, RunState.completed]


def test_status_tells_what_a_daemon_could_not_tell_others(club):
    alive(club)
    assert "dropped" not in club.connect("status").out
    alive(club, dropped=1203)
    assert "has dropped 1,203 outgoing webhooks" in " ".join(club.connect("status").out.split())
    assert [one["dropped"] for one in club.connect("status", "--json").json["daemons"]] == [1203]
