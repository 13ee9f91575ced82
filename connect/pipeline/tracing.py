"""Spans: what a run is busy with, and for how long, for whoever follows it with OpenTelemetry.

    run ─┬─ read      one read of the audience
         ├─ render    some neighbouring rows
         └─ send      one call of several messages; or a hundred calls of one, which would be a span for each person

Nobody is in a span: it has names of connect.yml, a run's id, and counts. Without a tracer, which is the rule, all of
this does nothing; `connect.executors.telemetry` brings one. It is the process's own, like its log, and not handed
through every stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

Value = str | int | float
TOGETHER = 100
"""Calls of one message that are one span."""


class Span(Protocol):
    def set(self, name: str, value: Value) -> None: ...

    def end(self) -> None: ...


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[Span]:
        """Around what is done meanwhile, whose spans are inside of it."""

    def begin(self, name: str, attributes: Mapping[str, Value]) -> Span:
        """One that is ended by hand."""

    def carried(self) -> dict[str, str]:
        """Where we are, for a worker process."""

    def follow(self, carried: Mapping[str, str]) -> None:
        """Spans of this process are inside of that one from now on."""


class _Nothing:
    """A span, and its context, of nobody who listens."""

    __slots__ = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def set(self, name: str, value: Value) -> None: ...

    def end(self) -> None: ...


NOTHING = _Nothing()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Spans of this process go there from now on."""
    global _tracer
    _tracer = tracer


def span(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """Attributes are named `connect.…`, without that here."""
    return NOTHING if _tracer is None else _tracer.span(name, attributes)


def carried() -> dict[str, str]:
    return {} if _tracer is None else _tracer.carried()


def follow(carried: Mapping[str, str]) -> None:
    if _tracer is not None and carried:
        _tracer.follow(carried)


class Calls:
    """The calls of one account: a span for each of several messages, one for many of a single one."""

    __slots__ = ("_account", "_calls", "_span")

    def __init__(self, account: str) -> None:
        self._account, self._calls = account, 0
        self._span: Span | None = None

    def call(self, messages: int) -> AbstractContextManager[Span]:
        """Around a call of so many messages."""
        if _tracer is None:
            return NOTHING
        if messages > 1:
            return _tracer.span("send", {"account": self._account, "calls": 1, "messages": messages})
        if self._span is None:
            self._span = _tracer.begin("send", {"account": self._account})
        self._calls += 1
        if self._calls >= TOGETHER:
            self.end()
        return NOTHING

    def end(self) -> None:
        """No more calls come."""
        if self._span is not None:
            self._span.set("calls", self._calls)
            self._span.set("messages", self._calls)
            self._span.end()
        self._span, self._calls = None, 0
