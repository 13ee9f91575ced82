"""How every warehouse that can be written to answers who has heard before: the section "History" of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest

from connect.identity import key_text
from connect.vocabulary import Across, Channel
from connect.warehouses.audience import Audience
from connect.warehouses.destination import deliveries_table
from connect.warehouses.history import ALREADY_SENT, CAPPED, HISTORY, MET, ONCE, PERSON, Cap, History
from connect.warehouses.interface import Query, Warehouse
from connect.warehouses.wrapping import OptOuts, Wrapping

if TYPE_CHECKING:
    from connect.testing.warehouses import WarehouseRig

T = timedelta(seconds=60)
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_HISTORY = History("connect_deliveries", "default", "news", "run now")

Flags = Callable[..., dict[object, Any]]


def _delivered(warehouse: Warehouse, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of the table: by another run of this campaign, yesterday, where they do not say otherwise."""
    usual = {
        "run": "run before",
        "target": "default",
        "campaign": "news",
        "channel": "email",
        "outcome": "sent",
        "deliveries": 1,
        "written_at": _NOW - timedelta(days=1),
    }
    given = [{**usual, "message_key": f"{number:032x}", **row} for number, row in enumerate(rows)]
    table = deliveries_table("connect_deliveries")
    names = [name for name in table.columns if any(name in row for row in given)]
    columns: dict[str, Any] = {name: [row.get(name) for row in given] for name in names}
    times = pyarrow.timestamp("us", "UTC")
    columns["written_at"] = pyarrow.array(columns["written_at"], times)
    warehouse.add(table, pyarrow.table(columns), T)


def _about(person: object, **more: object) -> dict[str, object]:
    return {"id": str(person), "audience_key": key_text([str(person)]), **more}


class HistoryContract:
    """Part of `WarehouseContract`: skipped where `capabilities.writes` is False."""

    @pytest.fixture
    def flags(self, rig: WarehouseRig) -> Flags:
        """What an audience of some people is told of its history: the first column → all of the flags."""
        warehouse = rig.warehouse
        if not warehouse.capabilities.writes:
            pytest.skip("it is not written to")
        table = deliveries_table("connect_deliveries")
        warehouse.write([Query(statement, {}) for statement in warehouse.dialect.create_table(table)], T)
        people = [
            "(1, 'Ann@X.example ', 'a')",
            "(2, 'bob@x.example', 'a')",
            "(3, null, null)",
            "(4, 'dan@x.example', 'd')",
            "(5, 'eve@x.example', null)",
            "(6, 'fay@x.example', null)",
        ]
        rig.execute("create table people (n integer, email varchar(40), id varchar(9))")
        rig.execute(f"insert into people values {', '.join(people)}")

        def asked(history: History, sql: str = "select n as id, email from people", *key: str) -> dict[object, Any]:
            columns = tuple(warehouse.columns(Query(sql, {}), T))
            audience = Audience(sql, {}, key or ("id",), columns)
            query = Wrapping(warehouse.dialect, audience, OptOuts(), "salt", history).sweep_query(None, None)
            rows = warehouse.rows(query, T)
            return {row[key[0] if key else "id"]: {name: row[name] for name in (HISTORY, PERSON, ONCE)} for row in rows}

        return asked

    def test_once_goes_by_the_key_and_by_what_counts(self, rig: WarehouseRig, flags: Flags) -> None:
        nobody: dict[str, object] = {"id": None, "audience_key": None}
        rows: list[Mapping[str, object]] = [
            *[_about(1)] * 2,
            _about(2, outcome="unknown"),
            _about(3, outcome="skipped"),
            _about(4, target="staging"),
            _about(4, campaign="other"),
            _about(5, run="run now"),
            _about(6, outcome="failed"),
            nobody,
        ]
        _delivered(rig.warehouse, rows)
        found = flags(replace(_HISTORY, once=True))
        assert {person: told[HISTORY] for person, told in found.items()} == {
            1: ALREADY_SENT,
            2: ALREADY_SENT,
            **dict.fromkeys((3, 4, 5, 6), 0),
        }
        assert {told[PERSON] for told in found.values()} == {str(n) for n in range(1, 7)}
        assert {told[HISTORY] for told in flags(_HISTORY).values()} == {0}

    def test_once_goes_by_columns_of_the_audience(self, rig: WarehouseRig, flags: Flags) -> None:
        keys: list[str | None] = [key_text(["ann@x.example"]), key_text(["4", "dan@x.example"]), None]
        _delivered(rig.warehouse, [_about(9, once_key=key) for key in keys])
        by_email = flags(replace(_HISTORY, once=("email",)))
        assert [person for person, told in by_email.items() if told[HISTORY]] == [1]
        assert by_email[1][ONCE] == keys[0]
        assert by_email[3][ONCE] == key_text(["3", "3"])
        by_both = flags(replace(_HISTORY, once=("id", "email")))
        assert [person for person, told in by_both.items() if told[HISTORY]] == [4]
        assert by_both[1][ONCE] == key_text(["1", "Ann@X.example "])

    def test_who_has_none_of_the_columns_goes_by_the_key(self, rig: WarehouseRig, flags: Flags) -> None:
        sql = "select n as id, case when n < 5 then id else '' end as badge from people"
        told = flags(replace(_HISTORY, once=("badge",)), sql)
        keys = {person: found[ONCE] for person, found in told.items()}
        assert keys == {
            1: key_text(["a"]),
            2: key_text(["a"]),
            **{person: key_text([str(person)] * 2) for person in (3, 5, 6)},
            4: key_text(["d"]),
        }
        _delivered(rig.warehouse, [_about(9, once_key=keys[person]) for person in (3, 5)])
        found = flags(replace(_HISTORY, once=("badge",)), sql)
        assert sorted(str(person) for person, told in found.items() if told[HISTORY]) == ["3", "5"]

    def test_a_cap_counts_messages_and_not_deliveries(self, rig: WarehouseRig, flags: Flags) -> None:
        long_ago = _NOW - timedelta(days=8)
        rows: list[Mapping[str, object]] = [
            *(_about(1, channel=channel) for channel in ("email", "sms", "push")),
            *(_about(2, run=run) for run in ("a", "b")),
            *(_about(3, run=run, written_at=long_ago) for run in ("a", "b")),
            *(_about(4, run=run, campaign="other", topic="deals") for run in ("a", "b")),
            *(_about(5, run=run, outcome=outcome) for run, outcome in (("a", "unknown"), ("b", "failed"))),
            *(_about(6, run=run, target="staging") for run in ("a", "b")),
            *({"run": run, "id": None} for run in ("a", "b")),
        ]
        _delivered(rig.warehouse, rows)
        capped = {}
        for across in Across:
            cap = Cap(2, _NOW - timedelta(days=7), across, "deals")
            found = flags(replace(_HISTORY, cap=cap))
            capped[across] = sorted(str(person) for person, told in found.items() if told[HISTORY] == CAPPED)
        assert capped == {Across.campaign: ["2"], Across.topic: ["4"], Across.all: ["2", "4"]}

    def test_several_rows_of_one_person_pass_no_cap_and_nobodys_are_not_one_persons(
        self, rig: WarehouseRig, flags: Flags
    ) -> None:
        _delivered(rig.warehouse, [{"id": "d", "audience_key": key_text(["9"])}])
        cap = Cap(1, _NOW - timedelta(days=7), Across.all, None)
        found = flags(replace(_HISTORY, cap=cap), "select n, id from people", "n")
        assert {person: told[HISTORY] for person, told in found.items()} == {
            1: 0,
            2: CAPPED,
            3: 0,
            4: CAPPED,
            5: 0,
            6: 0,
        }

    def test_another_wave_has_met_people_on_some_channels(self, rig: WarehouseRig, flags: Flags) -> None:
        rows = [
            *(_about(1, run="run now", channel=channel) for channel in ("email", "sms")),
            _about(2, run="run now", channel="push"),
            _about(3, run="run now", outcome="skipped"),
            _about(4),
        ]
        _delivered(rig.warehouse, rows)
        found = flags(replace(_HISTORY, waves=True))
        met = {1: MET[Channel.email] + MET[Channel.sms], 2: MET[Channel.push]}
        assert {person: told[HISTORY] for person, told in found.items()} == {**dict.fromkeys(range(1, 7), 0), **met}
        both = flags(replace(_HISTORY, waves=True, once=True))
        assert {person: told[HISTORY] for person, told in both.items() if told[HISTORY]} == {**met, 4: ALREADY_SENT}
