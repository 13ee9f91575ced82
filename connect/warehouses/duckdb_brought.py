"""Rows of another warehouse, held in memory while DuckDB reads beside them: the opt-outs of a file's people, say.

They are asked again when they are a minute old, so that a run of many short reads does not ask for them with each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connect.errors import OutsideError
from connect.warehouses.interface import Brought, Kind, Warehouse, python_values

if TYPE_CHECKING:
    import pyarrow

_MEBIBYTE = 1 << 20
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class _Loaded:
    brought: Brought
    table: Any
    since: float


@dataclass
class Shelf:
    """What was brought to one warehouse, the latest of each name."""

    fresh_for: timedelta = timedelta(minutes=1)
    most: int = 256 * _MEBIBYTE
    """Bytes of one table. Beyond it there is an error: nothing is left out, and nothing is written to disk."""
    _tables: dict[str, _Loaded] = field(default_factory=dict)
    _lending: list[Warehouse] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def table(self, brought: Brought, timeout: timedelta) -> pyarrow.Table:
        """The rows, no older than `fresh_for`. Raises what their warehouse raises."""
        found = self._tables.get(brought.name)
        if found is None or found.brought != brought or self._is_old(found):
            self._tables.pop(brought.name, None)
            began = time.monotonic()
            found = self._tables[brought.name] = _Loaded(brought, self._loaded(brought, timeout), began)
        return found.table

    def close(self) -> None:
        """Stop what is being loaded, from whichever thread."""
        with self._guard:
            lending = list(self._lending)
        for warehouse in lending:
            warehouse.close()

    def _is_old(self, found: _Loaded) -> bool:
        return time.monotonic() - found.since > self.fresh_for.total_seconds()

    def _loaded(self, brought: Brought, timeout: timedelta) -> pyarrow.Table:
        import pyarrow

        schema = pyarrow.schema([(name, _arrow_type(kind)) for name, kind in brought.columns.items()])
        with self._guard:
            self._lending.append(brought.home)
        try:
            return pyarrow.Table.from_batches(self._batches(brought, timeout, schema), schema)
        finally:
            with self._guard:
                self._lending.remove(brought.home)

    def _batches(self, brought: Brought, timeout: timedelta, schema: Any) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        size = 0
        with brought.home.read(brought.query, timeout, _ROWS) as batches:
            for batch in batches:
                columns = [_as_type(batch.column(field.name), field.type) for field in schema]
                made = pyarrow.record_batch(columns, schema=schema)
                size += made.nbytes
                if size > self.most:
                    raise _too_many(self.most)
                yield made


def _arrow_type(kind: Kind) -> Any:
    import pyarrow

    types = {Kind.text: pyarrow.string(), Kind.integer: pyarrow.int64(), Kind.boolean: pyarrow.bool_()}
    return types[kind]


def _as_type(column: Any, kind: Any) -> Any:
    import pyarrow

    if isinstance(column.type, pyarrow.BaseExtensionType):
        return pyarrow.array(python_values(column), kind)
    return column.cast(kind)


def _too_many(most: int) -> OutsideError:
    return OutsideError.of(
        "optouts-too-many",
        f"the opt-outs of another source need more than {most // _MEBIBYTE} MiB of memory beside this audience",
        "load the audience into the warehouse that has the opt-outs, and read both there",
    )


__all__ = ["Shelf"]
