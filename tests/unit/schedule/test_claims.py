"""What schedules decide: each rule by an example, and what must hold whatever happens by random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.errors import UserError
from connect.ledger.records import Schedule
from connect.project.audience import Audience
from connect.project.campaign import Campaign
from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
from connect.schedule import claims
from connect.schedule.claims import Fire, adopt, decide
from connect.vocabulary import CampaignStatus, Channel, Mode, RunState

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TEXT = {"channel": Channel.sms, "body": {"source": "Hello"}}


def campaign(trigger: Any, *, name: str = "news", status: str = "live", body: str = "Hello") -> Campaign:
    message = {"content": [{**TEXT, "body": {"source": body}}]}
    audience = Audience(people=({"id": 1},))
    return Campaign(name=name, status=CampaignStatus(status), trigger=trigger, audience=audience, message=message)


def daily(cron: str = "0 9 * * *", **fields: Any) -> Recurring:
    return Recurring(type="recurring", cron=cron, **fields)


def at(instant: datetime, **fields: Any) -> Scheduled:
    return Scheduled(type="scheduled", at=instant, **fields)


def polls(every: timedelta = 5 * MINUTE, lag: timedelta = MINUTE, **fields: Any) -> Event:
    return Event(type="event", every=every, lag=lag, **fields)


def now(**fields: Any) -> Immediate:
    return Immediate(type="immediate", **fields)


def known(made: Campaign, cursor: datetime = NOON, **fields: Any) -> Schedule:
    """A schedule that the ledger has had for a while."""
    row = adopt(made, Mode.live, cursor, fresh=False, vanished={})
    return replace(row, version=3, **fields)


def fires(made: Campaign, schedule: Schedule, instant: datetime, **known: Any) -> list[tuple[datetime, str]]:
    """(fire time, why it is skipped)."""
    decision = decide(made, schedule, instant, **known)
    return [(fire.fire_time, fire.reason) for fire in decision.fires] if decision else []


def after(made: Campaign, schedule: Schedule, instant: datetime, **known: Any) -> Schedule:
    decision = decide(made, schedule, instant, **known)
    return decision.schedule_after if decision else schedule


def days(*numbers: int, hour: int = 9) -> list[datetime]:
    return [datetime(2026, 6, number, hour, tzinfo=UTC) for number in numbers]


# Recurring


def test_nothing_is_written_while_nothing_is_due():
    made = campaign(daily())
    assert decide(made, known(made), NOON + 20 * HOUR) is None


def test_a_fire_time_that_comes_is_queued_and_the_cursor_moves_to_it():
    made, (nine,) = campaign(daily()), days(2)
    decision = decide(made, known(made), nine)
    assert decision.fires == (Fire(nine, RunState.queued),)
    assert decision.schedule_after == replace(known(made), cursor=nine)
    assert decide(made, decision.schedule_after, nine + MINUTE) is None


def test_of_several_that_are_due_the_latest_runs():
    made = campaign(daily("0 * * * *"))
    assert fires(made, known(made), NOON + 3 * HOUR + MINUTE) == [
        (NOON + HOUR, "missed: a later one has come"),
        (NOON + 2 * HOUR, "missed: a later one has come"),
        (NOON + 3 * HOUR, ""),
    ]


def test_what_is_older_than_grace_is_skipped_also_when_it_is_the_latest():
    made = campaign(daily())
    nine, ten = days(2, 3)
    assert fires(made, known(made), nine + 6 * HOUR) == [(nine, "")]
    assert fires(made, known(made), nine + 6 * HOUR + MINUTE) == [(nine, "missed: older than 6h")]
    assert fires(made, known(made), ten + 7 * HOUR) == [(time, "missed: older than 6h") for time in (nine, ten)]
    assert after(made, known(made), ten + 7 * HOUR).cursor == ten


def test_all_run_that_are_within_grace():
    made = campaign(daily("0 * * * *", missed="all", grace=2 * HOUR))
    assert fires(made, known(made), NOON + 4 * HOUR) == [
        (NOON + HOUR, "missed: older than 2h"),
        (NOON + 2 * HOUR, ""),
        (NOON + 3 * HOUR, ""),
        (NOON + 4 * HOUR, ""),
    ]


@pytest.mark.parametrize(("late", "runs"), [(timedelta(seconds=59), True), (MINUTE, False)])
def test_skip_runs_only_what_is_on_time(late, runs):
    made = campaign(daily(missed="skip"))
    (nine,) = days(2)
    assert fires(made, known(made), nine + late) == [(nine, "" if runs else "missed: more than a minute late")]


def test_with_hardly_any_grace_it_still_runs_when_it_is_on_time():
    made = campaign(daily(grace=timedelta(seconds=1)))
    (nine,) = days(2)
    assert fires(made, known(made), nine + timedelta(seconds=20)) == [(nine, "")]


def test_after_a_month_of_minutes_the_oldest_are_summed_up():
    made = campaign(daily("* * * * *"))
    found = fires(made, known(made), NOON + 30 * DAY)
    assert len(found) == 501
    assert found[0][1] == "missed: older than 6h, and 42,699 before it"
    assert [reason for _, reason in found[1:-1]].count("missed: a later one has come") == 360
    assert found[-1] == (NOON + 30 * DAY, "")
    assert after(made, known(made), NOON + 30 * DAY).cursor == NOON + 30 * DAY


def test_a_clock_that_jumps_back_fires_nothing_until_it_has_caught_up():
    made = campaign(daily("0 * * * *"))
    there = known(made, NOON)
    assert decide(made, there, NOON - 5 * HOUR) is None
    assert decide(made, there, NOON) is None
    assert fires(made, there, NOON + HOUR) == [(NOON + HOUR, "")]


def test_overlap_skip_leaves_out_what_comes_while_a_run_goes_on():
    made = campaign(daily(overlap="skip"))
    (nine,) = days(2)
    assert fires(made, known(made), nine, busy=True) == [(nine, "overlap: an earlier run has not ended")]
    assert fires(made, known(made), nine, busy=False) == [(nine, "")]
    queueing = campaign(daily())
    assert fires(queueing, known(queueing), nine, busy=True) == [(nine, "")]


def test_overlap_skip_runs_the_first_of_all_that_were_missed():
    made = campaign(daily("0 * * * *", missed="all", overlap="skip"))
    assert [reason for _, reason in fires(made, known(made), NOON + 2 * HOUR)] == [
        "",
        "overlap: an earlier run has not ended",
    ]


def test_paused_by_hand_skips_whatever_comes():
    made = campaign(daily())
    there = known(made, paused=True, skip_next=True)
    assert fires(made, there, days(3)[0]) == [(time, "paused by hand") for time in days(2, 3)]
    assert after(made, there, days(3)[0]).skip_next


def test_skip_next_skips_one():
    made = campaign(daily())
    there = known(made, skip_next=True)
    second, third = days(2, 3)
    assert fires(made, there, second) == [(second, "skipped by hand")]
    assert fires(made, after(made, there, second), third) == [(third, "")]
    assert fires(made, there, third) == [(second, "skipped by hand"), (third, "")]


# With local_time


def test_a_local_time_is_due_when_it_comes_first_anywhere():
    made = campaign(daily(local_time=True))
    there = known(made)
    (nine,) = days(3)  # 9:00 of 2 June came first at 19:00 UTC of 1 June
    first = after(made, there, days(1, hour=19)[0])
    assert fires(made, there, days(1, hour=19)[0]) == [(days(2)[0], "")]
    assert first.cursor == days(2)[0]
    assert decide(made, first, nine - 14 * HOUR - MINUTE) is None
    assert fires(made, first, nine - 14 * HOUR) == [(nine, "")]


def test_a_local_time_that_began_while_nothing_ran_is_not_late_before_it_has_come():
    made = campaign(daily(local_time=True))
    (nine,) = days(2)
    assert fires(made, known(made), nine + 6 * HOUR) == [(nine, "")]
    assert fires(made, known(made), nine + 6 * HOUR + MINUTE) == [(nine, "missed: older than 6h")]


def test_a_local_time_that_lies_ahead_for_most_takes_no_other_s_place():
    made = campaign(daily("0 9,17 * * *", local_time=True))
    nine, five, next_nine = days(2)[0], days(2, hour=17)[0], days(3)[0]
    there = known(made, days(1, hour=17)[0])
    assert fires(made, there, nine - HOUR) == [(nine, ""), (five, "")]
    assert fires(made, there, nine + HOUR) == [(nine, ""), (five, "")]
    late = fires(made, there, next_nine - 14 * HOUR)
    assert late == [(nine, "missed: older than 6h"), (five, ""), (next_nine, "")]
    often = campaign(daily("0,30 9 * * *", local_time=True))
    missed = "missed: a later one has come"
    assert fires(often, known(often), nine + HOUR) == [(nine, missed), (nine + 30 * MINUTE, "")]


def begun_tomorrow() -> tuple[datetime, datetime]:
    """9:00 of tomorrow, and an instant at which it has come in the east for an hour."""
    (nine,) = days(2)
    return nine, nine - 13 * HOUR


def test_a_local_time_that_is_under_way_is_not_begun_again_by_editing():
    made, edited = campaign(daily(local_time=True)), campaign(daily("30 9 * * *", local_time=True))
    nine, instant = begun_tomorrow()
    sent = after(made, known(made), instant)
    changed = decide(edited, sent, instant + MINUTE)
    assert changed.fires == ()
    assert changed.schedule_after.cursor == nine + 30 * MINUTE
    the_next = nine + DAY + 30 * MINUTE
    assert decide(edited, changed.schedule_after, the_next - 14 * HOUR - MINUTE) is None
    assert fires(edited, changed.schedule_after, the_next - 14 * HOUR) == [(the_next, "")]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_local_time_that_has_begun_when_it_is_adopted_is_left_out(fresh):
    made = campaign(daily(local_time=True))
    nine, instant = begun_tomorrow()
    new = adopt(made, Mode.live, instant, fresh=fresh, vanished={})
    assert decide(made, new, instant) is None
    assert new.cursor == nine
    assert claims.next_begin(made, new) == nine + DAY - 14 * HOUR


def test_a_local_time_that_has_begun_when_it_is_live_again_is_left_out():
    made, draft = campaign(daily(local_time=True)), campaign(daily(local_time=True), status="draft")
    nine, instant = begun_tomorrow()
    held = after(draft, known(made), NOON + MINUTE)
    assert held.cursor == NOON
    assert fires(made, held, instant) == []
    assert after(made, held, instant).cursor == nine


def test_a_draft_with_a_local_time_may_still_be_moved():
    """What has begun somewhere while nothing was sent is in nobody's way."""
    draft = campaign(at(NOON + HOUR, local_time=True), status="draft")
    made = campaign(at(NOON + 20 * HOUR, local_time=True))
    assert fires(made, known(draft), NOON + 6 * HOUR - MINUTE) == []
    live = after(made, known(draft), NOON + 6 * HOUR - MINUTE)
    assert fires(made, live, NOON + 6 * HOUR) == [(NOON + 20 * HOUR, "")]


def test_a_scheduled_local_time_that_has_begun_somewhere_is_skipped_and_says_how_to_send_it():
    made, draft = campaign(at(NOON + HOUR, local_time=True)), campaign(at(NOON + HOUR, local_time=True), status="draft")
    said = "its time had come in some zones when it became live: `connect launch news` sends it"
    assert fires(made, known(draft), NOON) == [(NOON + HOUR, said)]
    new = adopt(made, Mode.live, NOON, fresh=False, vanished={})
    assert fires(made, new, NOON) == [(NOON + HOUR, said)]
    assert after(made, new, NOON).fired
    later = campaign(at(NOON + 2 * DAY, local_time=True))
    moved = said.replace("became live", "was moved")
    assert fires(made, known(later), NOON) == [(NOON + HOUR, moved)]


def test_a_clock_set_back_gives_each_local_time_once():
    made = campaign(daily("0,30 2 * * *", timezone="Europe/Berlin", local_time=True))
    there, found = known(made, datetime(2026, 10, 24, 6, tzinfo=UTC)), []
    for minutes in range(0, 2880, 7):
        instant = datetime(2026, 10, 24, 6, tzinfo=UTC) + minutes * MINUTE
        found += fires(made, there, instant)
        there = after(made, there, instant)
    assert [reason for _, reason in found] == [""] * 4  # of 25 and 26 October
    assert len({time for time, _ in found}) == 4


# Changes of the trigger


@pytest.mark.parametrize(
    "changed",
    [
        daily("30 10 * * *"),
        daily(timezone="Australia/Sydney"),
        daily("0 9 * * *", starts_at=NOON - 30 * DAY),
        daily(local_time=True),
        polls(),
    ],
)
def test_a_changed_trigger_never_fires_for_what_has_passed(changed):
    before, made = campaign(daily()), campaign(changed)
    decision = decide(made, known(before), NOON + 10 * DAY)
    assert not decision.fires
    assert decision.schedule_after.cursor == NOON + 10 * DAY
    assert decision.schedule_after.spec == claims.spec_of(made)
    assert decide(made, decision.schedule_after, NOON + 10 * DAY) is None


def test_a_changed_trigger_does_not_bring_the_cursor_back():
    before, made = campaign(daily()), campaign(daily("0 * * * *"))
    changed = after(made, known(before, NOON + DAY), NOON)
    assert changed.cursor == NOON + DAY
    assert fires(made, changed, NOON + 2 * HOUR) == []


def test_what_does_not_decide_when_it_fires_may_change_freely():
    before = campaign(daily())
    made = campaign(daily(grace=HOUR, missed="all", overlap="skip"), body="Good day")
    (nine,) = days(2)
    decision = decide(made, known(before), nine)
    assert [fire.fire_time for fire in decision.fires] == [nine]
    assert decision.schedule_after.content == claims.content_of(made) != claims.content_of(before)


# One-off triggers


def test_a_scheduled_campaign_fires_once():
    made = campaign(at(NOON + HOUR))
    assert decide(made, known(made), NOON + HOUR - MINUTE) is None
    assert fires(made, known(made), NOON + HOUR) == [(NOON + HOUR, "")]
    fired = after(made, known(made), NOON + HOUR)
    assert fired.fired
    assert decide(made, fired, NOON + 9 * DAY) is None


def test_a_scheduled_campaign_that_was_missed_for_too_long_is_skipped_for_good():
    made = campaign(at(NOON + HOUR))
    assert fires(made, known(made), NOON + 8 * HOUR) == [(NOON + HOUR, "missed: older than 6h")]
    assert after(made, known(made), NOON + 8 * HOUR).fired


def test_editing_a_time_that_has_fired_never_fires_again():
    made, edited = campaign(at(NOON + HOUR)), campaign(at(NOON + 2 * HOUR))
    fired = after(made, known(made), NOON + HOUR)
    changed = after(edited, fired, NOON + HOUR + MINUTE)
    assert fires(edited, changed, NOON + 2 * HOUR) == []


def test_a_time_that_was_moved_before_it_came_fires_at_its_new_time():
    made, edited = campaign(at(NOON + HOUR)), campaign(at(NOON + 2 * HOUR))
    changed = after(edited, known(made), NOON + MINUTE)
    assert fires(edited, changed, NOON + HOUR) == []
    assert fires(edited, changed, NOON + 2 * HOUR) == [(NOON + 2 * HOUR, "")]


def test_a_time_that_was_moved_into_the_past_is_skipped_and_says_so():
    made, edited = campaign(at(NOON + HOUR)), campaign(at(NOON - HOUR))
    there = known(made)
    assert fires(edited, there, NOON + MINUTE) == [(NOON - HOUR, "`at` was moved to a time that has passed")]
    assert decide(edited, after(edited, there, NOON + MINUTE), NOON + 2 * MINUTE) is None


def test_a_scheduled_campaign_that_becomes_live_after_its_time_is_skipped_and_says_so():
    draft, made = campaign(at(NOON + HOUR), status="draft"), campaign(at(NOON + HOUR))
    assert fires(draft, known(draft), NOON + 2 * HOUR) == []
    assert fires(made, known(draft), NOON + 2 * HOUR) == [(NOON + HOUR, "`at` had passed when it became live")]


def test_a_scheduled_local_time_begins_where_it_comes_first():
    made = campaign(at(NOON + 20 * HOUR, local_time=True))
    assert decide(made, known(made), NOON + 5 * HOUR) is None
    assert fires(made, known(made), NOON + 6 * HOUR) == [(NOON + 20 * HOUR, "")]


def test_an_immediate_campaign_fires_when_it_becomes_live_and_never_again():
    draft, made = campaign(now(), status="draft"), campaign(now())
    there = known(draft)
    assert decide(draft, there, NOON + HOUR) is None
    live = after(made, there, NOON + HOUR)
    assert fires(made, there, NOON + HOUR) == [(NOON + HOUR, "")]
    edited = campaign(now(), body="Good day")
    assert fires(edited, live, NOON + 2 * HOUR) == []
    back = after(draft, live, NOON + 3 * HOUR)
    assert back.live_since is None
    assert fires(made, back, NOON + 4 * HOUR) == []


def test_a_new_immediate_campaign_fires_at_the_instant_of_which_it_is_live():
    made = campaign(now())
    new = adopt(made, Mode.live, NOON, fresh=False, vanished={})
    assert fires(made, new, NOON + MINUTE) == [(NOON, "")]


def test_an_immediate_campaign_that_somebody_has_run_by_hand_does_not_fire():
    made = campaign(now())
    decision = decide(made, known(made), NOON, ran="0run")
    assert decision.fires == ()
    assert decision.schedule_after.fired


def test_a_scheduled_campaign_that_somebody_has_run_by_hand_does_not_fire_again_at_its_time():
    made = campaign(at(NOON + HOUR))
    assert decide(made, known(made), NOON, ran="0run") is None
    assert fires(made, known(made), NOON + HOUR, ran="0run") == [(NOON + HOUR, "it has run by hand: run 0run")]
    assert after(made, known(made), NOON + HOUR, ran="0run").fired


def test_a_trigger_that_is_edited_into_immediate_does_not_fire():
    before, made = campaign(daily()), campaign(now())
    assert fires(made, known(before), NOON + MINUTE) == []
    assert decide(made, after(made, known(before), NOON + MINUTE), NOON + HOUR) is None


def test_a_draft_that_is_edited_into_immediate_and_live_fires():
    before, made = campaign(daily(), status="draft"), campaign(now())
    assert fires(made, known(before), NOON + MINUTE) == [(NOON + MINUTE, "")]


@pytest.mark.parametrize("trigger", [now(), at(NOON + HOUR)])
@pytest.mark.parametrize(("held", "said"), [("paused", "paused by hand"), ("skip_next", "skipped by hand")])
def test_one_off_triggers_that_are_held_by_hand_have_fired_with_that(trigger, held, said):
    made = campaign(trigger)
    there = known(made, **{held: True})
    assert [reason for _, reason in fires(made, there, NOON + HOUR)] == [said]
    assert after(made, there, NOON + HOUR).fired


def test_an_api_trigger_never_fires_by_itself():
    made = campaign(Api(type="api"))
    assert decide(made, known(made), NOON + 400 * DAY) is None


# Not live


@pytest.mark.parametrize("status", ["draft", "paused"])
@pytest.mark.parametrize("trigger", [daily(), at(NOON + DAY), now(), polls()])
def test_nothing_fires_that_is_not_live(status, trigger):
    live, made = campaign(trigger), campaign(trigger, status=status)
    there = replace(known(live), fired=False)
    decision = decide(made, there, NOON + 5 * DAY)
    assert decision.fires == ()
    assert decision.schedule_after.live_since is None
    assert decide(made, decision.schedule_after, NOON + 6 * DAY) is None


def test_what_came_while_it_was_not_live_does_not_fire():
    paused, made = campaign(daily(), status="paused"), campaign(daily())
    there = after(paused, known(made), NOON + MINUTE)
    again = after(made, there, NOON + 3 * DAY)
    assert fires(made, there, NOON + 3 * DAY) == []
    assert (again.live_since, again.cursor) == (NOON + 3 * DAY, NOON + 3 * DAY)
    assert fires(made, again, days(5)[0]) == [(days(5)[0], "")]


def test_a_campaign_whose_file_is_gone_is_retired_once():
    made = campaign(daily())
    retired = claims.retire(known(made))
    assert retired == replace(known(made), live_since=None)
    assert claims.retire(retired) is None


# Events


def windows(made: Campaign, schedule: Schedule, instant: datetime) -> list[tuple[float, float, str]]:
    """(since, until, why it is skipped), in minutes after noon."""
    decision = decide(made, schedule, instant)
    found = decision.fires if decision else ()
    return [((fire.since - NOON) / MINUTE, (fire.until - NOON) / MINUTE, fire.reason) for fire in found]


def test_the_first_window_begins_when_the_campaign_became_live():
    made = campaign(polls())
    there = known(made, NOON + MINUTE)
    assert windows(made, there, NOON + 5 * MINUTE) == [(1, 4, "")]
    assert after(made, there, NOON + 5 * MINUTE).watermark == NOON + 4 * MINUTE


def test_windows_follow_one_another():
    made = campaign(polls())
    first = after(made, known(made), NOON + 5 * MINUTE)
    assert windows(made, first, NOON + 10 * MINUTE) == [(4, 9, "")]
    (fire,) = decide(made, first, NOON + 11 * MINUTE).fires
    assert fire.fire_time == NOON + 10 * MINUTE


def test_a_poll_that_can_not_have_anything_yet_only_moves_the_cursor():
    made = campaign(polls(lag=10 * MINUTE))
    decision = decide(made, known(made), NOON + 10 * MINUTE)
    assert decision.fires == ()
    assert decision.schedule_after == replace(known(made), cursor=NOON + 10 * MINUTE)


def test_of_several_polls_the_latest_has_the_whole_window():
    made = campaign(polls())
    assert windows(made, known(made), NOON + 31 * MINUTE) == [(0, 29, "")]


def test_all_polls_have_their_own_window():
    made = campaign(polls(missed="all"))
    assert windows(made, known(made), NOON + 16 * MINUTE) == [(0, 4, ""), (4, 9, ""), (9, 14, "")]


def test_skip_gives_only_what_is_on_time():
    made = campaign(polls(missed="skip"))
    late = "missed: more than a minute late"
    assert windows(made, known(made), NOON + 15 * MINUTE) == [(0, 9, late), (9, 14, "")]
    assert windows(made, known(made), NOON + 17 * MINUTE) == [(0, 14, late)]


def test_events_that_are_older_than_grace_are_passed_over():
    made = campaign(polls(grace=HOUR))
    found = windows(made, known(made), NOON + 3 * HOUR)
    assert found == [(0, 114, "missed: events older than 1h"), (114, 179, "")]


def test_a_poll_once_a_day_does_not_lose_what_is_older_than_grace():
    made = campaign(polls(every=DAY))
    midnight = NOON + 12 * HOUR
    assert windows(made, known(made), midnight) == [(0, 719, "")]


def test_years_of_polls_are_one_row():
    made = campaign(polls(every=timedelta(seconds=10)))
    found = windows(made, known(made), NOON + 700 * DAY)
    assert [reason for *_, reason in found] == ["missed: events older than 6h", ""]
    assert found[0][1] == found[1][0]


def test_while_it_is_paused_by_hand_its_windows_are_passed_over():
    made = campaign(polls(missed="all"))
    there = known(made, paused=True)
    assert windows(made, there, NOON + 16 * MINUTE) == [(0, 14, "paused by hand")]
    on = replace(after(made, there, NOON + 16 * MINUTE), paused=False)
    assert windows(made, on, NOON + 20 * MINUTE) == [(14, 19, "")]


def test_paused_for_longer_than_grace_is_paused():
    made = campaign(polls())
    assert windows(made, known(made, paused=True), NOON + DAY) == [(0, 1439, "paused by hand")]


def test_skip_next_passes_over_one_window():
    made = campaign(polls())
    there = known(made, skip_next=True)
    assert windows(made, there, NOON + 10 * MINUTE) == [(0, 4, "skipped by hand"), (4, 9, "")]
    assert not after(made, there, NOON + 10 * MINUTE).skip_next


def test_skip_next_waits_for_a_poll_that_is_not_too_old():
    made = campaign(polls(every=HOUR, grace=2 * HOUR))
    there = known(made, skip_next=True)
    reasons = [reason for *_, reason in windows(made, there, NOON + 5 * HOUR)]
    assert reasons == ["missed: events older than 2h", "skipped by hand", ""]
    assert not after(made, there, NOON + 5 * HOUR).skip_next


def test_skip_next_stays_where_all_polls_are_too_old():
    made = campaign(polls(every=3 * HOUR, grace=HOUR))
    there = after(made, known(made, skip_next=True), NOON + 4 * HOUR + 30 * MINUTE)
    assert there.skip_next
    assert windows(made, there, NOON + 6 * HOUR)[-1][2] == "skipped by hand"


def test_polling_at_another_pace_loses_no_event():
    made, slower = campaign(polls()), campaign(polls(every=30 * MINUTE))
    there = after(made, known(made), NOON + 5 * MINUTE)
    changed = after(slower, there, NOON + 6 * MINUTE)
    assert changed.watermark == NOON + 4 * MINUTE
    assert windows(slower, changed, NOON + 30 * MINUTE) == [(4, 29, "")]


def test_another_trigger_that_is_edited_into_polling_begins_with_now():
    before, made = campaign(daily()), campaign(polls())
    changed = after(made, known(before), NOON + 2 * MINUTE)
    assert windows(made, changed, NOON + 5 * MINUTE) == [(2, 4, "")]


def test_live_again_begins_with_now():
    made, draft = campaign(polls()), campaign(polls(), status="draft")
    there = after(draft, after(made, known(made), NOON + 5 * MINUTE), NOON + 6 * MINUTE)
    again = after(made, there, NOON + 62 * MINUTE)
    assert windows(made, again, NOON + 65 * MINUTE) == [(62, 64, "")]


# Adopting


@pytest.mark.parametrize(
    ("trigger", "status", "fired"),
    [
        (now(), "live", True),
        (now(), "paused", True),
        (now(), "draft", False),
        (at(NOON - HOUR), "live", True),
        (at(NOON + HOUR), "live", False),
        (at(NOON + HOUR, local_time=True), "live", True),  # it has begun in the east
        (daily(), "live", False),
        (polls(), "live", False),
    ],
)
def test_a_fresh_ledger_fires_nothing_that_may_have_fired_before(trigger, status, fired):
    made = campaign(trigger, status=status)
    adopted = adopt(made, Mode.live, NOON, fresh=True, vanished={})
    assert adopted.fired is fired
    assert adopted.cursor == (trigger.at if getattr(trigger, "local_time", False) else NOON)
    assert adopted.version == 0
    assert not fires(made, adopted, NOON)


def test_a_fresh_ledger_fires_what_comes():
    made = campaign(at(NOON + HOUR))
    assert fires(made, adopt(made, Mode.live, NOON, fresh=True, vanished={}), NOON + HOUR) == [(NOON + HOUR, "")]


def test_a_ledger_is_fresh_until_everything_was_adopted():
    made = campaign(daily())
    row = known(made)
    settled = claims.settled(Mode.live, NOON)
    assert claims.is_fresh({})
    assert claims.is_fresh({"news": row})
    assert not claims.is_fresh({"news": row, settled.campaign: settled})


@pytest.mark.parametrize("trigger", [now(), at(NOON - HOUR), daily(), polls()])
def test_a_renamed_file_is_known_again(trigger):
    before, made = campaign(trigger, name="old"), campaign(trigger, name="new")
    old = known(before, NOON - DAY, fired=True, watermark=NOON - HOUR, paused=True)
    adopted = adopt(made, Mode.live, NOON, fresh=False, vanished={"old": old})
    assert adopted == replace(old, campaign="new", version=0)


def test_another_campaign_is_not_taken_for_one_that_is_gone():
    before, made = campaign(now(), name="old"), campaign(now(), name="new", body="Good day")
    adopted = adopt(made, Mode.live, NOON, fresh=False, vanished={"old": known(before, fired=True)})
    assert not adopted.fired


def test_the_content_is_the_same_under_another_name_or_status_and_the_spec_is_not_the_message():
    one, other = campaign(daily()), campaign(daily(), name="other", status="draft")
    assert claims.content_of(one) == claims.content_of(other)
    assert claims.content_of(one) != claims.content_of(campaign(daily(), body="Good day"))
    assert claims.spec_of(one) == claims.spec_of(campaign(daily(), body="Good day"))


def test_a_schedule_of_another_version_of_the_file_is_noticed():
    made = campaign(daily())
    assert claims.agrees(made, known(made))
    assert not claims.agrees(campaign(daily("0 8 * * *")), known(made))
    assert not claims.agrees(campaign(daily(), status="draft"), known(made))
    assert claims.agrees(campaign(daily(), status="draft"), known(made, live_since=None))


# When to look again


@pytest.mark.parametrize(
    ("trigger", "begins"),
    [
        (daily(), datetime(2026, 6, 2, 9, tzinfo=UTC)),
        (daily(local_time=True), datetime(2026, 6, 1, 19, tzinfo=UTC)),
        (at(NOON + HOUR), NOON + HOUR),
        (at(NOON + 20 * HOUR, local_time=True), NOON + 6 * HOUR),
        (polls(every=7 * MINUTE), NOON + 2 * MINUTE),
        (now(), NOON),
        (Api(type="api"), None),
        (daily("0 9 * * *", ends_at=NOON), None),
    ],
)
def test_when_it_begins_next(trigger, begins):
    made = campaign(trigger)
    found = claims.next_begin(made, known(made))
    assert found == begins
    if found is not None:
        assert decide(made, known(made), found) is not None
        assert isinstance(trigger, Immediate) or decide(made, known(made), found - timedelta(seconds=1)) is None


@pytest.mark.parametrize("trigger", [now(), at(NOON + HOUR)])
def test_what_has_fired_never_begins(trigger):
    made = campaign(trigger)
    assert claims.next_begin(made, known(made, fired=True)) is None


def test_what_is_not_live_never_begins():
    made = campaign(daily(), status="draft")
    assert claims.next_begin(made, known(made)) is None


# By hand


@pytest.mark.parametrize("trigger", [now(), at(NOON - DAY), at(NOON + DAY)])
def test_launch_fires_a_one_off_campaign_now_and_only_once(trigger):
    made = campaign(trigger)
    decision = claims.launch(known(made, fired=isinstance(trigger, Immediate)), made, NOON + MINUTE)
    assert decision.fires == (Fire(NOON + MINUTE, RunState.queued),)
    assert decision.schedule_after.fired
    assert decide(made, decision.schedule_after, NOON + 2 * DAY) is None


@pytest.mark.parametrize("trigger", [daily(), polls(), Api(type="api")])
def test_launch_refuses_what_does_not_fire_once(trigger):
    made = campaign(trigger)
    with pytest.raises(UserError, match="not-one-off"):
        claims.launch(known(made), made, NOON)


@pytest.mark.parametrize("status", ["draft", "paused"])
def test_launch_sends_no_draft_for_real(status):
    made = campaign(now(), status=status)
    with pytest.raises(UserError, match="campaign-not-live"):
        claims.launch(known(made), made, NOON)
    assert claims.launch(replace(known(made), mode=Mode.test), made, NOON).fires


def test_launch_repeats_only_when_it_is_told_to():
    made = campaign(now())
    with pytest.raises(UserError, match="already-ran"):
        claims.launch(known(made, fired=True), made, NOON, ran=True)
    assert claims.launch(known(made, fired=True), made, NOON, ran=True, again=True).fires


# After a clock that was ahead


def test_a_campaign_that_a_clock_brought_far_ahead_is_known_by_its_cursor():
    made, own = campaign(daily()), campaign(daily(local_time=True))
    assert not claims.is_ahead(known(made), NOON)
    assert not claims.is_ahead(after(own, known(own, NOON - DAY), NOON), NOON)
    assert claims.is_ahead(after(made, known(made), NOON + 400 * DAY), NOON)


def test_set_back_it_fires_from_now_on():
    made = campaign(daily())
    there = after(made, known(made), NOON + 400 * DAY)
    assert fires(made, there, days(3)[0]) == []
    back = claims.set_back(made, there, days(2)[0])
    assert decide(made, back, days(2)[0]) is None
    assert fires(made, back, days(3)[0]) == [(days(3)[0], "")]


def test_set_back_it_does_not_begin_what_is_under_way_in_the_east():
    made = campaign(daily(local_time=True))
    nine, instant = begun_tomorrow()
    assert claims.set_back(made, known(made, NOON + 400 * DAY), instant).cursor == nine


def test_set_back_its_windows_go_on_from_now():
    made = campaign(polls())
    there = after(made, known(made), NOON + 400 * DAY)
    back = claims.set_back(made, there, NOON)
    assert windows(made, back, NOON + 5 * MINUTE) == [(0, 4, "")]


# Whatever happens


def triggers() -> st.SearchStrategy[Any]:
    common = {
        "missed": st.sampled_from(["latest", "all", "skip"]),
        "grace": st.sampled_from([timedelta(seconds=1), HOUR, DAY]),
    }
    crons = st.sampled_from(["*/7 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * mon", "15 1,2,3 * * *"])
    zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
    instants = st.integers(-3000, 30000).map(lambda minutes: NOON + minutes * MINUTE)
    return st.one_of(
        st.builds(
            daily, crons, timezone=zones, local_time=st.booleans(), overlap=st.sampled_from(["queue", "skip"]), **common
        ),
        st.builds(at, instants, timezone=zones, local_time=st.booleans(), **common),
        st.builds(polls, st.sampled_from([MINUTE, 7 * MINUTE, DAY]), st.sampled_from([MINUTE, HOUR]), **common),
        st.builds(now, **common),
    )


def steps() -> st.SearchStrategy[list[tuple[str, Any]]]:
    return st.lists(
        st.one_of(
            st.tuples(st.just("pass"), st.integers(0, 4000).map(lambda minutes: minutes * MINUTE)),
            st.tuples(st.just("pass"), st.integers(-3000, -1).map(lambda minutes: minutes * MINUTE)),
            st.tuples(st.just("edit"), triggers()),
            st.tuples(st.just("status"), st.sampled_from(["live", "draft", "paused"])),
            st.tuples(st.just("hold"), st.sampled_from(["paused", "skip_next"])),
        ),
        max_size=20,
    )


@settings(max_examples=150, deadline=None)
@given(first=triggers(), steps=steps(), fresh=st.booleans())
def test_whatever_happens_nothing_fires_twice_and_nothing_goes_back(first, steps, fresh):
    instant, made = NOON, campaign(first)
    row = adopt(made, Mode.live, instant, fresh=fresh, vanished={})
    fired: list[Fire] = []
    for kind, change in [("pass", timedelta(0)), *steps]:
        match kind:
            case "pass":
                instant += change
            case "edit":
                made = made.model_copy(update={"trigger": change})
            case "status":
                made = made.model_copy(update={"status": CampaignStatus(change)})
            case "hold":
                row = replace(row, **{change: not getattr(row, change)})
        decision = decide(made, row, instant)
        if decision is None:
            continue
        _must_be_sound(row, decision, made, instant)
        row, fired = decision.schedule_after, [*fired, *decision.fires]
        assert decide(made, row, instant) is None, "a decision leaves nothing to decide"
        begins = claims.next_begin(made, row)
        assert begins is None or begins > instant, "and nothing to look at before its time"
    times = [fire.fire_time for fire in fired]
    assert len(times) == len(set(times)) or isinstance(first, Event) or any(kind == "edit" for kind, _ in steps)
    queued = [fire.fire_time for fire in fired if fire.state is RunState.queued]
    assert len(queued) == len(set(queued))
    _must_be_contiguous(fired)


def _must_be_sound(before: Schedule, decision: Any, made: Campaign, instant: datetime) -> None:
    after = decision.schedule_after
    assert after.cursor >= before.cursor
    assert after.watermark is None or before.watermark is None or after.watermark >= before.watermark
    assert (after.fired, after.version) == (after.fired or before.fired, before.version)
    assert not decision.fires or made.status is CampaignStatus.live
    for fire in decision.fires:
        assert fire.fire_time <= instant + 26 * HOUR
        assert bool(fire.reason) == (fire.state is RunState.skipped)
        if isinstance(made.trigger, Recurring):
            assert before.cursor < fire.fire_time <= after.cursor
    if before.paused:
        assert all(fire.reason for fire in decision.fires)


def _must_be_contiguous(fired: list[Fire]) -> None:
    """Windows never overlap."""
    polled = [fire for fire in fired if fire.since]
    for one, other in pairwise(polled):
        assert one.since < one.until <= other.since < other.until


@settings(max_examples=80, deadline=None)
@given(
    trigger=triggers().filter(lambda trigger: isinstance(trigger, Event)),
    passes=st.lists(st.integers(-2000, 5000).map(lambda minutes: minutes * MINUTE), min_size=1, max_size=30),
)
def test_windows_are_contiguous_whenever_one_looks(trigger, passes):
    made, instant = campaign(trigger), NOON
    row = adopt(made, Mode.live, NOON, fresh=False, vanished={})
    fired: list[Fire] = []
    for passed in passes:
        instant += passed
        if decision := decide(made, row, instant):
            row, fired = decision.schedule_after, [*fired, *decision.fires]
    edges = [edge for fire in fired for edge in (fire.since, fire.until)]
    assert edges[:1] in ([], [NOON])
    assert edges[1:-1:2] == edges[2::2]
    assert row.watermark == (edges[-1] if edges else None)


@settings(max_examples=60, deadline=None)
@given(
    trigger=triggers().filter(lambda trigger: isinstance(trigger, Recurring)),
    looks=st.lists(st.integers(1, 5000).map(lambda minutes: minutes * MINUTE), min_size=1, max_size=30),
)
def test_however_often_one_looks_every_fire_time_has_its_row(trigger, looks):
    from connect.schedule.due import fire_times

    made, instant = campaign(trigger), NOON
    row = began = adopt(made, Mode.live, NOON, fresh=False, vanished={})
    rows: list[datetime] = []
    for passed in looks:
        instant += passed
        if decision := decide(made, row, instant):
            assert sum(fire.state is RunState.skipped for fire in decision.fires) <= 500
            row, rows = decision.schedule_after, [*rows, *(fire.fire_time for fire in decision.fires)]
    every = fire_times(trigger, began.cursor, row.cursor)
    summed_up = len(every) > len(rows)
    assert rows == every or (summed_up and set(rows) < set(every))
    assert row.cursor >= max(fire_times(trigger, NOON, instant), default=NOON)
