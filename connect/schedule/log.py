"""What the daemon says: lines of JSON for machines, or lines for people. Every line names an action.

Values are names, ids, numbers, instants and our own texts; nothing about anybody in an audience is ever given to it,
and secrets of the project are hidden wherever they turn up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TextIO

import structlog

from connect.clock import Clock
from connect.errors import ConnectError
from connect.redact import Redactor

Form = Literal["json", "text"]
Value = str | int | float | bool | datetime | None
_Line = MutableMapping[str, Any]


class Log:
    """Says what happens. `action` is a stable word in kebab-case; who is told by machines reads it."""

    def __init__(self, stream: TextIO, form: Form, redactor: Redactor, clock: Clock) -> None:
        self.redactor = redactor
        """Replaced when the project is read again: its secrets may be others then."""
        self._clock = clock
        self._told: structlog.typing.WrappedLogger = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[self._stamped, self._redacted, _as_json if form == "json" else _as_text],
        )

    def info(self, action: str, **values: Value) -> None:
        self._say("info", action, values)

    def warning(self, action: str, **values: Value) -> None:
        self._say("warning", action, values)

    def error(self, action: str, **values: Value) -> None:
        self._say("error", action, values)

    def trouble(self, action: str, problem: BaseException, **values: Value) -> None:
        """An exception in one line. What we did not raise ourselves gives its type only: its text may quote a row."""
        self.error(action, **values, **said_by(problem))

    def _say(self, level: str, action: str, values: Mapping[str, Value]) -> None:
        with suppress(OSError):  # whoever read the lines has gone; that is no reason to send nothing
            getattr(self._told, level)(
                action, **{key: value for key, value in values.items() if value not in (None, "")}
            )

    def _stamped(self, _: object, level: str, line: _Line) -> _Line:
        return {"at": self._clock.now(), "level": level, "action": line.pop("event"), **line}

    def _redacted(self, _: object, __: str, line: _Line) -> _Line:
        return {key: self.redactor.text(value) if isinstance(value, str) else value for key, value in line.items()}


class _Lines(logging.Handler):
    """What libraries log becomes lines like the others: who said it, and an exception's type. Their texts may quote."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        said = f"{record.name}: {kind.__name__}" if kind else record.name
        self._log.warning("library-warning", reason=said)


@contextmanager
def libraries_told(log: Log) -> Iterator[None]:
    """Meanwhile nothing that a library logs goes anywhere else."""
    root, lines = logging.getLogger(), _Lines(log)
    before = root.handlers[:]
    root.handlers[:] = [lines]
    try:
        yield
    finally:
        root.handlers[:] = before


def said_by(problem: BaseException) -> dict[str, Value]:
    """Code, reason, place and hint of a problem, for a line."""
    if not isinstance(problem, ConnectError) or not problem.problems:
        return {"reason": f"internal error: {type(problem).__name__}"}
    first, *others = problem.problems
    return {
        "reason": "; ".join(each.message for each in (first, *others)),
        "code": first.code,
        "where": str(first.location) if first.location else None,
        "hint": first.hint or None,
    }


def _as_json(_: object, __: str, line: _Line) -> str:
    written = {key: _plain(value) for key, value in line.items()}
    return str(structlog.processors.JSONRenderer(ensure_ascii=False)(None, "", written))


def _plain(value: Value) -> Value:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.value if isinstance(value, StrEnum) else value


def _as_text(_: object, __: str, line: _Line) -> str:
    """`12:00:03 warning  run-paused  weekly: why  (run …)`."""
    at, level, action = (line.pop(key) for key in ("at", "level", "action"))
    campaign, reason = line.pop("campaign", ""), line.pop("reason", "")
    said = ": ".join(str(part) for part in (campaign, reason) if part)
    rest = ", ".join(f"{key} {_plain(value)}" for key, value in line.items())
    severity = "" if level == "info" else f"{level}: "
    parts = (f"{at:%Y-%m-%d %H:%M:%S}", action, f"{severity}{said}".rstrip(": "), f"({rest})" if rest else "")
    return "  ".join(_one_line(part) for part in parts if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())
