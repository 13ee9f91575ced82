"""Slots: dated permissions to send, so that no rate is ever exceeded, whoever asks."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import event, func, select

from connect.ledger.records import Bucket, Slots
from connect.ledger.tables import BUCKETS
from connect.testing.ledgers import NOON

SECOND = timedelta(seconds=1)
SES = Bucket("account/ses", SECOND / 10)
WEEKLY = Bucket("campaign/live/weekly", SECOND / 4)


def dates(slots: Slots) -> list:
    return [slots.first + number * slots.spacing for number in range(slots.count)]


def test_a_bucket_that_nobody_has_used_is_free_at_once(ledger):
    assert ledger.take_slots([SES], 5) == Slots(now=NOON, first=NOON, spacing=SES.spacing, count=5)


def test_slots_follow_each_other_whoever_takes_them(ledger, rig):
    other = rig.open()
    taken = [date for who in (ledger, other, ledger) for date in dates(who.take_slots([SES], 3))]
    assert taken == [NOON + number * SES.spacing for number in range(9)]
    other.close()


def test_time_that_nobody_used_is_not_made_up_for(ledger, clock):
    ledger.take_slots([SES], 1)
    clock.pass_time(minutes=5)
    assert ledger.take_slots([SES], 2).first == clock.now()


def test_several_buckets_give_what_all_of_them_have_room_for(ledger):
    ledger.take_slots([WEEKLY], 4)
    slots = ledger.take_slots([SES, WEEKLY], 2)
    assert (slots.first, slots.spacing) == (NOON + SECOND, WEEKLY.spacing)
    # Each goes on from the last slot by its own spacing: the account is free sooner than the campaign.
    last = slots.first + WEEKLY.spacing
    assert ledger.take_slots([SES], 1).first == last + SES.spacing
    assert ledger.take_slots([WEEKLY], 1).first == last + WEEKLY.spacing


def test_a_rate_that_was_edited_holds_from_the_next_slot(ledger):
    ledger.take_slots([SES], 10)
    slower = ledger.take_slots([Bucket(SES.name, SECOND)], 2)
    assert (slower.first, slower.spacing) == (NOON + SECOND, SECOND)
    assert ledger.take_slots([SES], 1).first == NOON + 3 * SECOND


def test_nothing_is_rounded(ledger):
    """Three a second, as whoever knows the rate rounds it: up."""
    third = Bucket("account/third", timedelta(microseconds=333_334))
    taken = [date for _ in range(100) for date in dates(ledger.take_slots([third], 3))]
    assert {after - before for before, after in pairwise(taken)} == {third.spacing}


def test_a_clock_that_goes_back_an_hour_stops_nobody(ledger, clock):
    ledger.take_slots([SES], 10)
    clock.pass_time(hours=-1)
    # Those ten may be waiting still, by clocks that do not jump: the next is a second ahead, as it was before.
    assert ledger.take_slots([SES], 10).first == clock.now() + SECOND
    clock.pass_time(seconds=1)
    assert ledger.take_slots([SES], 1).first == clock.now() + SECOND
    clock.pass_time(hours=1)
    assert ledger.take_slots([SES], 1).first == clock.now()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_no_second_has_more_than_the_rate_whatever_is_asked(ledger, clock):
    """A thousand random requests of both buckets: GCRA's promise, counted independently."""
    dice, taken = random.Random(5), {SES.name: [], WEEKLY.name: []}
    for _ in range(300):
        buckets = dice.choice([[SES], [WEEKLY], [SES, WEEKLY], [WEEKLY, SES]])
        given = dates(ledger.take_slots(buckets, dice.randint(1, 7)))
        assert given[0] >= clock.now()
        for bucket in buckets:
            taken[bucket.name] += given
        clock.pass_time(microseconds=dice.choice([0, 1, 99_999, 400_000, 5_000_000]))
    for name, most in ((SES.name, 10), (WEEKLY.name, 4)):
        found = taken[name]
        assert found == sorted(found)
        assert all(later - earlier >= SECOND for earlier, later in zip(found, found[most:], strict=False))


@pytest.mark.parametrize(("buckets", "count"), [([], 1), ([SES], 0), ([SES], -1)])
def test_what_makes_no_sense_is_refused(ledger, buckets, count):
    with pytest.raises(ValueError, match="slots are taken"):
        ledger.take_slots(buckets, count)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_it_takes_two_statements(ledger):
    ledger.take_slots([SES, WEEKLY], 1)
    said = []
    event.listen(ledger._engine, "before_cursor_execute", lambda *told: said.append(told[2].split()[0]))
    ledger.take_slots([SES, WEEKLY], 5)
    assert said == ["SELECT", "UPDATE"]


def test_buckets_that_have_long_been_free_are_forgotten(ledger, clock):
    ledger.take_slots([Bucket("campaign/live/slow", timedelta(days=3))], 1)
    ledger.take_slots([SES], 1)
    clock.pass_time(days=2)
    ledger.take_slots([WEEKLY], 1)
    ledger.prune(timedelta(days=90))
    with ledger.read() as connection:
        assert set(connection.execute(select(BUCKETS.c.name)).scalars()) == {"campaign/live/slow", WEEKLY.name}
        assert connection.execute(select(func.count()).select_from(BUCKETS)).scalar_one() == 2
