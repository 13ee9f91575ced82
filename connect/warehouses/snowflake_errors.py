"""What Snowflake and its driver say, in our words: names and SQL are repeated, and never a value of a row."""

from __future__ import annotations

import re
import time

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError, WarehouseLost

# Snowflake's own numbers; those from 100000 on are about data, and their words may quote it.
_CANCELED, _TIMEOUT, _PRIVILEGE, _DATA = 604, 630, 3001, 100000
_NO_COMPUTE = (606, 607, 608)
_LOCKED = (625, 635)
_SESSION_GONE = range(390100, 390200)
_DRIVER = range(250000, 260000)
_LINE = ("OperationalError", "InterfaceError", "InternalError")
"""What the driver raises when the way to the server is the trouble, or the server's answer is none."""

_REFUSED = {
    390100: ("refuses the user or the password", "check `user` and `password` in connect.yml"),
    390101: ("has locked or disabled the user", "ask your administrator: `describe user …` shows why"),
    390144: (
        "refuses the key",
        "it is not this user's: compare with `describe user …`, and check `user` and `account` in connect.yml",
    ),
    390189: ("has no such role, or the user may not take it", "check `role` in connect.yml"),
    390201: (
        "has no such database, schema or warehouse, or the role may not use it",
        "check them in connect.yml; `connect doctor --grants` shows what the role needs",
    ),
    390422: ("lets nobody in from this address", "a network policy forbids it: ask your administrator"),
}


def _told(error: BaseException) -> tuple[int, str, str]:
    """The number, the state and the words of the server; -1 where it never said anything."""
    number = getattr(error, "errno", None)
    words = str(getattr(error, "raw_msg", "") or "")
    said = re.sub(r"^(\d{6} \(\w{5}\): ?)+", "", words)
    return number if isinstance(number, int) else -1, str(getattr(error, "sqlstate", "") or ""), said


def of_query(error: BaseException, name: str, why: str, until: float, *, writes: bool) -> ConnectError:
    """The error of a query. `why` we stopped it; `until` when its time was over; `writes`: whether it changes data.

    The `offset` of an SqlError is the place in the text as it was sent.
    """
    number, state, said = _told(error)
    if why or number in (_CANCELED, _TIMEOUT):
        return _stopped(why or ("timeout" if number == _TIMEOUT or time.monotonic() >= until else "server"), name)
    if number in _NO_COMPUTE:
        return _no_compute(name)
    if number in _LOCKED:
        return _locked(name)
    if number == _PRIVILEGE or state == "42501":
        return _forbidden(said, name, writes)
    if 0 < number < _DATA and state.startswith(("42", "02")):
        return _unaccepted(said, name)
    if number in _SESSION_GONE or number in _DRIVER or type(error).__name__ in _LINE:
        return lost(name)
    return _failed(number, name)


def _unaccepted(said: str, name: str) -> SqlError:
    words = " ".join(said.removeprefix("SQL compilation error:").partition("\n\n")[0].split())
    hint = "run it in a worksheet, with the source's role, to try"
    if "not authorized" in words:
        hint = "check the name; if it is right, `connect doctor --grants` shows what the role needs"
    return SqlError(Problem("sql-error", f"the warehouse does not accept the query on `{name}`: {words}", hint))


def place_in(sent: str, error: BaseException) -> int | None:
    """Where in the text, as it was sent, the server sees the mistake: it tells a line from 1 and a column from 0."""
    found = re.search(r"line (\d+) at position (\d+)", _told(error)[2])
    lines = sent.split("\n")
    if not found or not 0 < int(found[1]) <= len(lines):
        return None
    return sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2])


def _failed(number: int, name: str) -> OutsideError:
    told = f" ({number:06d})" if number >= 0 else ""
    hint = "run the query in a worksheet to see the value: it is not repeated here, because it may be a person's"
    return OutsideError.of("query-failed", f"the server stopped the query on `{name}` with an error{told}", hint)


def _stopped(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: a larger warehouse, or a table of the audience"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    whom = " by somebody at the server" if why == "server" else ""
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped{whom}", "run it again")


def lost(name: str) -> WarehouseLost:
    hint = "see that Snowflake can be reached, and run it again"
    return WarehouseLost(Problem("warehouse-lost", f"the connection to `{name}` was lost", hint))


def _locked(name: str) -> OutsideError:
    message = f"a table that the statement on `{name}` changes is locked by somebody else"
    return OutsideError.of("warehouse-locked", message, "wait for the load that runs: `show locks` shows it")


def _no_compute(name: str) -> UserError:
    message = f"the user of `{name}` has no virtual warehouse to run queries on"
    hint = "give `warehouse` in connect.yml, and grant usage on it to the role"
    return UserError.of("no-compute", message, hint)


def _forbidden(said: str, name: str, writes: bool) -> ConnectError:
    hint = "`connect doctor --grants` shows the SQL that grants it, for somebody who may"
    words = " ".join(said.removeprefix("SQL access control error:").split())
    if writes:
        return UserError.of("warehouse-privilege", f"the user of `{name}` may not write there: {words}", hint)
    return OutsideError.of("warehouse-permission", f"the user of `{name}` may not read everything: {words}", hint)


def of_connecting(error: BaseException, name: str, account: str) -> ConnectError:
    """Why nobody could sign in. The driver's own words are not repeated."""
    number, _, _ = _told(error)
    said, hint = _REFUSED.get(number, ("can not be reached", ""))
    place = f"the Snowflake account {account}, source `{name}`,"
    if number in _REFUSED or number in range(390000, 400000):
        known = said if number in _REFUSED else f"refuses to sign in ({number})"
        problem = Problem("warehouse-unreachable", f"{place} {known}", hint or "look the number up in its manual")
        return OutsideError(problem)
    hint = "check `account` in connect.yml (the part before .snowflakecomputing.com), and the network between"
    return WarehouseLost(Problem("warehouse-unreachable", f"{place} {said}", hint))
