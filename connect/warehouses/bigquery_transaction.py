"""Several statements, all or none: a transaction over the jobs of one session.

https://cloud.google.com/bigquery/docs/transactions: what makes or drops tables can not be in one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from google.cloud.bigquery import ConnectionProperty

from connect.warehouses.bigquery_errors import is_driver_error
from connect.warehouses.interface import Query

CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
"""What BigQuery calls statements that change rows."""


class Transaction:
    """Begun with the first statement that is not alone; committed when the context ends well."""

    def __init__(self, execute: Callable[..., Any], abandon: Callable[..., Any]) -> None:
        """`execute` runs a statement to its end; `abandon` does so too, whatever has been stopped meanwhile."""
        self._execute, self._abandon = execute, abandon
        self._session: list[ConnectionProperty] = []

    def run(self, statement: Query, *, alone: bool) -> None:
        if alone:
            self._execute(statement)
            return
        if not self._session:
            begun = self._execute(Query("begin transaction", {}), create_session=True)
            self._session = [ConnectionProperty("session_id", begun.session_info.session_id)]
        self._execute(statement, connection_properties=self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._session:
            return
        try:
            if error is None:
                self._execute(Query("commit transaction", {}), connection_properties=self._session)
        finally:
            self._end()

    def _end(self) -> None:
        """A session that is left behind would keep its transaction, and with it the table, for hours."""
        try:
            self._abandon(Query("call bq.abort_session()", {}), connection_properties=self._session)
        except Exception as error:
            if not is_driver_error(error):
                raise
