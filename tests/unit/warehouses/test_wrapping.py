"""Positions, keys and opt-outs, as the warehouse computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from connect.errors import UserError
from connect.identity import key_text, position
from connect.vocabulary import Channel
from connect.warehouses import query
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=30)
EMAIL = {Channel.email: "email"}
Cells = Mapping[str, object]


@pytest.fixture
def memory(tmp_path: Path) -> DuckDB:
    return DuckDB(Source("people", DuckDBSettings(url="duckdb://"), tmp_path))


def wrap(
    memory: DuckDB,
    people: Sequence[Cells],
    subscriptions: Sequence[Cells] | None = None,
    key: tuple[str, ...] = ("id",),
    **optouts: object,
) -> Wrapping:
    asked = query.people(people, memory.dialect)
    audience = Audience(asked.sql, asked.parameters, key, tuple(memory.columns(asked, T)))
    if subscriptions is not None:
        listed = query.people(subscriptions, memory.dialect)
        names = {name: name.replace("cell", "row") for name in listed.parameters}
        sql = listed.sql.replace("connect_cell", "connect_row")
        optouts |= {"sql": sql, "parameters": {names[name]: value for name, value in listed.parameters.items()}}
        optouts["columns"] = tuple(memory.columns(listed, T))
    return Wrapping(memory.dialect, audience, OptOuts(**optouts), "salt")  # type: ignore[arg-type]


def sweep(memory: DuckDB, wrapping: Wrapping) -> list[dict[str, object]]:
    return memory.rows(wrapping.sweep_query(None, None), T)


def flags(
    memory: DuckDB, people: Sequence[Cells], subscriptions: Sequence[Cells], **optouts: object
) -> dict[object, object]:
    """id → flag for e-mail; every person must be there, once."""
    optouts.setdefault("addresses", EMAIL)
    rows = sweep(memory, wrap(memory, people, subscriptions, **optouts))
    assert len(rows) == len(people)
    return {row["id"]: row["connect_optout_email"] for row in rows}


AWKWARD = ["00012", "é", "e\u0301", "🤦🏼‍♂️", "it's", 'say "hi"', "a|b", "ß", "  x ", "1:a", "日本語", "\\", "%s"]


def test_positions_and_keys_equal_those_of_python(memory: DuckDB) -> None:
    rows = sweep(memory, wrap(memory, [{"id": text} for text in AWKWARD]))
    assert {row["id"] for row in rows} == set(AWKWARD)
    for row in rows:
        assert row["connect_key"] == key_text([row["id"]])
        assert row["connect_position"] == position("salt", row["connect_key"])
    assert [row["connect_position"] for row in rows] == sorted(row["connect_position"] for row in rows)


@pytest.mark.parametrize("value", [0, -7, 2**40, 2**100, UUID("12345678-1234-5678-1234-567812345678")])
def test_integers_and_uuids_are_keys(memory: DuckDB, value: object) -> None:
    (row,) = sweep(memory, wrap(memory, [{"id": value}]))
    assert row["connect_key"] == key_text([str(value)])
    assert row["connect_position"] == position("salt", key_text([str(value)]))


def test_composite_keys_that_concatenate_alike_differ(memory: DuckDB) -> None:
    people = [{"a": "a", "b": "bc"}, {"a": "ab", "b": "c"}]
    rows = sweep(memory, wrap(memory, people, key=("a", "b")))
    assert {row["connect_key"] for row in rows} == {"1:a2:bc", "2:ab1:c"}


def test_an_email_key_is_trimmed_and_lowered(memory: DuckDB) -> None:
    people = [{"email": " Ann@X.example\n"}, {"email": "ann@x.example"}]
    (row,) = sweep(memory, wrap(memory, people, key=("email",)))
    assert (row["connect_key"], row["connect_duplicates"]) == (key_text(["ann@x.example"]), 1)


def test_email_serves_where_there_is_no_id(memory: DuckDB) -> None:
    (row,) = sweep(memory, wrap(memory, [{"email": "A@x.example"}]))
    assert row["connect_key"] == key_text(["a@x.example"])


def test_rows_without_a_key_are_counted_and_left_out(memory: DuckDB) -> None:
    people = [{"id": None, "n": 1}, {"id": "", "n": 2}, {"id": " \t", "n": 3}, {"id": "a", "n": 4}, {"id": "a", "n": 5}]
    wrapping = wrap(memory, people)
    assert memory.rows(wrapping.size_query(), T) == [{"rows": 5, "keyed": 2, "without_key": 3}]
    assert [row["id"] for row in sweep(memory, wrapping)] == ["a"]


def test_of_two_rows_with_one_key_the_same_one_wins(memory: DuckDB) -> None:
    people = [{"id": 1, "name": name, "tags": [name]} for name in "abcdefgh"]
    winners = [sweep(memory, wrap(memory, order))[0] for order in (people, people[::-1], people[3:] + people[:3])]
    assert winners[0] == winners[1] == winners[2]
    assert winners[0]["connect_duplicates"] == 7
    assert winners[0]["tags"] == [winners[0]["name"]]


def test_ranges_meet_without_overlap(memory: DuckDB) -> None:
    wrapping = wrap(memory, [{"id": number} for number in range(200)])
    whole = [row["connect_position"] for row in sweep(memory, wrapping)]
    cuts = [None, whole[0], whole[57], "80" + "0" * 30, whole[-1], None]
    parts = [memory.rows(wrapping.sweep_query(low, high), T) for low, high in pairwise(cuts)]
    assert [row["connect_position"] for part in parts for row in part] == whole
    assert len(parts[0]) == 1
    assert parts[-1] == []


@pytest.mark.parametrize(
    ("value", "cast"),
    [(1.5, "bigint"), (True, "varchar"), (datetime(2026, 1, 1), "varchar"), (date(2026, 1, 1), "varchar")],
)
def test_other_types_of_key_are_refused_with_the_cast(memory: DuckDB, value: object, cast: str) -> None:
    with pytest.raises(UserError) as raised:
        wrap(memory, [{"id": value}])
    (problem,) = raised.value.problems
    assert problem.code == "key-type"
    assert f"cast(id as {cast})" in problem.hint


def codes(memory: DuckDB, people: Sequence[Cells], **keywords: object) -> list[str]:
    with pytest.raises(UserError) as raised:
        wrap(memory, people, **keywords)  # type: ignore[arg-type]
    return [problem.code for problem in raised.value.problems]


def test_a_missing_key_column_is_refused_with_the_nearest(memory: DuckDB) -> None:
    with pytest.raises(UserError) as raised:
        wrap(memory, [{"invoice_id": 1}], key=("invoiceid",))
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("missing-column", "did you mean `invoice_id`?")


def test_columns_that_collide_are_refused(memory: DuckDB) -> None:
    assert codes(memory, [{"id": 1, "connect_key": 2}]) == ["reserved-column"]
    audience = Audience("select 1 as id, 2 as ID", {}, ("id",), ())
    columns = tuple(memory.columns(query.Query(audience.sql, {}), T))
    with pytest.raises(UserError, match="duplicate-column"):
        Wrapping(memory.dialect, Audience(audience.sql, {}, ("id",), columns), OptOuts())


def test_the_subscribed_column(memory: DuckDB) -> None:
    people = [{"id": 1, "subscribed": True}, {"id": 2, "subscribed": False}, {"id": 3, "subscribed": None}]
    found = {row["id"]: row["connect_optout_sms"] for row in sweep(memory, wrap(memory, people))}
    assert found == {1: 0, 2: 1, 3: 1}
    transactional = {
        row["id"]: row["connect_optout_sms"] for row in sweep(memory, wrap(memory, people, transactional=True))
    }
    assert transactional == {1: 0, 2: 0, 3: 0}
    assert codes(memory, [{"id": 1, "subscribed": "yes"}]) == ["subscribed-type"]


PEOPLE = [
    {"id": number, "email": f"p{number}@x.example", "phone_number": f"+6140000000{number}"} for number in range(1, 5)
]


def test_each_row_without_a_status_is_an_optout(memory: DuckDB) -> None:
    assert flags(memory, PEOPLE, [{"id": "1"}, {"id": "1"}, {"id": None}]) == {1: 1, 2: 0, 3: 0, 4: 0}


def test_addresses_match_however_they_are_written(memory: DuckDB) -> None:
    people = [{"id": 1, "email": "Ann@X.example"}, {"id": 2, "email": " bob@x.example\t"}, {"id": 3, "email": None}]
    listed = [{"address": " ann@x.EXAMPLE"}, {"address": "BOB@x.example\n"}, {"address": None}, {"address": " "}]
    assert flags(memory, people, listed) == {1: 1, 2: 1, 3: 0}


def test_nulls_match_nobody_and_remove_nobody(memory: DuckDB) -> None:
    people = [{"id": 1, "email": None}, {"id": 2, "email": ""}, {"id": 3, "email": "c@x.example"}]
    listed = [{"id": None, "address": None}, {"id": None, "address": ""}, {"id": "", "address": None}]
    assert flags(memory, people, listed) == {1: 0, 2: 0, 3: 0}


def test_phone_numbers_compare_by_digits(memory: DuckDB) -> None:
    people = [
        {"id": 1, "phone_number": "+61 400 000 001"},
        {"id": 2, "phone_number": "61400000002"},
        {"id": 3, "phone_number": None},
    ]
    listed = [{"address": "+61-400-000-001"}, {"address": "+61400000002"}, {"address": "n/a"}]
    rows = sweep(memory, wrap(memory, people, listed, addresses={Channel.sms: "phone_number"}))
    assert {row["id"]: row["connect_optout_sms"] for row in rows} == {1: 1, 2: 0, 3: 0}


def test_an_optout_of_one_channel_leaves_the_others(memory: DuckDB) -> None:
    listed = [
        {"id": "1", "channel": "SMS"},
        {"id": "2", "channel": "email"},
        {"id": "3", "channel": None},
        {"id": "4", "channel": ""},
    ]
    rows = sweep(memory, wrap(memory, PEOPLE, listed, channels=(Channel.email, Channel.sms)))
    found = {row["id"]: (row["connect_optout_email"], row["connect_optout_sms"]) for row in rows}
    assert found == {1: (0, 1), 2: (1, 0), 3: (1, 1), 4: (1, 1)}
    assert "connect_optout_push" not in rows[0]


def test_a_topic_counts_for_its_messages_only(memory: DuckDB) -> None:
    listed = [{"id": "1", "topic": "news"}, {"id": "2", "topic": "offers"}, {"id": "3", "topic": None}]
    assert flags(memory, PEOPLE, listed) == {1: 0, 2: 0, 3: 1, 4: 0}
    assert flags(memory, PEOPLE, listed, topic="news") == {1: 1, 2: 0, 3: 1, 4: 0}


STATUSES = [
    {"id": "1", "status": "active"},
    {"id": "2", "status": None},
    {"id": "3", "status": "Bounced"},
    {"id": "4", "status": "COMPLAINED"},
    {"id": "4", "status": "unsubscribed"},
]


def test_statuses(memory: DuckDB) -> None:
    assert flags(memory, PEOPLE, STATUSES, subscribed_values=("active",)) == {1: 0, 2: 1, 3: 2, 4: 3}
    assert flags(memory, PEOPLE, STATUSES, subscribed_values=()) == {1: 1, 2: 1, 3: 2, 4: 3}


def test_transactional_messages_stop_at_bounces_and_complaints_only(memory: DuckDB) -> None:
    found = flags(memory, PEOPLE, STATUSES, subscribed_values=("active",), transactional=True)
    assert found == {1: 0, 2: 0, 3: 2, 4: 3}


def test_the_latest_row_of_a_scope_decides(memory: DuckDB) -> None:
    early, late = datetime(2026, 1, 1), datetime(2026, 2, 1)
    listed = [
        {"id": "1", "status": "unsubscribed", "at": early, "channel": None},
        {"id": "1", "status": "subscribed", "at": late, "channel": None},
        {"id": "2", "status": "subscribed", "at": early, "channel": None},
        {"id": "2", "status": "unsubscribed", "at": late, "channel": None},
        {"id": "3", "status": "subscribed", "at": late, "channel": None},
        {"id": "3", "status": "unsubscribed", "at": late, "channel": None},
        {"id": "4", "status": "unsubscribed", "at": early, "channel": None},
        {"id": "4", "status": "subscribed", "at": late, "channel": "email"},
    ]
    assert flags(memory, PEOPLE, listed) == {1: 0, 2: 1, 3: 1, 4: 1}


def test_a_leading_zero_is_another_person(memory: DuckDB) -> None:
    assert flags(
        memory, [{"id": "0123", "email": "a@x.example"}, {"id": "123", "email": "b@x.example"}], [{"id": 123}]
    ) == {"0123": 0, "123": 1}


def test_optouts_that_could_not_be_found_are_refused(memory: DuckDB) -> None:
    assert codes(memory, [{"id": 1}], subscriptions=[{"address": "a@x.example"}]) == ["optouts-unmatched"]
    assert codes(memory, [{"id": 1}], subscriptions=[{"who": 1}]) == ["subscriptions-columns"]
    assert codes(memory, [{"id": 1}], subscriptions=[{"id": 1.5}]) == ["key-type"]
    assert codes(memory, [{"id": 1}], addresses={Channel.email: "mail"}) == ["missing-column"]


def test_a_query_that_ends_in_a_comment_and_odd_column_names(memory: DuckDB) -> None:
    sql = 'select 1 as id, \'x\' as "it\'s ""odd""", 2 as "order" -- the end'
    audience = Audience(sql, {}, ("id",), tuple(memory.columns(query.Query(sql, {}), T)))
    (row,) = sweep(memory, Wrapping(memory.dialect, audience, OptOuts()))
    assert (row['it\'s "odd"'], row["order"]) == ("x", 2)
