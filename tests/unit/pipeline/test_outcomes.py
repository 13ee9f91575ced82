"""Rows settle in any order; the cursor passes them in theirs, and what they came to is counted once."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.ledger.records import Intent
from connect.pipeline import outcomes as module
from connect.pipeline.books import Composed, Settlement
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
        self.withdrawn: list[bytes] = []
        self.calls = 0

    async def advance(self, cursor, tallies, passed, *, settled=(), withdrawn=(), released=(), further=False):
        assert cursor is None or cursor >= self.cursor
        self.calls += 1
        self.cursor = cursor or self.cursor
        for tally, count in tallies.items():
            self.counted[tally] = self.counted.get(tally, 0) + count
        self.forgotten += passed
        self.ahead += [one for one, _, _ in settled]
        self.withdrawn += withdrawn
        await asyncio.sleep(0)


@pytest.fixture
def writes():
    return Writes()


@pytest.fixture
def outcomes(writes):
    return Outcomes(writes)


def add(outcomes, number, ended, pending, known=None):
    """Batch `number`: one row, with these ended deliveries and so many on their way."""
    outcomes.begin(number, [place(number)])
    outcomes.composed(Composed(number, 0, [pending], [(0, channel, end, 1, known, "", "") for channel, end in ended]))
    return number


def settled(number, channel, message_key, end, row=0):
    return Settlement(number, row, channel, message_key, end.outcome, end.reason)


async def test_rows_that_ended_at_once_pass_with_the_next_flush(outcomes, writes):
    add(outcomes, 1, [(EMAIL, SKIPPED)], 0)
    add(outcomes, 2, [(EMAIL, SKIPPED), (SMS, SKIPPED)], 0)
    assert writes.calls == 0
    await outcomes.flush()
    assert writes.cursor == place(2) == outcomes.position
    assert writes.counted == {
        (EMAIL, "", Outcome.skipped, "unsubscribed"): 2,
        (SMS, "", Outcome.skipped, "unsubscribed"): 1,
    }


async def test_the_cursor_waits_for_every_delivery_of_a_row(outcomes, writes):
    row = add(outcomes, 1, [], 2)
    await outcomes.write([settled(row, EMAIL, key(1), SENT)])
    assert (writes.cursor, writes.ahead, writes.forgotten) == ("", [key(1)], [])
    await outcomes.write([settled(row, SMS, key(2), SENT)])
    assert (writes.cursor, writes.ahead, writes.forgotten) == (place(1), [key(1)], [key(1), key(2)])


async def test_what_settles_behind_a_pending_row_is_written_ahead_and_passed_with_it(outcomes, writes):
    first, second = add(outcomes, 1, [], 1), add(outcomes, 2, [], 1)
    add(outcomes, 3, [(EMAIL, SKIPPED)], 0)
    await outcomes.write([settled(second, EMAIL, key(2), SENT)])
    await outcomes.flush()
    assert (writes.cursor, writes.counted, writes.ahead) == ("", {}, [key(2)])
    await outcomes.write([settled(first, EMAIL, key(1), SENT)])
    assert (writes.cursor, writes.forgotten) == (place(3), [key(1), key(2)])
    assert sum(writes.counted.values()) == 3


async def test_the_cursor_does_not_pass_rows_that_are_not_composed_yet(outcomes, writes):
    outcomes.begin(1, [place(number) for number in range(1, 5)])
    outcomes.composed(Composed(1, 0, [0, 1], [(0, EMAIL, SKIPPED, 1, None, "", "")]))
    await outcomes.write([settled(1, EMAIL, key(2), SENT, row=1)])
    assert writes.cursor == place(2)
    outcomes.composed(
        Composed(1, 2, [0, 0], [(2, EMAIL, SKIPPED, 1, None, "", ""), (3, EMAIL, SKIPPED, 5, None, "", "")])
    )
    await outcomes.flush()
    assert writes.cursor == place(4)
    assert writes.counted[(EMAIL, "", Outcome.skipped, "unsubscribed")] == 7


async def test_a_later_batch_waits_for_the_one_before_it(outcomes, writes):
    outcomes.begin(1, [place(1)])
    add(outcomes, 2, [(EMAIL, SKIPPED)], 0)
    await outcomes.flush()
    assert writes.calls == 0
    outcomes.composed(Composed(1, 0, [0], [(0, EMAIL, SKIPPED, 1, None, "", "")]))
    await outcomes.flush()
    assert writes.cursor == place(2)


async def test_what_of_a_call_ended_and_what_was_not_taken_is_one_write(outcomes, writes):
    row = add(outcomes, 1, [], 2)
    await outcomes.write([settled(row, EMAIL, key(1), SENT)], [key(2)])
    assert (writes.calls, writes.ahead, writes.withdrawn) == (1, [key(1)], [key(2)])


async def test_flushing_nothing_writes_nothing(outcomes, writes):
    await outcomes.flush()
    add(outcomes, 1, [], 1)
    await outcomes.flush()
    assert writes.calls == 0


async def test_keys_from_before_a_crash_are_forgotten_as_their_row_is_passed(outcomes, writes):
    add(outcomes, 1, [(EMAIL, Ended(Outcome.unknown, Reason.in_doubt))], 0, key(7))
    add(outcomes, 2, [(EMAIL, SENT)], 0, key(8))
    await outcomes.flush()
    assert writes.forgotten == [key(7), key(8)]


async def test_those_who_left_are_counted_behind_everybody(outcomes, writes):
    add(outcomes, 1, [(EMAIL, SKIPPED)], 0)
    intents = [Intent(key(n), n, EMAIL, "mail", n) for n in (5, 6)]
    outcomes.gone("g", [(intents[0], SENT), (intents[1], Ended(Outcome.unknown, Reason.gone))])
    await outcomes.flush()
    assert (writes.cursor, writes.forgotten) == ("g", [key(5), key(6)])
    assert sum(writes.counted.values()) == 3


async def test_reading_waits_while_too_many_are_ahead_of_the_cursor_settled_or_not(outcomes, monkeypatch):
    monkeypatch.setattr(module, "FARTHEST_AHEAD", 3)
    rows = [add(outcomes, number, [], 1) for number in range(3)]
    waiting = asyncio.ensure_future(outcomes.room())
    await outcomes.write([settled(rows[1], EMAIL, key(1), SENT), settled(rows[2], EMAIL, key(2), SENT)])
    assert not waiting.done()
    await outcomes.write([settled(rows[0], EMAIL, key(0), SENT)])
    await waiting
    assert outcomes.ahead == 0


async def test_nobody_waits_for_room_once_nothing_is_settled_any_more(outcomes, monkeypatch):
    monkeypatch.setattr(module, "FARTHEST_AHEAD", 1)
    add(outcomes, 1, [], 1)
    waiting = asyncio.ensure_future(outcomes.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outcomes.give_up()
    await waiting
    await outcomes.room()


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12),
    widths=st.lists(st.integers(1, 4), min_size=12, max_size=12),
    shuffle=st.randoms(use_true_random=False),
    sizes=st.lists(st.integers(1, 4), min_size=30, max_size=30),
)
@settings(max_examples=80, deadline=None)
def test_in_any_order_everything_is_counted_once_and_nothing_unsettled_is_passed(rows, widths, shuffle, sizes):
    async def work():
        writes = Writes()
        outcomes = Outcomes(writes)
        waiting, numbers, start = [], itertools.count(1), 0
        for batch, width in enumerate(widths):
            these = rows[start : start + width]
            outcomes.begin(batch, [place(start + row) for row in range(len(these))])
            ended = [
                (row, EMAIL, SKIPPED, 1, None, "", "") for row, (times, _) in enumerate(these) for _ in range(times)
            ]
            outcomes.composed(Composed(batch, 0, [pending for _, pending in these], ended))
            for row, (_, pending) in enumerate(these):
                waiting += [(start + row, settled(batch, SMS, key(next(numbers)), SENT, row)) for _ in range(pending)]
            start += len(these)
        shuffle.shuffle(waiting)
        left = list(waiting)
        calls = []
        for size in sizes:
            some, left = left[:size], left[size:]
            if some:
                calls.append(asyncio.ensure_future(outcomes.write([end for _, end in some])))
                await asyncio.sleep(0)
                unsettled = min((number for number, _ in left), default=len(rows))
                assert writes.cursor == "" or int(writes.cursor, 16) < unsettled
        await asyncio.gather(*calls, outcomes.flush())
        assert not left
        assert writes.cursor == place(len(rows) - 1)
        assert sorted(writes.forgotten) == sorted(end.key for _, end in waiting)
        assert len(writes.ahead) == len(set(writes.ahead))
        assert sum(writes.counted.values()) == sum(ended + pending for ended, pending in rows)
        assert writes.counted == dict(outcomes.totals)
        assert outcomes.ahead == 0

    asyncio.run(work())


async def test_on_a_real_ledger_outcomes_that_wait_survive_and_those_passed_are_gone(bench):
    outcomes = bench.outcomes
    first, second = add(outcomes, 1, [], 1), add(outcomes, 2, [], 1)
    await bench.commits.intend([Intent(key(n), n, EMAIL, "mail", n) for n in (1, 2)])
    await outcomes.write([settled(second, EMAIL, key(2), SENT)])
    assert bench.near() == {1: None, 2: "sent"}
    await outcomes.write([settled(first, EMAIL, key(1), Ended(Outcome.failed, "full"))])
    assert (bench.near(), bench.cursor()) == ({}, 2)
    assert bench.counted() == {"failed: full": 1, "sent": 1}
