"""Changes on their way into the table: what they are compared by, which are the same, and which nobody would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from connect.errors import UserError
from connect.pipeline import subscriptions
from connect.pipeline.subscriptions import Change, compared, key_of, normal, record, unheard
from connect.project.project import Subscriptions
from connect.project.text import Text
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Column, Query, Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LEFT = Change(SubscriptionStatus.unsubscribed, AT, "test", id="7")
INTO = Subscriptions(sql=Text(source="select * from kept"), write="kept")
T = timedelta(seconds=30)

ADDRESSES = (
    " Ada@Example.COM ",
    "ada+news@example.com",
    "ÉLODIE@Exämple.com",
    "\u00a0x@y.example\t",
    "+61 412-345 678",
    "+61(412)345678",
    "0412 345 678",
    "tel: +61412345678",
    "no address at all",
    "+",
    " ",
)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDB:
    made = DuckDB(Source("shop", DuckDBSettings(path="shop.duckdb"), tmp_path))
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("create table other (id integer)")
    subscriptions.create(made, INTO)
    return made


def rows(warehouse: DuckDB) -> list[dict[str, object]]:
    return warehouse.rows(Query("select * from kept order by change_key", {}), T)


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_written_as_runs_compare_them(warehouse: DuckDB, address: str) -> None:
    """A run finds by the address as it is written whomever it would find by the address as it was given."""
    listed = "select cast($address as varchar) as address"
    columns = (Column("address", "VARCHAR"),)
    people = Audience("select 1 as id, $mail as email, $mail as phone", {"mail": address}, ("id",), ())
    people = replace(people, columns=tuple(warehouse.columns(Query(people.sql, people.parameters), T)))

    def flags(written: str | None) -> tuple[object, ...]:
        optouts = OptOuts(
            listed, {"address": written}, columns, addresses={Channel.email: "email", Channel.sms: "phone"}
        )
        (row,) = warehouse.rows(Wrapping(warehouse.dialect, people, optouts).sweep_query(None, None), T)
        return (row["connect_optout_email"], row["connect_optout_sms"])

    assert flags(compared(address)) == flags(address)
    assert compared(compared(address)) == compared(address)


def test_a_letter_beyond_ascii_keeps_its_case() -> None:
    """An engine whose locale is C lowers none of them, neither here nor in the audience."""
    assert compared(" ÉLODIE@X.example") == "Élodie@x.example"
    assert compared("") is None
    assert compared(None) is None


def test_a_change_is_written_once(warehouse: DuckDB) -> None:
    elsewhere = replace(LEFT, id=" 7 ", at=AT.astimezone(timezone(timedelta(hours=10))), source="again", reason="why")
    assert record(warehouse, INTO, [LEFT, elsewhere, LEFT]) == 3
    assert record(warehouse, INTO, [elsewhere]) == 1
    (row,) = rows(warehouse)
    assert row.pop("change_key") == key_of(normal(LEFT))
    assert row == {
        "id": "7",
        "address": None,
        "channel": None,
        "topic": None,
        "status": "unsubscribed",
        "at": AT,
        "source": "test",
        "reason": None,
    }


OTHERS: Sequence[dict[str, object]] = (
    {"id": "8"},
    {"address": "7"},
    {"id": None, "address": "7@x.example"},
    {"channel": Channel.sms},
    {"topic": "news"},
    {"id": "7", "topic": "sms"},
    {"status": SubscriptionStatus.bounced},
    {"at": AT + timedelta(microseconds=1)},
)


def test_every_other_change_is_another(warehouse: DuckDB) -> None:
    changes = [LEFT, *(replace(LEFT, **other) for other in OTHERS)]  # type: ignore[arg-type]
    assert len({key_of(normal(change)) for change in changes}) == len(changes)
    record(warehouse, INTO, changes)
    assert len(rows(warehouse)) == len(changes)


def test_batches_are_as_large_as_the_engine_likes(warehouse: DuckDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuckDB, "capabilities", replace(DuckDB.capabilities, most_added=3))
    told: list[int] = []
    assert record(warehouse, INTO, (replace(LEFT, id=str(number)) for number in range(8)), told.append) == 8
    assert told == [3, 6, 8]
    assert len(rows(warehouse)) == 8
    assert record(warehouse, INTO, []) == 0


def test_nothing_of_a_batch_is_written_with_a_change_that_nobody_would_find(warehouse: DuckDB) -> None:
    with pytest.raises(UserError) as raised:
        record(warehouse, INTO, [LEFT, replace(LEFT, id=None, address="secret address")])
    (problem,) = raised.value.problems
    assert problem.code == "unheard-opt-out"
    assert "secret" not in str(raised.value)
    assert rows(warehouse) == []


@pytest.mark.parametrize(
    ("who", "heard"),
    [
        ({"id": "7"}, True),
        ({"id": "7", "address": "nonsense", "channel": Channel.push}, True),
        ({"address": "a@x.example"}, True),
        ({"address": "a@x.example", "channel": Channel.email}, True),
        ({"address": "+61 412 345 678", "channel": Channel.sms}, True),
        ({}, False),
        ({"address": " "}, False),
        ({"address": "a@x.example", "channel": Channel.sms}, False),
        ({"address": "+61412345678", "channel": Channel.email}, False),
        ({"address": "0412345678"}, False),
        ({"address": "@"}, False),
        ({"address": "token", "channel": Channel.push}, True),
        ({"address": "token"}, False),
        ({"address": "a@x.example", "channel": Channel.push}, False),
        ({"address": "+61412345678", "channel": Channel.push}, False),
        ({"address": "a@x.example", "channel": Channel.http}, False),
    ],
)
def test_whether_a_run_would_find_it(who: dict[str, object], heard: bool) -> None:
    change = normal(replace(LEFT, **{"id": None, **who}))  # type: ignore[arg-type]
    assert (unheard(change) == "") is heard


def test_who_it_is_about_is_not_shown() -> None:
    assert repr(replace(LEFT, id="secret", address="secret")) == f"Change(unsubscribed, {AT}, test)"
