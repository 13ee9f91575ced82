"""What SQLAlchemy and drivers say, in our words. Theirs are not repeated: nobody knows which of them quote data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import SqlError, WarehouseLost


def emptied(error: BaseException) -> None:
    """Take out of an error, and what it came from, all that a traceback would print."""
    for one in _chain(error):
        one.args = (type(one).__name__,)
        for name in ("orig", "params", "statement", "detail"):
            if hasattr(one, name):
                setattr(one, name, None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def refused(name: str, why: str) -> SqlError:
    hint = "keep one SELECT; an audience only reads: change data in a job of its own"
    return SqlError(Problem("sql-error", f"the query on `{name}` {why}", hint))


def of_query(error: BaseException, name: str, why: str, sql: str) -> ConnectError:
    """The error of a query. `why` we stopped it."""
    import sqlalchemy.exc as exc

    if why:
        return _stopped(why, name)
    if (isinstance(error, exc.DBAPIError) and error.connection_invalidated) or isinstance(error, exc.InterfaceError):
        hint = "see that the server runs and can be reached, and run it again"
        return WarehouseLost(Problem("warehouse-lost", f"the connection to `{name}` was lost", hint))
    mistakes = (exc.ProgrammingError, exc.NotSupportedError, exc.CompileError, ValueError)
    if isinstance(error, mistakes) or _names_nothing(error):
        return _unaccepted(error, name, sql)
    hint = "run the query there to see why: it is not repeated here, because it may be a person's"
    return OutsideError.of("query-failed", f"the query on `{name}` failed ({type(error).__name__})", hint)


_MISSING = re.compile(
    r"no such (column|table|function)|syntax error|does not exist|(can ?not|could not) be resolved|not found"
    r"|unknown (column|table|identifier)",
    re.IGNORECASE,
)


def _names_nothing(error: BaseException) -> bool:
    """Whether a driver that has one class for everything speaks of a name that is not there."""
    return bool(_MISSING.search(str(getattr(error, "orig", None) or error).partition("\n")[0]))


def _unaccepted(error: BaseException, name: str, sql: str) -> SqlError:
    words = re.findall(r"\w+", str(getattr(error, "orig", None) or error).partition("\n")[0])
    own = {word.lower() for word in re.findall(r"\w+", sql)} - _OURS
    near = ", ".join(dict.fromkeys(f"`{word}`" for word in words if word.lower() in own and not word.isdigit()))
    message = f"the warehouse does not accept the query on `{name}`" + (f", at {near}" if near else "")
    return SqlError(Problem("sql-error", message, "run it there to see why"))


_OURS = {"u", "as", "select", "from", "where", "at", "or", "the", "in", "is", "a", "of", "not", "and", "by", "on", "to"}


def _stopped(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped", "run it again")


def of_connecting(error: BaseException, name: str, engine: str) -> ConnectError:
    """Why no connection could be had. The words of drivers may hold the password: they are not repeated."""
    import sqlalchemy.exc as exc

    if isinstance(error, ModuleNotFoundError | exc.NoSuchModuleError):
        package = getattr(error, "name", None)
        missing = f"the package `{package}`" if package else "a dialect"
        hint = f"install SQLAlchemy's dialect for {engine}, with its driver"
        return UserError.of("missing-extra", f"source `{name}` needs {missing}", hint)
    if isinstance(error, exc.ArgumentError):
        return UserError.of("bad-url", f"the URL of source `{name}` can not be read", "see SQLAlchemy's page of it")
    if type(error).__name__ == "Stopped":
        return _stopped("timeout", name)
    hint = "check the URL in connect.yml, user and password, that the server runs, and the network between"
    return WarehouseLost(Problem("warehouse-unreachable", f"source `{name}` ({engine}) can not be reached", hint))
