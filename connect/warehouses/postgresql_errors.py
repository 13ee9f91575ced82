"""What PostgreSQL and psycopg say, in our words. Only what quotes names and SQL is repeated, never a value of a row."""

from __future__ import annotations

import re
import time
from typing import Any

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError, WarehouseLost

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PERMISSION, _CANCELED, _LOCKED = "42501", "57014", "55P03"
_READ_ONLY = ("25006", "25001")
"""A statement that writes, and one that would make the transaction one that does."""
_UNSUPPORTED = "0A"
_NAMES_ONLY = ("42", "3D", "3F")
"""Classes whose messages quote names and SQL. All others may quote data, and are not repeated."""
_LOST = ("57P", "08", "25P03")
_GONE = {
    "53300": "takes no more connections",
    "28": "refuses the user or the password",
    "3D000": "has no such database",
    "57P03": "is starting or shutting down",
}
_FOR_GOOD = ("28", "3D000")
_HINTS = {
    "53300": "raise the server's max_connections, or use a pooler",
    "28": "check `user` and `password` in connect.yml, and pg_hba.conf on the server",
    "3D000": "check `database` in connect.yml",
    "57P03": "wait until it runs",
}


def _told(error: BaseException) -> tuple[str, str]:
    """The code and the message of the server; blank where it never said anything."""
    code = str(getattr(error, "sqlstate", "") or "")
    diagnosis: Any = getattr(error, "diag", None)
    return code, str(getattr(diagnosis, "message_primary", "") or "").partition("\n")[0]


def of_query(
    error: BaseException, name: str, why: str, until: float, *, read: bool, writes: bool = False
) -> ConnectError:
    """The error of a query. `why` we stopped it; `until` when its time was over; `read`: whether it read rows.

    `writes`: it was to change something.
    """
    code, said = _told(error)
    if why or code == _CANCELED:
        return _stopped(why or ("timeout" if time.monotonic() >= until - 0.5 else "server"), name)
    if not code or code.startswith(_LOST):
        return _lost(name)
    if code == _LOCKED:
        return _locked(name)
    if writes and code in (_PERMISSION, *_READ_ONLY):
        return _not_to_be_written(said, name)
    if code == _PERMISSION:
        return _forbidden(said, name)
    if code in _READ_ONLY:
        message = f"the query on `{name}` would write: {said}"
        return SqlError(Problem("sql-error", message, "an audience only reads; change data in a job of its own"))
    if code.startswith((*_NAMES_ONLY, _UNSUPPORTED)) or not read:
        return _unaccepted(error, said, name)
    return _failed(code, name)


def _unaccepted(error: BaseException, said: str, name: str) -> SqlError:
    hint = str(getattr(getattr(error, "diag", None), "message_hint", "") or "")
    near = re.search(r'reference the column "(?:[^".]+\.)?([^"]+)"', hint)
    remedy = f"did you mean `{near[1]}`?" if near else "run it in psql to try"
    found = SqlError(Problem("sql-error", f"the warehouse does not accept the query on `{name}`: {said}", remedy))
    position = getattr(getattr(error, "diag", None), "statement_position", None)
    found.offset = int(position) - 1 if position else None
    return found


def _failed(code: str, name: str) -> OutsideError:
    if code in ("53100", "53200", "53400"):
        message = f"the server of `{name}` has no memory or disk left for the query"
        return OutsideError.of("query-memory", message, "build a table of the audience first, or ask for less")
    if code.startswith("40"):
        message = f"the server of `{name}` stopped the query, because it was in the way of others ({code})"
        return OutsideError.of("query-stopped", message, "run it again; see max_standby_streaming_delay on a standby")
    hint = "run the query in psql to see the value: it is not repeated here, because it may be a person's"
    at = "at a value that does not fit" if code.startswith("22") else "with an error"
    return OutsideError.of("query-failed", f"the server stopped the query on `{name}` {at} ({code})", hint)


def _stopped(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    whom = " by the server's administrator" if why == "server" else ""
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped{whom}", "run it again")


def _lost(name: str) -> OutsideError:
    hint = "see that the server runs and can be reached, and run it again"
    return WarehouseLost(Problem("warehouse-lost", f"the connection to `{name}` was lost", hint))


def _locked(name: str) -> OutsideError:
    message = f"a table that the query on `{name}` reads is locked by somebody else"
    hint = "wait for the load, ALTER TABLE or VACUUM FULL that runs: pg_stat_activity shows it"
    return OutsideError.of("warehouse-locked", message, hint)


_FORBIDDEN = re.compile(r"permission denied for (?:(schema|function|database|sequence) )?(?:[a-z ]* )?(\S+)$")
_GRANTS = {
    "schema": "grant usage on schema {0} to {1}",
    "function": "grant execute on function {0} to {1}",
    "database": "grant connect on database {0} to {1}",
}


def _forbidden(said: str, name: str) -> OutsideError:
    found = _FORBIDDEN.search(said)
    grant = _GRANTS.get(found[1] or "", "grant select on {0} to {1}") if found else ""
    hint = f"run `{grant.format(found[2], 'the_user')}`, with the source's user" if found else "grant it to the user"
    return OutsideError.of("warehouse-permission", f"the user of `{name}` may not read everything: {said}", hint)


_WRITING = {
    "schema": "grant usage, create on schema {0} to {1}",
    "sequence": "grant usage on sequence {0} to {1}",
}


def _not_to_be_written(said: str, name: str) -> UserError:
    found = _FORBIDDEN.search(said)
    grant = _WRITING.get(found[1] or "", "grant select, insert on {0} to {1}") if found else ""
    hint = f"run `{grant.format(found[2], 'the_user')}`, with the source's user" if found else "grant it to the user"
    if database := re.search(r"permission denied to create temporary tables in database \"(.+)\"$", said):
        hint = f"run `grant temporary on database {database[1]} to the_user`, with the source's user"
    if "read-only transaction" in said:
        hint = "write to the primary server, as a user whose default_transaction_read_only is off"
    return UserError.of("warehouse-privilege", f"the user of `{name}` may not write everything: {said}", hint)


def of_connecting(error: BaseException, name: str, place: str) -> ConnectError:
    """Why no connection could be had. psycopg's own words may hold the password: they are not repeated."""
    code = _told(error)[0] or _guessed(str(error))
    known = next((start for start in _GONE if code.startswith(start)), "")
    said = _GONE.get(known, "can not be reached")
    hint = _HINTS.get(known, "check `host` and `port` in connect.yml, that the server runs, and the network between")
    problem = Problem("warehouse-unreachable", f"{place}, source `{name}`, {said}", hint)
    return OutsideError(problem) if known in _FOR_GOOD else WarehouseLost(problem)


def _guessed(words: str) -> str:
    """What libpq says when connecting fails, it says as text only."""
    for code, pattern in (
        ("28", r"password|authentication|no pg_hba|role .* does not exist|SSL|certificate"),
        ("3D000", r"database .* does not exist"),
        ("53300", r"too many (clients|connections)|remaining connection slots"),
        ("57P03", r"starting up|shutting down|not yet accepting"),
    ):
        if re.search(pattern, words, re.IGNORECASE):
            return code
    return ""


def bad_settings(name: str) -> UserError:
    said = f"the URL of source `{name}` can not be read"
    return UserError.of("bad-url", said, "postgresql://user:${PASSWORD}@host:5432/database")


def bad_encoding(name: str, encoding: str) -> OutsideError:
    message = f"the database of `{name}` is in {encoding}; the positions of people need one in UTF8"
    return OutsideError.of("warehouse-encoding", message, "make a database with `encoding 'UTF8'` and load it there")
