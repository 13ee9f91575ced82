"""What DuckDB says, in our words. Only what quotes names and SQL is repeated, never a value of a row."""

from __future__ import annotations

import re
from pathlib import Path

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError


def is_engine_error(error: BaseException) -> bool:
    """An exception of DuckDB, or of pyarrow that carries DuckDB's words."""
    if isinstance(error, ConnectError):
        return False
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(roots & {"_duckdb", "duckdb", "pyarrow"}) or isinstance(error, OSError | ValueError)


_NO_ROOM = r"^Out of Memory|could not allocate block of size|failed to pin block of size"


def wants_memory(words: str) -> bool:
    """Whether there was too little: for a query, or to put into the file what its write-ahead log holds."""
    return re.search(_NO_ROOM, words) is not None


def is_durable(words: str) -> bool:
    """Whether something failed only after the commit."""
    return "COMMIT succeeded and is durable" in words


_NAMES_ONLY = ("Binder Error", "Catalog Error", "Parser Error", "Syntax Error")
"""Errors that quote names and SQL. All others may quote data, and are not repeated."""


def said(words: str, name: str) -> ConnectError:
    if re.search(_NOT_ALLOWED, words):
        return forbidden(name)
    kind = words.partition(":")[0] if re.match(r"[A-Z][A-Za-z ]+ Error:", words) else "error"
    if kind in _NAMES_ONLY:
        told = words.partition("\n\nLINE")[0].partition(": ")[2]
        message = f"DuckDB does not accept the query on `{name}`: {told}"
        return SqlError(Problem("sql-error", message, _sql_hint(told)))
    if kind == "Permission Error":
        message = f"the query on `{name}` reaches outside its database, which is locked for audiences"
        return UserError.of("sql-error", message, "load files into the database first, in a job of its own")
    hint = "run the query in DuckDB to see the value: it is not repeated here, because it may be a person's"
    return OutsideError.of("query-failed", f"DuckDB stopped the query on `{name}` with a {kind}", hint)


def _sql_hint(told: str) -> str:
    near = re.search(r"(?:Candidate bindings: |Did you mean )\"([^\"]+)\"", told)
    return f"did you mean `{near[1]}`?" if near else "run it in DuckDB to try"


def interrupted(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped", "run it again")


def not_opened(words: str, name: str, file: Path | None, *, writes: bool = False) -> ConnectError:
    if "Could not set lock" in words:
        holder = re.search(r"\(PID (\d+)\)", words)
        who = f"process {holder[1]}" if holder else "another process"
        hint = f"wait until process {holder[1]} is done, or stop it" if holder else "wait until it is done, or stop it"
        used = "in use" if writes else "being written to"
        return OutsideError.of("warehouse-locked", f"{file}, source `{name}`, is {used} by {who}", hint)
    if writes and re.search(_NOT_ALLOWED, words):
        return forbidden(name)
    hint = "check that it is a DuckDB file that this version of DuckDB reads, and that you may read it"
    return OutsideError.of("warehouse-unreadable", f"{file}, source `{name}`, can not be opened", hint)


_NOT_ALLOWED = r"^IO Error: Cannot open file .*(Permission denied|Read-only file system)"


def forbidden(name: str) -> UserError:
    message = f"the file of `{name}` may be read here, and not be written to"
    return UserError.of("warehouse-privilege", message, "give this user write access to the file and to its folder")


def forgets(name: str) -> UserError:
    message = f"`{name}` is a database in memory, which keeps nothing that is written to it"
    return UserError.of("warehouse-privilege", message, "name a file: `path: warehouse.duckdb`")
