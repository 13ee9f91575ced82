"""What is said thousands of times a second, as plain columns: an object for each delivery is dear to take apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from connect.ledger.records import Call, Intent
from connect.pipeline.books import Composed, Settlement

Columns = list[tuple[Any, ...]]

_OF_CALL = attrgetter("number", "channel", "account", "keys", "sequences")
_OF_INTENT = attrgetter(
    "key", "sequence", "channel", "account", "call", "outcome", "reason", "released_at", "call_size"
)
_OF_COMPOSED = attrgetter("batch", "start", "pending", "ended", "met")


def settlements(settled: Iterable[Settlement]) -> Columns:
    return list(zip(*settled, strict=True))


def to_settlements(columns: Columns) -> list[Settlement]:
    return [Settlement._make(one) for one in zip(*columns, strict=True)]


def calls(released: Iterable[Call]) -> Columns:
    return [_OF_CALL(call) for call in released]


def to_calls(columns: Columns) -> list[Call]:
    return [Call(*one) for one in columns]


def intents(left: Iterable[Intent]) -> Columns:
    return list(zip(*map(_OF_INTENT, left), strict=True))


def to_intents(columns: Columns) -> list[Intent]:
    return [Intent(*one) for one in zip(*columns, strict=True)]


def composed(one: Composed) -> tuple[Any, ...]:
    return (*_OF_COMPOSED(one), dict(one.problems), one.more, one.elsewhere)


def to_composed(parts: Sequence[Any]) -> Composed:
    batch, start, pending, ended, met, problems, more, elsewhere = parts
    return Composed(batch, start, pending, ended, met, Counter(problems), more, elsewhere)
