"""What several engines write alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal

from connect.testing.warehouses import UUID

EVERYWHERE: Mapping[str, object] = {
    "cast(12.50 as numeric(10, 2))": Decimal("12.50"),
    "cast(5 as numeric(10, 0))": 5,
    "sum(cast(5 as bigint))": 5,
    "cast(7 as smallint)": 7,
    "cast(1.5 as real)": 1.5,
    "cast(0.1 as double precision)": 0.1,
    "1 = 1": True,
    "'text'": "text",
    "cast('short' as varchar(20))": "short",
    "date '2026-01-02'": date(2026, 1, 2),
    "timestamp '2026-01-02 03:04:05.678'": datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - it has none
    "cast('2026-01-02 03:04:05+02' as timestamp with time zone)": datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
    "time '03:04:05.5'": time(3, 4, 5, 500000),
}
"""What DuckDB, PostgreSQL and Redshift write alike."""

MORE: Mapping[str, object] = {
    "cast('03:04:05+02' as time with time zone)": time(3, 4, 5),
    f"cast('{UUID}' as uuid)": UUID,
    """cast('{"a": [1, 2.5, null], "b": "é"}' as json)""": {"a": [1, 2.5, None], "b": "é"},
    "array['a', null, 'it''s', 'x \"y\" {,} \\']": ["a", None, "it's", 'x "y" {,} \\'],
    "array[1, null]": [1, None],
    "array[cast(1.5 as numeric(4, 2))]": [Decimal("1.50")],
    "array[date '2026-01-02', null]": [date(2026, 1, 2), None],
    "array[true, null]": [True, None],
    "cast('ok' as mood)": "ok",
}
"""What DuckDB and PostgreSQL write alike, given the enum `mood`."""

KEYS: Mapping[str, str] = {
    "cast(1.5 as double precision)": "bigint",
    "cast(1.5 as numeric(4, 1))": "bigint",
    "1 = 1": "varchar",
    "date '2026-01-02'": "varchar",
    "timestamp '2026-01-02 03:04:05'": "varchar",
}
MADE = "create type mood as enum ('ok', 'bad')"
