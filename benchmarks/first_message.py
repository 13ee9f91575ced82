"""How soon the first message leaves, counted from the warehouse's first batch, in a whole run.

Two adapters stand by the way and write down the time: one is DuckDB, the other takes messages and sends none. They are
found as entry points, as those of any package are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import project
from benchmarks.rows import Row
from benchmarks.sizes import Size
from connect.channels.message import Outgoing
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.vocabulary import Channel
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.interface import Query

NOTES = "CONNECT_BENCH_NOTES"
"""The environment variable that names the folder in which times are noted."""


def rows(size: Size) -> Iterator[Row]:
    with (
        project.warehouse(size.people) as file,
        project.project(
            file, size.people, "bench_noting", project.letter("english"), source="type: bench_noting_duckdb, url"
        ) as root,
    ):
        project.run(root, size.people, more={NOTES: str(root)})
        batch, message = (float((root / what).read_text()) for what in ("batch", "message"))
    yield Row("first_message", (message - batch) * 1000, "ms after the first batch")


def _note(what: str) -> None:
    """The time now, unless it was noted before; the clock is the same for every process of a machine."""
    now = time.monotonic()
    try:
        with (Path(os.environ[NOTES]) / what).open("x") as file:
            file.write(str(now))
    except FileExistsError:
        pass


class NotingDuckDB(DuckDB):
    """DuckDB that notes when the first rows of a sweep arrive."""

    @contextmanager
    def read(self, query: Query, timeout: timedelta, batch_rows: int) -> Iterator[Any]:
        with super().read(query, timeout, batch_rows) as batches:
            yield _noting(batches)


def _noting(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        _note("batch")
        yield batch


class NotingProvider:
    """Takes every message, and notes when the first one came."""

    Settings: ClassVar[type[ProviderSettings]] = ProviderSettings
    capabilities: ClassVar[Capabilities] = Capabilities(channels=frozenset(Channel))

    def __init__(self, account: Account) -> None:
        self._noted = False

    async def open(self) -> None: ...

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if not self._noted:
            _note("message")
            self._noted = True
        return [Receipt(Status.accepted)] * len(batch)

    async def check(self) -> str:
        return "notes times"

    async def close(self) -> None: ...
