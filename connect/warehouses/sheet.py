"""Audiences of a Google Sheet: read once into memory, and asked there through DuckDB."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from connect.redact import Secret
from connect.warehouses import files_csv
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.duckdb_opening import Held
from connect.warehouses.interface import AUDIENCE, Capabilities, Source, SourceSettings
from connect.warehouses.sheet_download import Account, Address, download, header_and_rows

if TYPE_CHECKING:
    import pyarrow

_CELLS = "connect_cells"
_NAME = "the sheet"


class SheetSettings(DuckDBSettings):
    """Which sheet, and as whom it is read."""

    url: str | None = "duckdb:///:memory:"
    sheet: str
    service_account: Secret | None = None
    endpoint_url: str | None = None


class Sheet(DuckDB):
    """The rows of one tab, as the table `AUDIENCE`; every cell is text. What was read stays until this is let go."""

    Settings: ClassVar[type[SourceSettings]] = SheetSettings
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=10), enforces_read_only=True, takes_rows=True
    )

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source.settings, SheetSettings)
        self._of = source.settings
        self._once = threading.Lock()
        self._cells: Any = None

    def _connect(self, held: Held, until: float) -> tuple[Any, Callable[[bool], bool]]:
        with self._once:
            if self._cells is None:
                self._cells = self._downloaded(timedelta(seconds=max(0.0, until - time.monotonic())))
        return super()._connect(held, until)

    def _downloaded(self, timeout: timedelta) -> pyarrow.Table:
        import pyarrow

        account = Account(self._of.service_account, self._of.endpoint_url)
        header, rows = header_and_rows(download(Address.read(self._of.sheet), account, timeout))
        files_csv.check_header(_NAME, header)
        columns = zip(*rows, strict=True) if rows else ([] for _ in header)
        arrays = [pyarrow.array([cell or None for cell in column], pyarrow.string()) for column in columns]
        return pyarrow.table(dict(zip(header, arrays, strict=True)))

    def _prepare(self, raw: Any) -> None:
        raw.register(_CELLS, self._cells)
        columns = files_csv.subscribed(self._cells.column_names)
        raw.execute(f"create temp view {AUDIENCE} as select *{columns} from {_CELLS}")
