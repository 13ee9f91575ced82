from __future__ import annotations

import pytest

from connect.errors import Problem
from connect.project.text import Text
from connect.warehouses import query


def problems(sql: str, dialect: str = "mysql") -> list[Problem]:
    return query.check(Text(source=sql), dialect=dialect, parameters=(), clock_warehouse=False)


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select id from t where ends = :fire_date + 3", "write `:fire_date + interval 3 day`"),
        ("select id from t where ends = 3 + :fire_date", "write `:fire_date + interval 3 day`"),
        ("select id from t where at > (:fire_time) - 1", "write `:fire_time - interval 3 day`"),
    ],
)
def test_a_sum_of_numbers_with_a_date_is_refused(sql: str, hint: str) -> None:
    (problem,) = problems(sql)
    assert (problem.code, problem.hint) == ("date-sum", hint)
    assert problem.location
    assert problem.location.column == sql.index(":fire") + 1


def test_intervals_and_engines_that_count_days_are_fine() -> None:
    assert not problems("select id from t where ends = :fire_date + interval 3 day and n + 1 = 2")
    assert not problems("select id from t where ends = date_add(:fire_date, interval 1 + 2 day)")
    assert not problems("select id from t where ends = :fire_date + 3", "duckdb")


@pytest.mark.parametrize(
    "comment", ["/*! into outfile '/tmp/x' */", "/*!80000 union select 1 */", "/*M! for update */"]
)
def test_a_comment_that_the_server_would_run_is_refused(comment: str) -> None:
    (problem,) = problems(f"select id from t {comment}")
    assert problem.code == "comment-runs"
    assert problem.location
    assert problem.location.column == 18
    assert not problems(f"select id from t where a = '{comment.replace(chr(39), '')}' /* fine! */ -- M!")
    assert not problems(f"select id from t {comment}", "duckdb")


@pytest.mark.parametrize(
    "sql",
    [
        "select id from t into outfile '/tmp/x'",
        "select id into outfile '/tmp/x' from t",
        "select id from t into dumpfile '/tmp/x'",
        "select id into @x from t",
        "select id from t for update",
        "select id from t lock in share mode",
        "call added()",
        "handler t open",
    ],
)
def test_what_a_read_only_transaction_of_mysql_would_let_through_is_no_query(sql: str) -> None:
    assert {problem.code for problem in problems(sql)} <= {"sql-syntax", "sql-writes", "not-a-select"}
    assert problems(sql)
