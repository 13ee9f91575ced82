"""What SQL Server and pymssql say, in our words. Only what quotes names is repeated, never a value."""

from __future__ import annotations

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError, WarehouseLost

# https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors
_NAMES_ONLY = (195, 201, 205, 207, 208, 209, 1033, 2812, 4104, 8114, 8120, 8155, 8156)
"""Errors that quote names and nothing else. All others may quote data, and are not repeated."""
_SYNTAX = (102, 103, 105, 156, 319)
_PERMISSION, _LOCKED, _DEADLOCK = (229, 230, 297), 1222, 1205
_MEMORY = (701, 802, 1101, 1105, 8645, 8651, 9002)
_TIMEOUT = (20003,)
_LOST = (20002, 20004, 20006, 20009, 20017, 20047, 233, 10053, 10054, 10060)
_REFUSED = {18456: "refuses the user or the password", 4060: "has no such database, or not for this user"}


def code_of(error: BaseException) -> int:
    """The number of an error, which pymssql gives bare or in a tuple; 0 where there is none."""
    first = error.args[0] if error.args else 0
    first = first[0] if isinstance(first, tuple) and first else first
    return first if isinstance(first, int) else 0


def of_query(error: BaseException, name: str) -> ConnectError:
    code = code_of(error)
    if code in _TIMEOUT:
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    if code in _LOST or not code:
        hint = "see that the server runs and can be reached, and run it again"
        return WarehouseLost(Problem("warehouse-lost", f"the connection to `{name}` was lost", hint))
    if code in _PERMISSION:
        hint = "`connect doctor --grants` shows what it needs"
        return OutsideError.of("warehouse-permission", f"the user of `{name}` may not read everything", hint)
    if code == _LOCKED:
        said = f"a table that the query on `{name}` reads is locked by somebody else"
        return OutsideError.of("warehouse-locked", said, "wait for what runs: sys.dm_tran_locks tells")
    if code in (*_SYNTAX, *_NAMES_ONLY):
        return unaccepted(code, "", name)
    return _failed(code, name)


def _failed(code: int, name: str) -> OutsideError:
    if code in _MEMORY:
        said = f"the server of `{name}` has no memory or disk left for the query"
        return OutsideError.of("query-memory", said, "build a table of the audience first, or ask for less")
    if code == _DEADLOCK:
        return OutsideError.of("query-stopped", f"the server stopped the query on `{name}` ({code})", "run it again")
    hint = "run the query in sqlcmd to see why: it is not repeated here, because it may hold a person's data"
    return OutsideError.of("query-failed", f"the server stopped the query on `{name}` with the error {code}", hint)


def unaccepted(code: int, said: str, name: str) -> SqlError:
    """The error of a query that the server can not describe."""
    why = f": {said}" if said and code in _NAMES_ONLY else f" (error {code})"
    message = f"the warehouse does not accept the query on `{name}`{why}"
    return SqlError(Problem("sql-error", message, "run it in sqlcmd to try"))


def stopped(name: str) -> OutsideError:
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped", "run it again")


def of_connecting(error: BaseException, name: str) -> ConnectError:
    """Why no connection could be had."""
    code = code_of(error)
    said = _REFUSED.get(code, "can not be reached")
    hint = "check `host` and `port` in connect.yml, that the server runs, and the network between"
    hint = "check `user`, `password` and `database` in connect.yml" if code in _REFUSED else hint
    problem = Problem("warehouse-unreachable", f"SQL Server, source `{name}`, {said}", hint)
    return OutsideError(problem) if code in _REFUSED else WarehouseLost(problem)


def bad_settings(name: str) -> UserError:
    said = f"the URL of source `{name}` can not be read"
    return UserError.of("bad-url", said, "mssql://user:${PASSWORD}@host:1433/database")
