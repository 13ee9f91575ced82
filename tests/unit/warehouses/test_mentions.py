"""Which tables a query reads: what is selected from, at whatever depth, and not what is only called like one."""

from __future__ import annotations

import pytest

from connect.project.text import Text
from connect.warehouses.mentions import reads, tables

UNION = "select id from own where at > :fire_time union all (select id from shop.connect_opt_outs -- done\n);"
CTE = "with o as (select * from connect_opt_outs), unused as (select * from never) select * from o join p using (id)"
SHADOW = "with connect_opt_outs as (select * from own) select * from connect_opt_outs"
RECURSIVE = "with recursive t as (select id from tree union all select x.id from tree x join t on true) select 1 from t"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select * from connect_opt_outs", ["connect_opt_outs"]),
        (UNION, ["own", "shop.connect_opt_outs"]),
        (CTE, ["p", "connect_opt_outs"]),
        (SHADOW, ["own"]),
        (RECURSIVE, ["tree"]),
        ("select * from (select id from a) as x where exists (select 1 from b.c where c.id = x.id)", ["a", "b.c"]),
        ("select * from a, lateral (select * from b where b.id = a.id) as l", ["a", "b"]),
        ('select * from a as connect_opt_outs, "B c" as other, a', ["a", '"B c"']),
        ("select * from range(10)", []),
        ("select 1; select 2", []),
        ("select * from (", []),
        ("not sql at all '", []),
    ],
)
def test_the_tables_of_a_query(sql: str, found: list[str]) -> None:
    assert sorted(tables(Text(source=sql), "duckdb")) == sorted(found)


@pytest.mark.parametrize(
    ("sql", "table", "does"),
    [
        (UNION, "connect_opt_outs", True),
        (UNION, "shop.connect_opt_outs", True),
        (UNION, "other.connect_opt_outs", False),
        ("select * from Connect_Opt_Outs", "main.connect_opt_outs", True),
        (CTE, "connect_opt_outs", True),
        (CTE, "never", False),
        (SHADOW, "connect_opt_outs", False),
        ("select 'connect_opt_outs' as connect_opt_outs from own -- connect_opt_outs", "connect_opt_outs", False),
    ],
)
def test_whether_a_table_is_read(sql: str, table: str, does: bool) -> None:
    assert reads(Text(source=sql), table, "duckdb") is does


def test_names_are_read_as_their_engine_writes_them() -> None:
    sql = Text(source="select * from `my-project.crm.opt_outs` where day > :fire_date")
    assert tables(sql, "bigquery") == ["`my-project`.`crm`.`opt_outs`"]
    assert reads(sql, "crm.opt_outs", "bigquery")
    assert reads(sql, "`my-project`.crm.opt_outs", "bigquery")
    assert not reads(sql, "sales.opt_outs", "bigquery")
