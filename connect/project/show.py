"""The effective campaign, value by value, each with the file and line that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from connect.project.campaigns import Loaded
from connect.project.route import Route
from connect.project.secret_text import SecretText
from connect.project.segments import Segment
from connect.project.text import Text
from connect.project.tree import Tree
from connect.project.types import stored, written_duration, written_share
from connect.redact import HIDDEN, Secret

_ROWS = frozenset({"audience.people", "examples"})
_ELSEWHERE = {"audience.sql": "audience.sql_file"}


def effective(loaded: Loaded) -> list[tuple[str, object, str]]:
    """(dotted path, value as one would write it, `file:line` or `default`); rows are counted, not shown."""
    if loaded.campaign is None:
        return []
    return [(path, value, _origin(path, loaded.origins)) for path, value in _leaves(loaded.campaign, "")]


def _origin(path: str, origins: Mapping[str, str]) -> str:
    found = origins.get(path) or origins.get(_ELSEWHERE.get(path, ""))
    return found or "default"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    if path in _ROWS:
        yield path, None if value is None else f"{len(value)} rows"
    elif isinstance(value, Route | Tree):
        written = value.written if isinstance(value, Route) else value.filled(lambda text: text.source)
        yield from _as_it_stands(written, path)
    elif isinstance(value, BaseModel) and not isinstance(value, Text | SecretText):
        for name, info in type(value).model_fields.items():
            if name not in getattr(value, "made", ()):
                key = info.alias or name
                yield from _leaves(_as_written(name, getattr(value, name)), f"{path}.{key}" if path else key)
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, tuple) and any(isinstance(inner, BaseModel) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}")
    else:
        yield path, _shown(value)


def _as_it_stands(value: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _as_it_stands(inner, f"{path}.{key}")
    else:
        yield path, value


def _as_written(name: str, value: Any) -> Any:
    if name == "clock_warehouse":
        return "warehouse" if value else None
    if name == "max_change" and value is not None:
        return written_share(value)
    if isinstance(value, tuple) and value and all(isinstance(inner, Segment) for inner in value):
        return tuple(segment.name for segment in value)
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def _shown(value: Any) -> object:
    if isinstance(value, Text):
        return value.source
    if isinstance(value, SecretText):
        return value.references
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, timedelta):
        return written_duration(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else stored(value)
