"""The cursor passes nobody who is not in the warehouse, and the warehouse is told nothing that the ledger lacks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connect.clock import SystemClock
from connect.errors import Disposition, OutsideError, RunTrouble, UserError
from connect.pipeline import writeback as module
from connect.pipeline.audience import History, Rows
from connect.pipeline.books import Composed, Settlement
from connect.pipeline.deliveries import Ended, RunFacts
from connect.pipeline.outcomes import Outcomes
from connect.pipeline.writeback import Diary, Writeback
from connect.testing.warehouse_rigs import warehouse_rig
from connect.vocabulary import Channel, Mode, Outcome, Personal, Reason
from connect.warehouses.destination import deliveries_table
from connect.warehouses.interface import Query

EMAIL = Channel.email
UNSUBSCRIBED = Ended(Outcome.skipped, Reason.unsubscribed)
DUPLICATE = Ended(Outcome.skipped, Reason.duplicate)
FACTS = RunFacts("run-1", "news", "default", Mode.live, datetime(2026, 3, 1, tzinfo=UTC), b"s" * 32)
T = timedelta(seconds=30)


class Warehouse:
    """A DuckDB file that may be out for a while."""

    def __init__(self, rig):
        self._real = rig.warehouse
        self.capabilities = self._real.capabilities
        self.outages = []
        self._real.write([Query(sql, {}) for sql in self._real.dialect.create_table(deliveries_table("d"))], T)

    def add(self, table, rows, timeout):
        if self.outages:
            raise self.outages.pop(0)
        self._real.add(table, rows, timeout)

    def rows(self, columns="*"):
        return self._real.rows(Query(f"select {columns} from d order by id, outcome, reason", {}), T)


class Commits:
    """A ledger that may be slow, or away."""

    def __init__(self):
        self.cursor, self.durable, self.slow = "", asyncio.Event(), False
        self.further, self.moved = [], asyncio.Event()
        self.away = False

    async def advance(self, cursor, tallies, passed, *, settled=(), withdrawn=(), released=(), further=False):
        if self.slow:
            await self.durable.wait()
        if self.away:
            raise OutsideError.of("ledger-unavailable", "it is away")
        self.further.append(further)
        if cursor:
            self.moved.set()
        self.cursor = cursor or self.cursor


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)


@pytest.fixture
def warehouse(tmp_path):
    with warehouse_rig("duckdb", tmp_path) as rig:
        yield Warehouse(rig)


@pytest.fixture
def told():
    return []


@pytest.fixture
def writeback(warehouse, told):
    return written_by(warehouse, told, {Personal.id, Personal.address})


def written_by(warehouse, told, include):
    diary = Diary.of(warehouse, "shop", "d", FACTS, "deals", include)
    writeback = Writeback(diary, SystemClock(), told.append)
    writeback.patience = 0.0
    return writeback


@pytest.fixture
def commits():
    return Commits()


@pytest.fixture
def outcomes(commits, writeback):
    return Outcomes(commits, writeback=writeback)


def begin(outcomes, count=2, ended=(), number=0):
    positions = [f"{number:02}{row:02}" for row in range(count)]
    people = [f"p{number}{row}" for row in range(count)]
    keys = [f"3:{one}" for one in people]
    rows = Rows(positions, keys, [0] * count, None, {}, 0.0, History(people, [None] * count, [0] * count))
    outcomes.begin(number, positions, rows)
    pending = [int(all(row != one[0] for one in ended)) for row in range(count)]
    outcomes.composed(Composed(number, 0, pending, list(ended)))


def sent(row, number=0):
    address = f"p{number}{row}@mail.example"
    return Settlement(number, row, EMAIL, bytes([number, row]) * 8, Outcome.sent, "", "mail", address)


async def test_a_row_says_who_what_and_by_whom_it_was_sent(outcomes, warehouse):
    begin(outcomes, 1)
    await outcomes.write([sent(0)])
    await outcomes.written()
    (row,) = warehouse.rows()
    assert row.pop("written_at")
    assert row == {
        "run": "run-1",
        "message_key": "0000" * 8,
        "target": "default",
        "campaign": "news",
        "topic": "deals",
        "fire_time": FACTS.fire_time,
        "id": "p00",
        "audience_key": "3:p00",
        "once_key": None,
        "channel": "email",
        "address": "p00@mail.example",
        "provider": "mail",
        "outcome": "sent",
        "reason": None,
        "arm": None,
        "deliveries": 1,
    }


@pytest.mark.parametrize("include", [set(), {Personal.id}, {Personal.address}])
async def test_only_what_is_included_is_written_about_people(warehouse, told, commits, include):
    outcomes = Outcomes(commits, writeback=written_by(warehouse, told, include))
    begin(outcomes, 1)
    await outcomes.write([sent(0)])
    await outcomes.written()
    (row,) = warehouse.rows("id, audience_key, address")
    told_of = {name for name, value in row.items() if value}
    expected = {Personal.id: {"id", "audience_key"}, Personal.address: {"address"}}
    assert told_of == {name for one in include for name in expected[one]}


async def test_the_cursor_waits_for_the_warehouse(outcomes, commits, warehouse, told):
    warehouse.outages = [OutsideError.of("warehouse-locked", "it is locked"), OutsideError.of("warehouse-lost", "gone")]
    begin(outcomes)
    await outcomes.write([sent(0), sent(1)])
    assert commits.cursor == ""
    await outcomes.written()
    assert commits.cursor == "0001"
    assert len(warehouse.rows()) == 2
    assert told == ["waiting: destination `shop`: it is locked", ""]


async def test_what_it_waits_for_is_told_while_it_waits(warehouse, commits, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_WAIT", 3600.0)
    warehouse.outages = [OutsideError.of("warehouse-locked", "it is locked")] * 2
    waits = asyncio.Event()
    writeback = Writeback(Diary.of(warehouse, "shop", "d", FACTS, None, ()), SystemClock(), lambda words: waits.set())
    outcomes = Outcomes(commits, writeback=writeback)
    begin(outcomes)
    await outcomes.write([sent(0)])
    await waits.wait()
    await asyncio.sleep(0)
    assert writeback.waiting == "destination `shop`: it is locked (1 deliveries to write)"
    writeback.give_up()
    with pytest.raises(OutsideError):
        await outcomes.written()
    assert warehouse.rows() == []


async def test_a_refusal_pauses_the_run_and_tells_whoever_sends(outcomes, commits, warehouse):
    halted = []
    outcomes.halt = halted.append
    warehouse.outages = [UserError.of("sql-error", "there is no table d", "make it")]
    begin(outcomes)
    await outcomes.write([sent(0)])
    with pytest.raises(RunTrouble) as raised:
        await outcomes.written()
    assert halted == [raised.value]
    assert raised.value.disposition is Disposition.pause
    assert raised.value.problems[0].code == "sql-error"
    assert commits.cursor == ""


async def test_a_table_that_the_rows_do_not_fit_is_not_waited_for(outcomes, commits, warehouse):
    """A column of another type: nothing will change by itself."""
    warehouse._real.write([Query("alter table d alter column id type integer", {})], T)
    begin(outcomes, 1)
    await outcomes.write([sent(0)])
    with pytest.raises(RunTrouble) as raised:
        await outcomes.written()
    assert raised.value.disposition is Disposition.pause
    assert "p00" not in repr(raised.value)
    assert commits.cursor == ""


async def test_nothing_is_written_before_the_ledger_has_it(outcomes, writeback, commits):
    begin(outcomes)
    begin(outcomes, ended=[(0, EMAIL, UNSUBSCRIBED, 1, None, "", "")], number=1)
    commits.slow = True
    settling = [asyncio.ensure_future(outcomes.write([one])) for one in (sent(0), sent(1))]
    await asyncio.sleep(0)
    await outcomes.flush()
    assert len(writeback) == 0
    commits.durable.set()
    await asyncio.gather(*settling)
    assert len(writeback) == 3


async def test_what_the_ledger_did_not_take_is_never_written(outcomes, commits, warehouse):
    """It is in doubt for whoever goes on, whatever the provider said."""
    begin(outcomes)
    await outcomes.write([sent(0)])
    commits.away = True
    with pytest.raises(OutsideError):
        await outcomes.write([sent(1)])
    commits.away = False
    await outcomes.written()
    assert [row["id"] for row in warehouse.rows()] == ["p00"]
    assert commits.cursor == "0000"


def before_a_crash(row, number=0):
    """Its outcome is found in the ledger."""
    return (row, EMAIL, Ended(Outcome.sent, ""), 1, bytes([number, row]) * 8, "mail", "")


def recovered(outcomes, count, found, number=0):
    begin(outcomes, count, [before_a_crash(row, number) for row in range(found)], number)
    outcomes.composed(Composed(number, 0, met=[bytes([number, row]) * 8 for row in range(found)]))


async def test_who_settles_more_has_got_further_and_says_so_once(outcomes, commits, writeback):
    recovered(outcomes, 4, 2)
    await outcomes.flush()
    assert True not in commits.further
    await outcomes.write([sent(3)])  # behind one that is pending, which may be the one that kills
    assert True not in commits.further
    await outcomes.write([sent(2)])
    await outcomes.written()
    assert commits.further.count(True) == 1
    assert commits.further[1] is True


async def test_what_was_settled_before_a_crash_is_written_at_once(outcomes, commits, writeback, warehouse):
    writeback.patience = 3600.0
    recovered(outcomes, 3, 2)
    await outcomes.flush()
    begin(outcomes, 1, number=1)
    await asyncio.wait_for(commits.moved.wait(), 30)
    assert (commits.cursor, len(warehouse.rows())) == ("0001", 2)
    await outcomes.write([sent(2), sent(0, number=1)])
    assert len(writeback) == 2


async def test_what_is_ahead_of_a_row_that_is_pending_waits_for_it(outcomes, writeback, commits, warehouse):
    begin(outcomes, 3)
    await outcomes.write([sent(2), sent(0)])
    assert len(writeback) == 1
    await outcomes.written()
    assert (commits.cursor, len(warehouse.rows())) == ("0000", 1)
    await outcomes.write([sent(1)])
    await outcomes.written()
    assert (commits.cursor, len(warehouse.rows())) == ("0002", 3)


async def test_what_has_no_message_key_has_one_of_its_own_that_stays(warehouse, told, commits):
    ended = [(0, EMAIL, UNSUBSCRIBED, 1, None, "", ""), (0, EMAIL, DUPLICATE, 4, None, "", "")]
    for _ in range(2):  # as after a crash before the cursor moved
        outcomes = Outcomes(commits, writeback=written_by(warehouse, told, {Personal.id}))
        begin(outcomes, 1, ended)
        await outcomes.written()
    found = [(row["reason"], row["deliveries"], row["id"]) for row in warehouse.rows()]
    assert found == [("duplicate", 4, "p00"), ("unsubscribed", 1, "p00")]
    assert len({row["message_key"] for row in warehouse.rows()}) == 2


async def test_who_left_the_audience_is_nobody(outcomes, warehouse):
    outcomes.begin(0, ["g"])
    outcomes.composed(Composed(0, 0, [0], [(0, EMAIL, Ended(Outcome.unknown, Reason.gone), 1, b"k" * 16, "mail", "")]))
    await outcomes.written()
    (row,) = warehouse.rows("id, audience_key, message_key, outcome")
    assert row == {"id": None, "audience_key": None, "message_key": (b"k" * 16).hex(), "outcome": "unknown"}


async def test_reading_stops_where_too_much_waits_to_be_written(outcomes, commits, warehouse, monkeypatch):
    monkeypatch.setattr("connect.pipeline.outcomes.FARTHEST_AHEAD", 2)
    begin(outcomes)
    await outcomes.write([sent(0), sent(1)])
    await asyncio.wait_for(outcomes.room(), 10)
    assert len(warehouse.rows()) == 2
    assert commits.cursor == "0001"
