"""Whole audiences read as a run reads them, and given to nobody: positions, one row of each key, opt-outs joined.

Only the CPU of this process counts, with all of its threads. DuckDB works in this process, so that all it does is
counted; of PostgreSQL that is the driver and Arrow, and what the server does is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.rows import Row
from benchmarks.sizes import Size
from connect.clock import SystemClock
from connect.pipeline.audience import Sweep, sizes
from connect.testing.postgres import NoServer, PostgresServer
from connect.vocabulary import Channel
from connect.warehouses import catalog
from connect.warehouses.interface import Query, Source, Warehouse
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

_UNIT = "rows/s of CPU"
_TIMEOUT = timedelta(minutes=30)
_PEOPLE, _OPTOUTS = "select * from people", "select id, address, status from opt_outs"
_ONE_IN = 20
"""So many people of whom one has opted out."""

# What both engines write alike.
_TABLES = (
    """
create table people as
select i as id, 'guest' || i || '@mail.example' as email, '+61412' || lpad(cast(i % 1000000 as text), 6, '0') as phone,
  i % 7 > 0 as subscribed, 'Ann ' || i % 97 as first_name, 'Guest ' || i % 9973 as last_name, 'Lyon' as city,
  case i % 3 when 0 then 'gold' else 'silver' end as tier, i % 1000 as points,
  cast(i % 100 / 4.0 as numeric(10, 2)) as balance, date '2020-01-01' + cast(i % 2000 as integer) as joined_on,
  timestamp '2026-01-01 09:30:00' + (i % 5000) * interval '1 minute' as seen_at
from {numbers}
""",
    f"""
create table opt_outs as
select cast(id as text) as id, email as address, 'unsubscribed' as status from people where id % {_ONE_IN} = 0
""",
)


def rows(size: Size) -> Iterator[Row]:
    """Each engine beside its own driver, which reads the bare table into Arrow or rows, and does nothing with it."""
    yield from _compared("reading_duckdb", _duckdb, size)
    with suppress(NoServer):  # where there is none for this machine
        yield from _compared("reading_postgresql", _postgresql, size)


Made = tuple[Warehouse, Callable[[], int]]
"""A warehouse that holds so many people, and what reads them with the driver alone, and counts them."""


def _compared(name: str, made: Callable[[int], object], size: Size) -> Iterator[Row]:
    with made(size.read) as (warehouse, driver):  # type: ignore[attr-defined]
        found: dict[str, list[float]] = {"driver": [], "connect": []}
        for _ in range(size.rounds):
            found["driver"].append(_rate(driver, size.read))
            found["connect"].append(_rate(lambda: _swept(warehouse, size.read), size.read))
    base, value = median(found["driver"]), median(found["connect"])
    yield Row(f"{name}_driver", base, _UNIT)
    yield Row(name, value, _UNIT, f"{name}_driver", value / base)


def _rate(read: Callable[[], int], expected: int) -> float:
    began = time.process_time()
    count = read()
    used = time.process_time() - began
    if count != expected:
        raise SystemExit(f"{count:,} of {expected:,} rows were read")
    return count / used


def _swept(warehouse: Warehouse, count: int) -> int:
    """As a run does it: a batch is a batch when it is handed out."""
    wrapping = _wrapped(warehouse)
    expected = sizes(warehouse, wrapping, _TIMEOUT).rows
    sweep = Sweep(warehouse, wrapping, rows=expected, after=None, timeout=_TIMEOUT, clock=SystemClock())
    people = opted_out = 0
    for batch in sweep.batches():
        people += len(batch)
        opted_out += sum(flag > 0 for flag in batch.optouts[Channel.email])
    if opted_out < count // _ONE_IN:
        raise SystemExit(f"only {opted_out:,} opt-outs were found")
    return people


def _wrapped(warehouse: Warehouse) -> Wrapping:
    people, opt_outs = (tuple(warehouse.columns(Query(sql, {}), _TIMEOUT)) for sql in (_PEOPLE, _OPTOUTS))
    audience = Audience(_PEOPLE, {}, ("id",), people)
    addresses = {Channel.email: "email"}
    optouts = OptOuts(_OPTOUTS, {}, opt_outs, addresses=addresses, channels=(Channel.email,))
    return Wrapping(warehouse.dialect, audience, optouts, salt="0123456789abcdef")


@contextmanager
def _duckdb(count: int) -> Iterator[Made]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "people.duckdb"
        with duckdb.connect(str(file)) as connection:
            for statement in _TABLES:
                connection.execute(statement.replace("{numbers}", f"range(1, {count + 1}) as people(i)"))

        def driver() -> int:
            with duckdb.connect(str(file), read_only=True) as connection:
                return sum(batch.num_rows for batch in connection.sql(_PEOPLE).to_arrow_reader(4096))

        yield _warehouse("duckdb", {"path": str(file)}, folder), driver


@contextmanager
def _postgresql(count: int) -> Iterator[Made]:
    import psycopg

    with PostgresServer() as server, TemporaryDirectory() as folder:
        database = server.create_in_unicode()
        for statement in _TABLES:
            server.sql(statement.replace("{numbers}", f"generate_series(1, {count}) as people(i)"), database)
        server.sql("vacuum analyze", database)
        url = server.url(database).replace("+psycopg", "")

        def driver() -> int:
            with psycopg.connect(url) as connection:
                return sum(1 for _ in connection.cursor().stream(_PEOPLE, size=4096))

        yield _warehouse("postgresql", {"url": url}, folder), driver


def _warehouse(name: str, settings: dict[str, str], folder: str) -> Warehouse:
    adapter = catalog.load(name)
    return adapter(Source("people", adapter.Settings.model_validate(settings), Path(folder)))
