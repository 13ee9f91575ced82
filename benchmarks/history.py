"""What it costs to ask who has heard before: one audience, swept with `once`, with a cap, and without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.rows import Row, compared
from benchmarks.sizes import Size
from connect.clock import SystemClock
from connect.pipeline.audience import Sweep
from connect.vocabulary import Across
from connect.warehouses import catalog
from connect.warehouses.audience import Audience
from connect.warehouses.destination import deliveries_table
from connect.warehouses.history import Cap, History
from connect.warehouses.interface import Query, Source, Warehouse
from connect.warehouses.wrapping import OptOuts, Wrapping

_EVERY = 10
"""One person in so many has heard before."""
_PATIENCE, _WEEK = timedelta(minutes=20), timedelta(days=7)
_SQL = "select * from people"
_WRITTEN = History("connect_deliveries", "default", "news", "run now")


def rows(size: Size) -> Iterator[Row]:
    """Rows of the audience in a second of CPU, while nothing else is done with them."""
    count = max(size.memory)
    with TemporaryDirectory() as folder:
        warehouse = _build(Path(folder), count)
        without = count / _seconds(warehouse, count, _WRITTEN)
        gates = {
            "history_once": replace(_WRITTEN, once=True),
            "history_cap": replace(_WRITTEN, cap=Cap(1, datetime.now(UTC) - _WEEK, Across.all, None)),
        }
        rates = {name: count / _seconds(warehouse, count, history) for name, history in gates.items()}
    yield from compared("rows/s of CPU", ("history_unasked", without), rates)


def _build(folder: Path, count: int) -> Warehouse:
    adapter = catalog.load("duckdb")
    warehouse = adapter(Source("shop", adapter.Settings.model_validate({"path": "shop.duckdb"}), folder))
    with duckdb.connect(str(folder / "shop.duckdb")) as made:
        made.execute(
            "create table people as select i as id, 'guest' || i || '@mail.example' as email, 'Ann' as first_name "
            f"from range({count}) as people(i)"
        )
        for statement in warehouse.dialect.create_table(deliveries_table(_WRITTEN.table)):
            made.execute(statement)
        made.execute(
            f"insert into {_WRITTEN.table} by name select 'run before' as run, md5(id) as message_key, "
            "'default' as target, 'news' as campaign, id, length(id) || ':' || id as audience_key, "
            "'email' as channel, 'sent' as outcome, 1 as deliveries, now() as written_at "
            f"from (select cast(i * {_EVERY} as varchar) as id from range({count // _EVERY}) as heard(i))"
        )
    return warehouse


def _seconds(warehouse: Warehouse, count: int, history: History) -> float:
    audience = Audience(_SQL, {}, ("id",), tuple(warehouse.columns(Query(_SQL, {}), _PATIENCE)))
    wrapping = Wrapping(warehouse.dialect, audience, OptOuts(), "salt", history)
    began = time.process_time()
    sweep = Sweep(warehouse, wrapping, rows=count, after=None, timeout=_PATIENCE, clock=SystemClock())
    heard = sum(sum(map(bool, batch.history.flags)) for batch in sweep.batches() if batch.history)
    if heard != (count // _EVERY if history.asks else 0):
        raise SystemExit(f"{heard:,} of {count:,} have heard before")
    return time.process_time() - began
