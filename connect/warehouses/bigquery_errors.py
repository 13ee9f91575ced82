"""What BigQuery and its client say, in our words. Only what quotes names and SQL is repeated, never a value of a row.

A query is first run dry, which looks at no row: what is said of that may be repeated. What is said of the run itself
may quote a cell (`Bad int64 value: …`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.warehouses.interface import Query, SqlError, WarehouseLost

_LOST = {"backendError", "internalError", "badGateway", "tableUnavailable"}
_MEMORY = {"resourcesExceeded", "responseTooLarge"}
# https://cloud.google.com/bigquery/docs/error-messages
_QUOTAS = {
    "quotaExceeded": "wait, or raise the quota: https://console.cloud.google.com/iam-admin/quotas",
    "rateLimitExceeded": "wait a moment; too much runs at once in this project",
    "billingNotEnabled": "enable billing for the project: https://cloud.google.com/billing/docs/how-to/modify-project",
    "billingTierLimitExceeded": "make the query cheaper",
    "blocked": "ask Google why the project is blocked",
}
_STATUS = {403: "accessDenied", 404: "notFound", 429: "rateLimitExceeded", 400: "invalidQuery"}


def is_driver_error(error: BaseException) -> bool:
    """Whether the client, what carries it or its sign-in raised this."""
    modules = {".".join(kind.__module__.split(".")[:2]) for kind in type(error).__mro__}
    return bool(modules & {"google.api_core", "google.auth", "google.cloud"}) or any(
        name.partition(".")[0] in ("requests", "urllib3", "grpc") for name in modules
    )


def of_query(
    error: BaseException, name: str, why: str, query: Query, *, dry: bool, writes: bool = False
) -> ConnectError:
    """The error of a query. `why` we stopped it; `dry`: nothing was read yet."""
    reason, said = _told(error)
    if why:
        return stopped(why, name)
    if reason == "stopped":
        return stopped("timeout" if "timed out" in said else "server", name)
    if reason == "signing in":
        return unsigned(name)
    if not reason or reason in _LOST:
        return _lost(name)
    if reason == "accessDenied":
        return _forbidden(said, name, writes)
    if reason in _QUOTAS:
        return OutsideError.of("warehouse-quota", f"BigQuery refuses the query on `{name}`: {reason}", _QUOTAS[reason])
    if reason in _MEMORY:
        message = f"the query on `{name}` needs more than BigQuery gives to one query ({reason})"
        return OutsideError.of("query-memory", message, "build a table of the audience first, or ask for less")
    if reason == "bytesBilledLimitExceeded":
        return too_dear(name, None, None)
    if dry or (writes and reason in ("duplicate", "notFound")):
        return _unaccepted(said, name, query)
    return _failed(name, reason)


def _told(error: BaseException) -> tuple[str, str]:
    """BigQuery's reason and its words; blank where it never said anything."""
    cause: Any = getattr(error, "cause", None) or error  # of what was tried again and again, the last
    if type(cause).__module__.startswith("google.auth") and "Transport" not in type(cause).__name__:
        return "signing in", ""
    status = int(getattr(cause, "code", None) or 0)
    if status == 401:
        return "signing in", ""
    told: Mapping[str, Any] = next(iter(getattr(cause, "errors", None) or ()), {})
    reason = str(told.get("reason") or _STATUS.get(status, "")) if isinstance(told, Mapping) else ""
    said = str(told.get("message") or getattr(cause, "message", "")) if isinstance(told, Mapping) else ""
    return reason, said.partition("\n")[0]


_PLACE = re.compile(r" at \[(\d+):(\d+)\]$")


def _unaccepted(said: str, name: str, query: Query) -> SqlError:
    found = _PLACE.search(said)
    words = _without_values(said[: found.start()] if found else said, query)
    near = re.search(r"Did you mean (.+?)\?", words)
    remedy = f"did you mean `{near[1]}`?" if near else "run it in BigQuery's console to try"
    error = SqlError(Problem("sql-error", f"the warehouse does not accept the query on `{name}`: {words}", remedy))
    error.offset = _offset(query.sql, int(found[1]), int(found[2])) if found else None
    return error


def _without_values(words: str, query: Query) -> str:
    """What is bound may be about a person, and a constant is worked out before any row is read."""
    for value in query.parameters.values():
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            words = words.replace(text, "…") if len(text) > 1 else words
    return words


def _offset(sql: str, line: int, column: int) -> int:
    lines = sql.splitlines(keepends=True)
    return min(sum(map(len, lines[: line - 1])) + column - 1, len(sql))


def not_a_select(name: str, statement: str) -> SqlError:
    message = f"the query on `{name}` is no SELECT: BigQuery calls it {statement or 'nothing it knows'}"
    return SqlError(Problem("sql-error", message, "an audience only reads; change data in a job of its own"))


def not_a_statement(name: str) -> SqlError:
    message = f"what is to be written to `{name}` is not one statement"
    return SqlError(Problem("sql-error", message, "write one statement at a time"))


def too_dear(name: str, size: int | None, limit: int | None) -> UserError:
    told = f"{size:,} bytes, and at most {limit:,} are allowed" if size and limit else "more bytes than are allowed"
    message = f"the query on `{name}` would be billed for {told} by `maximum_bytes_billed`"
    hint = "read fewer columns or partitions, or raise `maximum_bytes_billed` of the source in connect.yml"
    return UserError.of("query-cost", message, hint)


def stopped(why: str, name: str) -> OutsideError:
    if why == "timeout":
        hint = "raise `audience.timeout`, or make the query cheaper: build a table of the audience first"
        return OutsideError.of("query-timeout", f"the query on `{name}` took longer than its time-out", hint)
    whom = " by somebody in BigQuery" if why == "server" else ""
    return OutsideError.of("query-stopped", f"the query on `{name}` was stopped{whom}", "run it again")


def _lost(name: str) -> OutsideError:
    hint = "see that BigQuery can be reached from here, and run it again: https://status.cloud.google.com"
    return WarehouseLost(Problem("warehouse-lost", f"the connection to `{name}` was lost", hint))


def _forbidden(said: str, name: str, writes: bool) -> ConnectError:
    named = re.search(r"Access Denied: (\w+ [^\s:]+(?::[^\s:]+)?)", said)
    missing = re.search(r"\b(bigquery\.[A-Za-z.]+)", said)
    what = f" ({', '.join(found[1] for found in (named, missing) if found)})" if named or missing else ""
    message = f"the account of `{name}` may not {'write' if writes else 'read'} there{what}"
    hint = "`connect doctor --grants` shows the roles that it needs"
    if writes:
        return UserError.of("warehouse-privilege", message, hint)
    return OutsideError.of("warehouse-permission", message, hint)


def _failed(name: str, reason: str) -> OutsideError:
    hint = "run the query in BigQuery's console to see why: it is not repeated here, because it may quote a person"
    return OutsideError.of("query-failed", f"BigQuery stopped the query on `{name}` with an error ({reason})", hint)


def unsigned(name: str) -> OutsideError:
    hint = (
        "check `credentials_file` or `credentials` in connect.yml; without them: gcloud auth application-default login"
    )
    return OutsideError.of("warehouse-unreachable", f"BigQuery does not let source `{name}` sign in", hint)


def bad_credentials(name: str, what: str) -> UserError:
    hint = "it is the JSON of a service account's key: https://cloud.google.com/iam/docs/keys-create-delete"
    return UserError.of("bad-credentials", f"source `{name}`: {what}", hint)


_EMPTY: Mapping[str, object] = {
    "message": "",
    "debug_message": "",
    "query_job": None,
    "_errors": (),
    "_details": (),
    "_response": None,
    "_cause": None,
}
"""Where Google's errors keep words."""


def emptied(error: BaseException | None) -> None:
    """Take the words out of an error and of what led to it: a traceback prints the chain."""
    while error is not None:
        error.args = (type(error).__name__,)
        for name, nothing in _EMPTY.items():
            if name in vars(error):
                setattr(error, name, nothing)
        error = error.__cause__ or error.__context__
