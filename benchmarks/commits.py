"""The ledger alone, as one of the benchmarks: `benchmarks.ledger` says what it measures."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import ledger
from benchmarks.rows import Row
from benchmarks.sizes import Size


def rows(size: Size) -> Iterator[Row]:
    yield from ledger.rows(size.deliveries, size.rounds)
