"""Parts of queries that are made once and lent to many, for as long as nobody has written to the file.

While a file is open nobody else can write to it, and whoever wrote to it before has changed what its folder says about
it. So what was kept is what the file would give again. One exception: a part that looks at a clock of its own, which
is why nothing is kept for longer than a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connect.warehouses.interface import Kept, Query

if TYPE_CHECKING:
    import pyarrow

    Ask = Callable[[Query], Any]
    """What gives DuckDB's relation of a query, on a connection that is open."""

_ROWS = 10_000
_FEW = 4
"""So many are kept: campaigns of other topics may be reading at the same time."""

Mark = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    tables: Mapping[str, Query]
    mark: Mark
    since: float
    rows: Mapping[str, pyarrow.Table] | None = field(repr=False)
    """None where they would need too much memory."""


@dataclass
class Keep:
    """What was made of one file."""

    fresh_for: timedelta = timedelta(minutes=1)
    most: int = 8 << 20
    """Bytes of everything that is kept."""
    most_rows: int = 250_000
    """Nothing is made from more rows than these: to make it would need memory too."""
    _made: list[_Made] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def tables(self, kept: Kept, mark: Mark, ask: Ask) -> Mapping[str, pyarrow.Table] | None:
        """The tables of a part, as they are now; None where they are too large to be kept. `mark` is the file's."""
        with self._guard:
            self._made = [made for made in self._made if self._holds(made, mark)]
            found = next((made for made in self._made if made.tables == kept.tables), None)
            if found is None:
                found = _Made(kept.tables, mark, time.monotonic(), self._rows(kept, ask))
                self._made = [*self._made, found][-_FEW:]
                self._make_room()
            return found.rows

    def clear(self) -> None:
        with self._guard:
            self._made = []

    def _holds(self, made: _Made, mark: Mark) -> bool:
        young = time.monotonic() - made.since <= self.fresh_for.total_seconds()
        return young and (made.mark == mark or made.rows is None)

    def _rows(self, kept: Kept, ask: Ask) -> Mapping[str, pyarrow.Table] | None:
        few = f"select count(*) from (select 1 from (\n{kept.source.sql}\n) as s limit {self.most_rows + 1}) as t"
        if ask(Query(few, kept.source.parameters)).fetchall()[0][0] > self.most_rows:
            return None
        rows, size = {}, 0
        for name, query in kept.tables.items():
            table = _read(ask(query), self.most - size)
            if table is None:
                return None
            rows[name], size = table, size + table.nbytes
        return rows

    def _make_room(self) -> None:
        """Forget the oldest, but never what was asked for just now."""
        while len(self._made) > 1 and sum(map(_size, self._made)) > self.most:
            del self._made[0]


def marked(file: Path) -> Mark:
    """What changes with each change of a file that is open, and of the log beside it. Only its reader may ask."""
    return tuple(_stat(path) for path in (file, file.with_name(f"{file.name}.wal")))


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _size(made: _Made) -> int:
    return sum(table.nbytes for table in (made.rows or {}).values())


def _read(relation: Any, most: int) -> pyarrow.Table | None:
    """All rows of a relation; None where they are more bytes than these."""
    import pyarrow

    reader = relation.to_arrow_reader(_ROWS)
    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > most:
            return None
    return pyarrow.Table.from_batches(batches, reader.schema)
