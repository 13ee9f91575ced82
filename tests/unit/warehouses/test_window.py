"""The window of an event query: what is asked for, what is refused and where, and what is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from connect.errors import Problem
from connect.project.text import Text
from connect.warehouses import query
from connect.warehouses.duckdb_dialect import DuckDBDialect


def problems(sql: str, *, events: bool = True, parameters: tuple[str, ...] | None = ()) -> list[Problem]:
    text = Text(source=sql, file="audience.sql")
    return query.check(text, dialect="duckdb", parameters=parameters, clock_warehouse=False, events=events)


HALF_OPEN = "select id, order_id from orders where made > :since and made <= :until"


@pytest.mark.parametrize(
    "sql",
    [
        HALF_OPEN,
        "select * from orders where made >= :since and made < :until",
        "select * from orders where :since < made and :until >= made and made <= :fire_time and d = :fire_date",
        "select * from orders where plan = 'pro' and (made > :since and (made <= :until))",
        "select * from orders where made > :since::timestamp and made <= :until::timestamp",
        "with recent as (select * from orders where made > :since) select * from recent where made < :until",
        "select * from orders where began >= :since and ended <= :until",
        "select * from orders where made > :since and made + interval 1 hour < :until",
        "select * from orders where not (made between :since and :until)",
        "select * from orders where made > :since and not (made > :since and made < :until) and made <= :until",
        "select * from orders where made between :since and :fire_time and other <= :until",
        "select * from orders where made > :since or made < :until",
        "select * from a where made > :since union all select * from b where made <= :until",
    ],
)
def test_a_window_is_accepted(sql: str) -> None:
    assert problems(sql) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from orders", "does not bind `:since` nor `:until`"),
        ("select * from orders where made > :since", "does not bind `:until`"),
        ("select * from orders where made <= :until -- and made > :since", "does not bind `:since`"),
        ("select ':since' as a from orders where made <= :until", "does not bind `:since`"),
    ],
)
def test_a_query_without_its_window_is_refused(sql: str, said: str) -> None:
    (problem,) = problems("\n" + sql)
    assert problem.code == "event-window"
    assert problem.message.endswith(said)
    assert problem.hint == "write `where happened_at > :since and happened_at <= :until`"
    assert str(problem.location) == "audience.sql:1:1"


@pytest.mark.parametrize(
    ("sql", "under", "said"),
    [
        ("select * from orders where made between :since and :until", ":since", "two windows"),
        ("select * from orders where x = 1 and made between (:since) and :until::date", ":since", "two windows"),
        ("select * from orders where made >= :since and made <= :until", ":since", "two windows"),
        ("select * from orders where (:since <= made) and x and (:until >= made)", ":since", "two windows"),
        ("select * from orders where made > :since and made < :until", ":until", "no window"),
        ("select * from orders where x or (made < :until and Made > :since)", ":until", "no window"),
        ("select * from o join p on p.made >= :since and p.made <= :until", ":since", "two windows"),
        ("with w as (\nselect * from o where made > :since and\n made < :until) from w", ":until", "no window"),
    ],
)
def test_events_at_the_edges_are_neither_lost_nor_doubled(sql: str, under: str, said: str) -> None:
    (problem,) = problems(sql)
    assert problem.code == "event-edges"
    assert said in problem.message
    before = sql[: sql.index(under)]
    place = problem.location
    assert place is not None
    assert (place.line, place.column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))


def test_the_hint_is_written_with_the_expression_of_the_query() -> None:
    (problem,) = problems("select * from orders as o where coalesce(o.paid_at, o.made) between :since and :until")
    assert problem.hint == (
        "write `where COALESCE(o.paid_at, o.made) > :since and COALESCE(o.paid_at, o.made) <= :until`"
    )


def test_an_expression_that_is_long_is_not_repeated() -> None:
    (problem,) = problems(
        f"select * from orders where {' + '.join('abcdefghijklmnopqrstuvwxyz')} between :since and :until"
    )
    assert problem.hint == "write `where happened_at > :since and happened_at <= :until`"


def test_a_column_that_only_looks_like_a_parameter_is_none() -> None:
    assert problems(f"{HALF_OPEN} and x between _since and _until") == []


def test_only_events_have_a_window() -> None:
    found = problems(HALF_OPEN, events=False)
    assert [(one.code, one.message) for one in found] == [
        ("unknown-parameter", "there is no parameter `:since` here"),
        ("unknown-parameter", "there is no parameter `:until` here"),
    ]
    assert found[0].hint == "only an event trigger has a window of time: `trigger: {type: event, every: 5m}`"
    assert found[0].location is not None
    assert found[0].location.column == HALF_OPEN.index(":since") + 1


def test_others_may_have_parameters_of_these_names() -> None:
    assert problems("select :since, :until", events=False, parameters=("since", "until")) == []


def test_a_window_that_can_not_be_parsed_is_said_to_be_that() -> None:
    assert [one.code for one in problems("select * from orders where made > = :since")] == ["sql-syntax"]


def test_windows_that_follow_each_other_have_every_event_once() -> None:
    """What the hint says, on a real warehouse: also for an event at the very edge, and without a zone."""
    edge = datetime(2026, 11, 20, 12, tzinfo=UTC)
    hour, instant = timedelta(hours=1), timedelta(microseconds=1)
    found: list[int] = []
    with duckdb.connect() as warehouse:
        warehouse.execute("set global TimeZone = 'UTC'")
        warehouse.execute("create table orders (id int, order_id int, made timestamp)")
        for number, at in enumerate([edge - hour, edge - instant, edge, edge, edge + instant, edge + hour]):
            warehouse.execute("insert into orders values (?, ?, ?)", [1, number, at.replace(tzinfo=None)])
        for since in (edge - 2 * hour, edge - hour, edge):
            values = {"since": since, "until": since + hour}
            asked = query.bound(Text(source=HALF_OPEN), DuckDBDialect(), values)
            found += [row[1] for row in warehouse.execute(asked.sql, dict(asked.parameters)).fetchall()]
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
