"""What a running slice writes: durable when the call returns, shared between callers, and fenced."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from connect.errors import Disposition, OutsideError
from connect.ledger import writes as writes_module
from connect.ledger.commits import ENOUGH, Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Call, Intent, Slice, Tally
from connect.ledger.refusals import LeaseLost, Unaccounted
from connect.ledger.store import Ledger
from connect.vocabulary import Channel, Outcome, Reason, RunState

LEASE = timedelta(seconds=60)
EMAIL, SMS = Channel.email, Channel.sms
SENT = (EMAIL, "", Outcome.sent, "")
SKIPPED = (EMAIL, "", Outcome.skipped, "unsubscribed")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def intent(number: int, call: int = 0) -> Intent:
    return Intent(key(number), number, EMAIL, "smtp", call)


@pytest.fixture
def slice(ledger, a_run) -> Slice:
    return ledger.claim_slice(ledger.create_run(a_run()).id, owner=Owner.here(), lease=LEASE)


@pytest.fixture
async def commits(ledger, slice) -> AsyncIterator[Commits]:
    commits = Commits(ledger, slice)
    yield commits
    await commits.close()


@pytest.fixture
def stored(url, slice, clock) -> Callable[[], list[Intent]]:
    """The slice's intents as another process finds them, without what the ledger adds."""

    def read() -> list[Intent]:
        other = Ledger.open(url, project="acme", target="dev", clock=clock)
        found = other.intents(slice.id)
        other.close()
        return [dataclasses.replace(each, released_at=None, call_size=0) for each in found]

    return read


@pytest.fixture
def transactions(ledger) -> list[str]:
    """Grows by one for each transaction that is committed."""
    committed: list[str] = []
    event.listen(ledger._engine, "commit", lambda _: committed.append("committed"))
    return committed


async def test_a_delivery_from_release_to_tally(ledger, slice, commits, stored, clock):
    await commits.intend([intent(2, call=7), intent(1, call=7)])
    assert stored() == [intent(1, call=7), intent(2, call=7)]
    assert {each.released_at for each in ledger.intents(slice.id)} == {clock.now()}
    await commits.settle([(key(2), Outcome.failed, "mailbox_unavailable")])
    assert stored()[1] == dataclasses.replace(intent(2, 7), outcome=Outcome.failed, reason="mailbox_unavailable")
    failed = (EMAIL, "", Outcome.failed, "mailbox_unavailable")
    await commits.advance("8", {SENT: 1, failed: 1, SKIPPED: 3}, [key(1), key(2)])
    assert stored() == []
    assert ledger.slice(slice.run_id).cursor == "8"
    assert [(tally.outcome, tally.count) for tally in ledger.tallies(slice.run_id)] == [
        (Outcome.failed, 1),
        (Outcome.sent, 1),
        (Outcome.skipped, 3),
    ]


async def test_tallies_add_up(ledger, slice, commits):
    await commits.advance("1", {SENT: 2, SKIPPED: 1}, [])
    await asyncio.gather(commits.advance("2", {SENT: 3}, []), commits.advance("3", {SENT: 4}, []))
    assert ledger.tallies(slice.run_id) == [
        Tally(EMAIL, "", Outcome.sent, "", 9),
        Tally(EMAIL, "", Outcome.skipped, "unsubscribed", 1),
    ]
    assert ledger.slice(slice.run_id).cursor == "3"


async def test_concurrent_callers_share_transactions(ledger, slice, transactions):
    commits = Commits(ledger, slice, linger=0.2)
    await asyncio.gather(*(commits.intend([intent(number)]) for number in range(50)))
    assert len(transactions) == 1
    await asyncio.gather(
        *(commits.settle([(key(number), Outcome.sent, "")]) for number in range(25)),
        *(commits.withdraw([key(number)]) for number in range(25, 50)),
        commits.advance("4", {SENT: 1}, [key(50)]),
    )
    assert len(transactions) == 2
    assert len(ledger.intents(slice.id)) == 25
    await commits.close()


async def test_closing_does_not_linger_and_loses_nothing(ledger, slice, stored):
    commits = Commits(ledger, slice, linger=3600)
    writing = asyncio.create_task(commits.intend([intent(1)]))
    await asyncio.sleep(0)
    await commits.close()
    await writing
    assert stored() == [intent(1)]
    await commits.close()
    with pytest.raises(RuntimeError, match="closed"):
        await commits.intend([intent(2)])


async def test_closing_without_having_written(ledger, slice):
    await Commits(ledger, slice).close()


async def test_calls_are_written_in_order_even_in_one_transaction(ledger, slice, stored, transactions):
    commits = Commits(ledger, slice, linger=0.2)
    await asyncio.gather(
        commits.intend([intent(1)]),
        commits.withdraw([key(1)]),
        commits.intend([intent(1, call=2), intent(2)]),
        commits.settle([(key(2), Outcome.sent, "")]),
        commits.advance("1", {SENT: 1}, [key(2)]),
        commits.intend([intent(2, call=3)]),
    )
    assert len(transactions) == 1
    assert stored() == [intent(1, call=2), intent(2, call=3)]
    await commits.close()


async def test_nothing_to_write_is_fine(commits):
    await commits.intend([])
    await commits.settle([])
    await commits.withdraw([])
    await commits.advance(None, {}, [])


async def test_a_delivery_in_doubt_may_be_released_again(ledger, slice, commits, clock):
    await commits.intend([intent(1, call=1)])
    clock.pass_time(seconds=30)
    await commits.intend([intent(1, call=2)])
    again = dataclasses.replace(intent(1, call=2), released_at=clock.now(), call_size=1)
    assert ledger.intents(slice.id) == [again]


async def test_settling_the_same_again_changes_nothing(commits, stored):
    await commits.intend([intent(1)])
    await commits.settle([(key(1), Outcome.unknown, Reason.in_doubt)])
    await commits.settle([(key(1), Outcome.unknown, Reason.in_doubt)])
    assert stored() == [dataclasses.replace(intent(1), outcome=Outcome.unknown, reason="in_doubt")]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda commits: commits.intend([intent(3), intent(1)]),
        lambda commits: commits.settle([(key(1), Outcome.failed, "other")]),
        lambda commits: commits.settle([(key(2), Outcome.sent, ""), (key(9), Outcome.sent, "")]),
        lambda commits: commits.withdraw([key(2), key(1)]),
        lambda commits: commits.withdraw([key(2), key(9)]),
        lambda commits: commits.advance("4", {SENT: 1}, [key(2)]),
    ],
    ids=[
        "sent again after it was settled",
        "settled otherwise",
        "settled without release",
        "withdrawn though settled",
        "withdrawn without release",
        "backwards",
    ],
)
async def test_a_delivery_that_does_not_add_up_fails_the_run_and_writes_nothing(ledger, slice, commits, stored, wrong):
    await commits.intend([intent(1), intent(2)])
    await commits.settle([(key(1), Outcome.sent, "")])
    await commits.advance("5", {}, [])
    before = (stored(), ledger.slice(slice.run_id), ledger.tallies(slice.run_id))
    with pytest.raises(Unaccounted) as error:
        await wrong(commits)
    assert error.value.disposition is Disposition.fail
    assert (stored(), ledger.slice(slice.run_id), ledger.tallies(slice.run_id)) == before
    await commits.settle([(key(2), Outcome.sent, "")])


async def test_going_backwards_is_noticed_within_one_transaction(ledger, slice):
    commits = Commits(ledger, slice, linger=0.2)
    moves = (commits.advance("5", {SENT: 1}, []), commits.advance("4", {SENT: 1}, []))
    answers = await asyncio.gather(*moves, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unaccounted, Unaccounted]
    assert ledger.tallies(slice.run_id) == []
    await commits.close()


async def test_a_cursor_may_stay(ledger, slice, commits):
    await commits.advance(None, {SENT: 1}, [])
    assert ledger.slice(slice.run_id).cursor is None
    await commits.advance("5", {SENT: 1}, [])
    await commits.advance("5", {SENT: 1}, [])
    await commits.advance(None, {SENT: 1}, [])
    assert ledger.slice(slice.run_id).cursor == "5"
    assert ledger.tallies(slice.run_id) == [Tally(EMAIL, "", Outcome.sent, "", 4)]


@pytest.mark.parametrize(
    "write",
    [
        lambda commits: commits.intend([intent(2)]),
        lambda commits: commits.settle([(key(1), Outcome.sent, "")]),
        lambda commits: commits.withdraw([key(1)]),
        lambda commits: commits.advance("9", {SENT: 1}, [key(1)]),
        lambda commits: commits.advance(None, {}, []),
    ],
)
@pytest.mark.parametrize("how", ["taken over", "ended"])
async def test_a_worker_that_lost_its_lease_writes_nothing(ledger, slice, commits, stored, clock, write, how):
    await commits.intend([intent(1)])
    clock.pass_time(minutes=2)
    if how == "ended":
        ledger.finish(slice.run_id, RunState.cancelled)
    else:
        ledger.claim_slice(slice.run_id, owner=Owner("elsewhere", 1, "1"), lease=LEASE)
    before = (stored(), ledger.slice(slice.run_id), ledger.tallies(slice.run_id))
    with pytest.raises(LeaseLost):
        await write(commits)
    assert commits.lost
    with pytest.raises(LeaseLost):
        await commits.intend([intent(3)])
    assert (stored(), ledger.slice(slice.run_id), ledger.tallies(slice.run_id)) == before


async def test_an_expired_lease_that_nobody_took_still_writes(commits, stored, clock):
    clock.pass_time(hours=1)
    await commits.intend([intent(1)])
    assert stored() == [intent(1)]


async def test_renewing_does_not_disturb_the_writer(ledger, slice, commits, stored):
    ledger.renew(slice, LEASE)
    await commits.intend([intent(1)])
    assert stored() == [intent(1)]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_full_disk_fails_those_who_shared_the_transaction_and_nobody_else(ledger, slice, stored):
    commits = Commits(ledger, slice, linger=0.2)
    full = True
    event.listen(
        ledger._engine,
        "checkout",
        lambda driver, *_: driver.execute(f"PRAGMA max_page_count = {1 if full else 1_000_000}"),
    )
    many = [commits.intend([intent(number) for number in range(start, start + 500)]) for start in (0, 500)]
    answers = await asyncio.gather(*many, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutsideError, OutsideError]
    assert "the disk is full" in str(answers[0])
    assert stored() == []
    full = False
    await commits.intend([intent(1)])
    assert stored() == [intent(1)]
    await commits.close()


async def test_a_lock_that_is_never_let_go_says_so(impatient, ledger, slice, commits, stored, browser):
    browser.take()
    with pytest.raises(OutsideError, match="locked by another process"):
        await commits.intend([intent(1)])
    browser.let_go()
    await commits.intend([intent(2)])
    assert stored() == [intent(2)]


async def test_the_cursor_never_passes_what_could_not_be_counted(impatient, ledger, slice, commits, stored, browser):
    await commits.intend([intent(1), intent(2)])
    browser.take()
    with pytest.raises(OutsideError, match="locked by another process"):
        await commits.advance("1", {SENT: 1}, [intent(1).key])
    browser.let_go()
    with pytest.raises(OutsideError, match="locked by another process"):
        await commits.advance("2", {SENT: 1}, [intent(2).key])
    await commits.settle([(intent(2).key, Outcome.sent, "")])
    assert ledger.slice(slice.run_id).cursor is None
    assert ledger.tallies(slice.run_id) == []
    assert [(found.key, found.outcome) for found in stored()] == [
        (intent(1).key, None),
        (intent(2).key, Outcome.sent),
    ]


async def test_a_lock_is_waited_for_again(impatient, ledger, slice, commits, stored, browser):
    tries = []

    def try_again(*_) -> None:
        tries.append(1)
        if len(tries) == 2:
            browser.let_go()

    browser.take()
    event.listen(ledger._engine, "checkout", try_again)
    await commits.intend([intent(1)])
    assert len(tries) == 2
    assert stored() == [intent(1)]


async def test_the_loop_goes_on_while_the_ledger_waits(ledger, slice, commits, stored, browser):
    browser.take()
    writing = asyncio.create_task(commits.intend([intent(1)]))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    browser.let_go()
    await writing
    assert stored() == [intent(1)]


async def test_a_cancelled_caller_takes_nobody_with_it(ledger, slice, stored):
    commits = Commits(ledger, slice, linger=0.2)
    first, second = (asyncio.create_task(commits.intend([intent(number)])) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert stored() == [intent(1), intent(2)]
    await commits.close()


async def test_a_mistake_inside_the_ledger_is_raised_where_it_is_awaited(commits, stored, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(writes_module.Writes, "note", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await commits.intend([intent(1)])
    await commits.intend([intent(2)])
    assert stored() == [intent(2)]


async def test_what_is_left_over_when_a_run_ends_is_counted(ledger, slice, commits):
    await commits.intend([intent(number) for number in range(5)])
    await commits.settle([(key(0), Outcome.sent, ""), (key(1), Outcome.failed, "other"), (key(2), Outcome.sent, "")])
    await commits.advance("1", {SENT: 1}, [key(0)])
    await commits.close()
    ledger.finish(slice.run_id, RunState.cancelled, slice=slice)
    assert {(tally.outcome, tally.reason): tally.count for tally in ledger.tallies(slice.run_id)} == {
        (Outcome.sent, ""): 2,
        (Outcome.failed, "other"): 1,
        (Outcome.unknown, "in_doubt"): 2,
    }


async def test_other_runs_keep_their_intents(ledger, slice, commits, a_run, stored):
    other = ledger.create_run(a_run(campaign="welcome"))
    theirs = Commits(ledger, ledger.claim_slice(other.id, owner=Owner.here(), lease=LEASE))
    await commits.intend([intent(1)])
    await theirs.intend([intent(1)])
    await theirs.close()
    ledger.finish(other.id, RunState.completed)
    assert stored() == [intent(1)]


async def test_what_became_of_a_call_is_one_write(ledger, slice, commits, stored, transactions):
    await commits.intend([intent(number, call=4) for number in range(6)])
    before = len(transactions)
    await commits.settle([(key(0), Outcome.sent, ""), (key(1), Outcome.failed, "other")], withdrawn=[key(2)])
    await commits.advance("1", {SENT: 1}, [key(0)], settled=[(key(3), Outcome.sent, "")], withdrawn=[key(4)])
    assert len(transactions) == before + 2
    assert {int.from_bytes(each.key, "big"): each.outcome for each in stored()} == {
        1: Outcome.failed,
        3: Outcome.sent,
        5: None,
    }


async def test_a_call_of_which_one_part_does_not_add_up_is_not_written_at_all(commits, stored):
    await commits.intend([intent(1), intent(2)])
    with pytest.raises(Unaccounted):
        await commits.settle([(key(1), Outcome.sent, "")], withdrawn=[key(2), key(9)])
    with pytest.raises(Unaccounted):
        await commits.advance("1", {SENT: 1}, [key(1)], settled=[(key(2), Outcome.sent, "")], withdrawn=[key(2)])
    assert stored() == [intent(1), intent(2)]


def whole(ledger: Ledger, slice: Slice) -> dict[int, bool]:
    """Which of the calls that are found could be repeated exactly."""
    calls: dict[int, list[Intent]] = {}
    for each in ledger.intents(slice.id):
        calls.setdefault(each.call, []).append(each)
    return {
        call: all(each.outcome is None and each.call_size == len(members) for each in members)
        for call, members in calls.items()
    }


async def test_a_call_is_whole_until_something_became_of_one_of_its_members(ledger, slice, commits):
    for call in range(6):
        await commits.intend([intent(250 * call + number, call) for number in range(250)])
    await commits.withdraw([key(250 + 7)])
    await commits.settle([(key(500 + 249), Outcome.sent, "")])
    await commits.advance("1", {SENT: 1}, [key(750)])
    await commits.intend([intent(1000, call=6)])
    assert whole(ledger, slice) == {0: True, 1: False, 2: False, 3: False, 4: False, 5: True, 6: True}
    assert {each.call_size for each in ledger.intents(slice.id) if each.call < 6} == {250}


async def test_a_whole_call_may_be_released_again_under_its_number(ledger, slice, commits):
    members = [intent(number, call=3) for number in range(120)]
    await commits.intend(members)
    await commits.intend(members)
    assert whole(ledger, slice) == {3: True}


async def test_calls_as_columns_are_the_same_as_intents(ledger, slice, commits, stored):
    keys = [key(number) for number in range(5)]
    await commits.release([Call(7, EMAIL, "smtp", keys[:3], range(3)), Call(8, EMAIL, "smtp", keys[3:], range(3, 5))])
    assert stored() == [*(intent(number, 7) for number in range(3)), *(intent(number, 8) for number in range(3, 5))]
    assert [each.call_size for each in ledger.intents(slice.id)] == [3, 3, 3, 2, 2]
    with pytest.raises(Unaccounted, match="twice in one call"):
        await commits.release([Call(9, EMAIL, "smtp", [key(9), key(9)], [9, 10])])


async def test_accounts_and_channels_keep_apart(ledger, slice, commits):
    mixed = [
        Intent(key(number), number, (EMAIL, SMS)[number % 2], "ab"[number // 2 % 2], number) for number in range(8)
    ]
    await commits.intend(mixed)
    found = [dataclasses.replace(each, released_at=None, call_size=0) for each in ledger.intents(slice.id)]
    assert found == mixed


async def test_a_key_of_another_size_is_refused(commits):
    with pytest.raises(ValueError, match="16 bytes"):
        await commits.intend([Intent(b"short", 1, EMAIL, "smtp", 0)])


async def test_more_outcomes_than_a_byte_can_tell(ledger, slice, commits, stored):
    """They do not meet in one row: it has fewer members."""
    await commits.intend([intent(number) for number in range(400)])
    await commits.settle([(key(number), Outcome.failed, f"reason {number}") for number in range(400)])
    assert [each.reason for each in stored()] == [f"reason {number}" for number in range(400)]


async def test_a_lone_caller_and_a_full_group_do_not_linger(ledger, slice):
    commits = Commits(ledger, slice, linger=3600)
    for number in range(3):
        await commits.intend([intent(number)])
    await asyncio.gather(*(commits.intend([intent(100 + number)]) for number in range(ENOUGH)))
    await commits.close()
    assert len(ledger.intents(slice.id)) == 3 + ENOUGH
