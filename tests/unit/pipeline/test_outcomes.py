"""Rows settle in any order; the cursor passes them in theirs, and what they came to is counted once."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.ledger.records import Intent
from connect.pipeline import outcomes as module
from connect.pipeline.deliveries import Ended
from connect.pipeline.outcomes import Outcomes
from connect.vocabulary import Channel, Outcome, Reason

EMAIL, SMS = Channel.email, Channel.sms
SENT = Ended(Outcome.sent, "")
SKIPPED = Ended(Outcome.skipped, Reason.unsubscribed)


def place(number: int) -> str:
    return f"{number:032x}"


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Writes:
    """Takes what would go to the ledger."""

    def __init__(self) -> None:
        self.cursor = ""
        self.counted: dict[object, int] = {}
        self.forgotten: list[bytes] = []
        self.ahead: list[bytes] = []
        self.calls = 0

    async def advance(self, cursor, tallies, passed, *, settled=()):
        assert cursor is None or cursor >= self.cursor
        self.calls += 1
        self.cursor = cursor or self.cursor
        for tally, count in tallies.items():
            self.counted[tally] = self.counted.get(tally, 0) + count
        self.forgotten += passed
        self.ahead += [one for one, _, _ in settled]
        await asyncio.sleep(0)


@pytest.fixture
def writes():
    return Writes()


@pytest.fixture
def outcomes(writes):
    return Outcomes(writes)


async def test_rows_that_ended_at_once_pass_with_the_next_flush(outcomes, writes):
    outcomes.add(place(1), [(EMAIL, SKIPPED)], 0)
    outcomes.add(place(2), [(EMAIL, SKIPPED), (SMS, SKIPPED)], 0)
    assert writes.calls == 0
    await outcomes.flush()
    assert writes.cursor == place(2) == outcomes.position
    assert writes.counted == {
        (EMAIL, "", Outcome.skipped, "unsubscribed"): 2,
        (SMS, "", Outcome.skipped, "unsubscribed"): 1,
    }


async def test_a_million_rows_that_end_at_once_take_one_entry(outcomes):
    for number in range(10_000):
        outcomes.add(place(number), [(EMAIL, SKIPPED)], 0)
    assert len(outcomes._rows) == 1


async def test_the_cursor_waits_for_every_delivery_of_a_row(outcomes, writes):
    row = outcomes.add(place(1), [], 2)
    await outcomes.settle([(row, EMAIL, key(1), SENT)])
    assert (writes.cursor, writes.ahead, writes.forgotten) == ("", [key(1)], [])
    await outcomes.settle([(row, SMS, key(2), SENT)])
    assert (writes.cursor, writes.ahead, writes.forgotten) == (place(1), [key(1)], [key(1), key(2)])


async def test_what_settles_behind_a_pending_row_is_written_ahead_and_passed_with_it(outcomes, writes):
    first, second = outcomes.add(place(1), [], 1), outcomes.add(place(2), [], 1)
    outcomes.add(place(3), [(EMAIL, SKIPPED)], 0)
    await outcomes.settle([(second, EMAIL, key(2), SENT)])
    await outcomes.flush()
    assert (writes.cursor, writes.counted, writes.ahead) == ("", {}, [key(2)])
    await outcomes.settle([(first, EMAIL, key(1), SENT)])
    assert (writes.cursor, writes.forgotten) == (place(3), [key(1), key(2)])
    assert sum(writes.counted.values()) == 3


async def test_flushing_nothing_writes_nothing(outcomes, writes):
    await outcomes.flush()
    outcomes.add(place(1), [], 1)
    await outcomes.flush()
    assert writes.calls == 0


async def test_keys_from_before_a_crash_are_forgotten_as_their_row_is_passed(outcomes, writes):
    outcomes.add(place(1), [(EMAIL, Ended(Outcome.unknown, Reason.in_doubt))], 0, [key(7)])
    outcomes.add(place(2), [(EMAIL, SENT)], 0, [key(8)])
    await outcomes.flush()
    assert writes.forgotten == [key(7), key(8)]


async def test_reading_waits_while_too_many_are_ahead_of_the_cursor_settled_or_not(outcomes, monkeypatch):
    monkeypatch.setattr(module, "FARTHEST_AHEAD", 3)
    rows = [outcomes.add(place(number), [], 1) for number in range(3)]
    waiting = asyncio.ensure_future(outcomes.room())
    await outcomes.settle([(rows[1], EMAIL, key(1), SENT), (rows[2], EMAIL, key(2), SENT)])
    assert not waiting.done()
    await outcomes.settle([(rows[0], EMAIL, key(0), SENT)])
    await waiting
    assert outcomes.ahead == 0


async def test_nobody_waits_for_room_once_nothing_is_settled_any_more(outcomes, monkeypatch):
    monkeypatch.setattr(module, "FARTHEST_AHEAD", 1)
    outcomes.add(place(1), [], 1)
    waiting = asyncio.ensure_future(outcomes.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outcomes.give_up()
    await waiting
    await outcomes.room()


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12),
    shuffle=st.randoms(use_true_random=False),
    sizes=st.lists(st.integers(1, 4), min_size=30, max_size=30),
)
@settings(max_examples=80, deadline=None)
def test_in_any_order_everything_is_counted_once_and_nothing_unsettled_is_passed(rows, shuffle, sizes):
    async def work():
        writes = Writes()
        outcomes = Outcomes(writes)
        open_rows, numbers = [], itertools.count(1)
        for number, (ended, pending) in enumerate(rows):
            row = outcomes.add(place(number), [(EMAIL, SKIPPED)] * ended, pending)
            open_rows += [(number, row, SMS, key(next(numbers)), SENT) for _ in range(pending)]
        shuffle.shuffle(open_rows)
        left = list(open_rows)
        calls = []
        for size in sizes:
            batch, left = left[:size], left[size:]
            if batch:
                calls.append(asyncio.ensure_future(outcomes.settle([item[1:] for item in batch])))
                await asyncio.sleep(0)
                waiting = min((number for number, *_ in left), default=len(rows))
                assert writes.cursor == "" or int(writes.cursor, 16) < waiting
        await asyncio.gather(*calls, outcomes.flush())
        assert not left
        assert writes.cursor == place(len(rows) - 1)
        assert sorted(writes.forgotten) == sorted(item[3] for item in open_rows)
        assert len(writes.ahead) == len(set(writes.ahead))
        assert sum(writes.counted.values()) == sum(ended + pending for ended, pending in rows)
        assert writes.counted == dict(outcomes.totals)
        assert outcomes.ahead == 0

    asyncio.run(work())


async def test_on_a_real_ledger_outcomes_that_wait_survive_and_those_passed_are_gone(bench):
    outcomes = bench.outcomes
    first, second = outcomes.add(place(1), [], 1), outcomes.add(place(2), [], 1)
    await bench.commits.intend([Intent(key(n), n, EMAIL, "mail", n) for n in (1, 2)])
    await outcomes.settle([(second, EMAIL, key(2), SENT)])
    assert bench.near() == {1: None, 2: "sent"}
    await outcomes.settle([(first, EMAIL, key(1), Ended(Outcome.failed, "full"))])
    assert (bench.near(), bench.cursor()) == ({}, 2)
    assert bench.counted() == {"failed: full": 1, "sent": 1}
