"""What MySQL, MariaDB and PyMySQL say, in our words. Only what quotes names is repeated, never a value."""

from __future__ import annotations

import re

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError, WarehouseLost

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html , https://mariadb.com/kb/en/mariadb-error-codes/
_SYNTAX, _READ_ONLY, _NO_QUERY = (1064, 1149), 1792, 0
_TIMEOUT, _KILLED, _LOCKED = (1969, 3024), 1317, (1205, 3572)
_DEADLOCK = 1213
_LOST = (2006, 2013, 2055, 1053, 1927, 1152, 1158, 1159, 1160, 1161, 3169, 4031)
_MEMORY = (5, 1021, 1037, 1038, 1041, 1114, 1135, 3170, 3635)
_PERMISSION = (1044, 1142, 1143, 1227, 1370, 1410)
_NAMES_ONLY: tuple[int, ...] = (
    1046,
    1049,
    1050,
    1051,
    1052,
    1054,
    1055,
    1056,
    1060,
    1061,
    1066,
    1072,
    1091,
    1109,
    1111,
    1115,
    1128,
)
_NAMES_ONLY += (1140, 1146, 1221, 1222, 1235, 1241, 1247, 1248, 1250, 1267, 1270, 1271, 1273, 1305, 1318, 1327, 1347)
_NAMES_ONLY += (1356, 1582, 1583, 1630, 4078, 4161)
"""Errors that quote names and nothing else. All others may quote data, and are not repeated."""

_GONE = {
    1040: "takes no more connections",
    1203: "takes no more connections of this user",
    1226: "takes no more connections of this user",
    1044: "refuses the user this database",
    1045: "refuses the user or the password",
    1698: "refuses the user or the password",
    1049: "has no such database",
    1129: "blocks this machine after too many failures",
    1130: "lets nobody in from this machine",
    1251: "wants to sign in in a way that PyMySQL does not know",
    2059: "wants to sign in in a way that PyMySQL does not know",
    2026: "offers no TLS, or not what the settings ask for",
}
_HINTS = {
    1040: "raise the server's max_connections",
    1203: "raise max_user_connections",
    1226: "raise max_user_connections",
    1049: "check `database` in connect.yml",
    1129: "run `flush hosts` on the server",
    2026: "check `ssl_mode` and `ssl_ca` in connect.yml",
}
_FOR_GOOD = (1044, 1045, 1049, 1130, 1251, 1698, 2026, 2059)


def code_of(error: BaseException) -> int:
    """The number of the server's or the driver's error; 0 where there is none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def _said(error: BaseException) -> str:
    return str(error.args[1]) if len(error.args) > 1 else ""


def of_query(error: BaseException, name: str, why: str, sql: str, *, writes: bool) -> ConnectError:
    """The error of a query. `why` we stopped it; `sql`: what the server was sent; `writes`: it was meant to."""
    code = code_of(error)
    if why or code in _TIMEOUT or code == _KILLED:
        return _stopped(why or ("server" if code == _KILLED else "timeout"), name)
    if code in _LOST or (not code and not _said(error)):
        return _lost(name)
    if code in _LOCKED:
        return _locked(name)
    if code in _PERMISSION:
        return _forbidden(_said(error), name, writes)
    if code in (_READ_ONLY, _NO_QUERY):
        message = f"the query on `{name}` would write, or is none"
        return SqlError(Problem("sql-error", message, "an audience only reads; change data in a job of its own"))
    if code in (*_SYNTAX, *_NAMES_ONLY):
        return _unaccepted(code, _said(error), name, sql)
    return _failed(code, name)


def _unaccepted(code: int, said: str, name: str, sql: str) -> SqlError:
    # What it quotes of a syntax error is SQL with the values in it.
    why = "it can not be read from here on" if code in _SYNTAX else said
    message = f"the warehouse does not accept the query on `{name}`: {why}"
    found = SqlError(Problem("sql-error", message, "run it in the mysql client to try"))
    found.offset = _place(code, said, sql)
    return found


def _place(code: int, said: str, sql: str) -> int | None:
    """Where in the SQL it is wrong, as far as the message tells."""
    if code in _SYNTAX:
        near = re.search(r"near '(.*)' at line (\d+)", said, re.DOTALL)
        if not near or not near[1]:
            return None
        line = sum(len(text) for text in sql.splitlines(keepends=True)[: int(near[2]) - 1])
        place = sql.find(near[1], line)
        return place if place >= 0 else None
    named = re.search(r"'(?:[^']*\.)?([^'.]+)'", said)
    places = [found.start() for found in re.finditer(rf"\b{re.escape(named[1])}\b", sql)] if named else []
    return places[0] if len(places) == 1 else None


def _failed(code: int, name: str) -> OutsideError:
    if code in _MEMORY:
        message = f"the server of `{name}` has no memory or disk left for the query"
        return OutsideError.of("query-memory", message, "build a table of the audience first, or ask for less")
    if code == _DEADLOCK:
        message = f"the server of `{name}` stopped the query, because it was in the way of others ({code})"
        return OutsideError.of("query-stopped", message, "run it again")
    hint = "run the query in the mysql client to see why: it is not repeated here, because it may hold a person's data"
    return OutsideError.of("query-failed", f"the server stopped the query on `{name}` with the error {code}", hint)


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
    message = f"a table that the query on `{name}` needs is locked by somebody else"
    return OutsideError.of("warehouse-locked", message, "wait for what runs: `show processlist` tells")


_DENIED = re.compile(
    r"^([A-Z ,]+) command denied to user '([^']*)'@'[^']*' for (?:table|column '[^']*' in table) (\S+)"
)


def _forbidden(said: str, name: str, writes: bool) -> ConnectError:
    found = _DENIED.search(said)
    table = found[3].strip("`'").replace("`", "") if found else ""
    hint = f"run `grant {found[1].lower()} on {table} to {found[2]}`" if found else "grant it to the source's user"
    what = f"{found[1].lower()} on {table}" if found else "all of it"
    if writes:
        return UserError.of("warehouse-privilege", f"the user of `{name}` may not write: {what} is denied", hint)
    message = f"the user of `{name}` may not read everything: {what} is denied"
    return OutsideError.of("warehouse-permission", message, hint)


def of_connecting(error: BaseException, name: str, place: str) -> ConnectError:
    """Why no connection could be had."""
    code = code_of(error)
    said = _GONE.get(code, "can not be reached")
    if isinstance(getattr(error, "original_exception", None), OSError) and "SSL" in str(error):
        code, said = 2026, _GONE[2026]
    else_hint = "check `user` and `password` in connect.yml" if code in _FOR_GOOD else ""
    network = "check `host` and `port` in connect.yml, that the server runs, and the network between"
    problem = Problem(
        "warehouse-unreachable", f"{place}, source `{name}`, {said}", _HINTS.get(code, else_hint or network)
    )
    return OutsideError(problem) if code in _FOR_GOOD else WarehouseLost(problem)


def bad_settings(name: str) -> UserError:
    said = f"the URL of source `{name}` can not be read"
    return UserError.of("bad-url", said, "mysql://user:${PASSWORD}@host:3306/database")
