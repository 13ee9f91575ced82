"""What is wrong with a query, where, and how its parameters are bound."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from connect.errors import Severity
from connect.project.text import Text
from connect.warehouses import query
from connect.warehouses.duckdb_dialect import DuckDBDialect

DIALECT = DuckDBDialect()


def problems(sql: str, parameters: tuple[str, ...] | None = (), clock_warehouse: bool = False):
    text = Text(source=sql, file="audience.sql")
    return query.check(text, dialect="duckdb", parameters=parameters, clock_warehouse=clock_warehouse)


def places(sql: str, **keywords: object) -> list[tuple[str, int, int]]:
    return [(p.code, p.location.line, p.location.column) for p in problems(sql, **keywords) if p.location]


def bind(sql: str) -> str:
    return query.bind(Text(source=sql), DIALECT)


@pytest.mark.parametrize(
    "sql",
    [
        "select id, email from customers where joined = :fire_date - 3",
        "with recent as (select * from customers) select * from recent;",
        "select 1 as id; -- done",
        "from customers",
        "select id from a union all select id from b",
        "select 'now()' as a, \"random\" as b, c.today, d as today from c -- now()",
        "select current from t",
    ],
)
def test_a_select_is_accepted(sql: str) -> None:
    assert problems(sql) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select a\nfrom b where c = = 2", ("sql-syntax", 2, 18)),
        ("select 'é', (select 1", ("sql-syntax", 1, 21)),
        ("select a,\n  'abc", ("sql-syntax", 2, 3)),
        ("delete from customers", ("not-a-select", 1, 1)),
        ("", ("not-a-select", 1, 1)),
        ("-- nothing", ("not-a-select", 1, 1)),
        ("  summarize customers", ("not-a-select", 1, 3)),
        ("select 1;\n select 2", ("several-statements", 2, 2)),
        ("with gone as (\n  delete from c returning *) select * from gone", ("sql-writes", 2, 3)),
        ("with n as (insert into c select 1 returning *) select * from n", ("sql-writes", 1, 12)),
        ("with n as (update c set a = 1 returning *) select * from n", ("sql-writes", 1, 12)),
        ("select id from c for update", ("sql-writes", 1, 18)),
        ("select id into d from c", ("sql-writes", 1, 11)),
    ],
)
def test_what_is_not_one_select_is_refused_at_its_place(sql: str, expected: tuple[str, int, int]) -> None:
    assert places(sql) == [expected]


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("select id, current_date from c", 12),
        ("select now() from c", 8),
        ("select id from c where d > TODAY ()", 28),
        ("select id from c order by random()", 27),
        ("select id, uuid() from c", 12),
        ("select getdate() from c", 8),
        ("select localtimestamp from c", 8),
        ("select id, x::date > current_timestamp from c", 22),
        ("select * from c using sample 10", 17),
        ("select id, age(joined) from c", 12),
    ],
)
def test_volatile_functions_are_refused_at_their_place(sql: str, column: int) -> None:
    assert places(sql) == [("volatile-function", 1, column)]


def test_the_hint_names_the_replacement() -> None:
    assert ":fire_date" in problems("select current_date")[0].hint
    assert ":fire_time" in problems("select now()")[0].hint
    assert "column" in problems("select random()")[0].hint
    assert "clock: warehouse" in problems("select now()")[0].hint


def test_the_warehouse_clock_may_be_meant() -> None:
    assert problems("select current_date, now()", clock_warehouse=True) == []


def test_unknown_parameters_are_refused_with_the_nearest() -> None:
    (problem,) = problems("select :plam from c", parameters=("plan",), clock_warehouse=True)[:1]
    assert problem.code == "unknown-parameter"
    assert problem.hint == "did you mean `:plan`?"
    assert (problem.location.line, problem.location.column) == (1, 8)


def test_markers_of_other_tools_are_refused() -> None:
    assert [code for code, *_ in places("select $plan, ? from c")] == ["unknown-parameter"] * 2


def test_an_unused_parameter_is_a_warning() -> None:
    (problem,) = problems("select 1 as id", parameters=("plan", "fire_date"))
    assert (problem.code, problem.severity) == ("unused-parameter", Severity.warning)


def test_parameters_that_are_not_known_are_not_judged() -> None:
    assert problems("select :anything", parameters=None) == []


def test_places_are_those_of_the_users_file() -> None:
    text = Text(source="select id,\n  now()", file="c.yml", line=7, column=10, indent=4)
    (problem,) = query.check(text, dialect="duckdb", parameters=(), clock_warehouse=False)
    assert (problem.location.line, problem.location.column) == (8, 7)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select :a, :a::date, (:b)", "select $a, $a::date, ($b)"),
        (
            "select 'é🤦 :a', \":a\", $$ :a $$ -- :a\n, :a /* :a */",
            "select 'é🤦 :a', \":a\", $$ :a $$ -- :a\n, $a /* :a */",
        ),
        ("select x[1:n], x[:n], x[a:], [:a, 2]", "select x[1:n], x[:n], x[a:], [$a, 2]"),
        ("select {'k':v, 'l': :a}", "select {'k':v, 'l': $a}"),
        ("select payload:field, n: 42", "select payload:field, n: 42"),
        (
            "select a from t where b between :lo and :hi limit :order",
            "select a from t where b between $lo and $hi limit $order",
        ),
        ("select 1 ;  ; -- end", "select 1    -- end"),
        ("select  A  ,\tb", "select  A  ,\tb"),
        ("select f(x, :a), case when :a then :b else :c end", "select f(x, $a), case when $a then $b else $c end"),
    ],
)
def test_only_parameters_are_written_anew(sql: str, expected: str) -> None:
    assert bind(sql) == expected


def test_a_bound_query_has_the_values_it_uses() -> None:
    text = Text(source="select :fire_date as d")
    made = query.bound(text, DIALECT, {"fire_date": date(2026, 1, 2), "plan": "pro"})
    assert made.parameters == {"fire_date": date(2026, 1, 2)}


def run(made: query.Query) -> list[dict[str, object]]:
    relation = duckdb.connect().sql(made.sql, params=dict(made.parameters))
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_people_become_a_query() -> None:
    rows = [{"id": "0123", "first name": "Zoë"}, {"id": "2", "tags": ["a"], "since": date(2026, 1, 2)}]
    assert run(query.people(rows, DIALECT)) == [
        {"id": "0123", "first name": "Zoë", "tags": None, "since": None},
        {"id": "2", "first name": None, "tags": ["a"], "since": date(2026, 1, 2)},
    ]


def test_people_with_mixed_types_become_text() -> None:
    assert run(query.people([{"id": 1}, {"id": "x"}, {"id": True}], DIALECT)) == [
        {"id": "1"},
        {"id": "x"},
        {"id": "true"},
    ]


def test_no_people_is_an_empty_audience() -> None:
    assert run(query.people([], DIALECT)) == []


def test_no_cell_stands_in_the_sql() -> None:
    assert "canary" not in query.people([{"id": "canary'; drop table x"}], DIALECT).sql
