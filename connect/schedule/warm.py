"""What calls have in common, made once for each version of the project's files, and let go of when nobody calls."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, cast

from connect.liquid.library import Library
from connect.project.campaigns import LoadedMessage, load_message
from connect.project.files import templates
from connect.project.project import Project
from connect.project.text import Text
from connect.warehouses.interface import Column, Query, Warehouse

FRESH = 60.0
"""Seconds for which the columns of a query are known: somebody may change a table."""
_MOST, _LONGEST = 500, 20_000
"""Queries whose columns are known, and the characters of one."""
_ANYTHING, _LOOKING = Query("select 1 as one", {}), timedelta(minutes=1)


@dataclass
class Columns:
    """Of queries, by their text and the types of what they bind: never by a value. For any thread."""

    monotonic: Callable[[], float]
    _known: OrderedDict[object, tuple[float, Sequence[Column]]] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: object, ask: Callable[[], Sequence[Column]]) -> Sequence[Column]:
        """Those that are known by this name, else what asking gives."""
        with self._guard:
            at, columns = self._known.get(name, (0.0, None))
        if columns is not None and self.monotonic() - at < FRESH:
            return columns
        at, columns = self.monotonic(), ask()
        with self._guard:
            self._known[name] = at, columns
            self._known.move_to_end(name)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return columns

    def forget(self) -> None:
        with self._guard:
            self._known.clear()


class Knowing:
    """A warehouse that is asked for the columns of a query once. What else it is asked is asked of one opening."""

    def __init__(self, warehouse: Warehouse, columns: Columns, source: str) -> None:
        self._warehouse, self._columns, self._source = warehouse, columns, source
        self._stack = ExitStack()
        self._held = False

    @classmethod
    def over(cls, warehouse: Warehouse, columns: Columns, source: str) -> tuple[Warehouse, ExitStack]:
        """The warehouse, and what lets go of its opening; it is opened anew for what is asked after that."""
        made = cls(warehouse, columns, source)
        return cast(Warehouse, made), made._stack

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        if len(query.sql) > _LONGEST or query.brought or query.lent:
            return self._asked(query, timeout)
        types = tuple((name, _type(value)) for name, value in sorted(query.parameters.items()))
        return self._columns.of((self._source, query.sql, types), lambda: self._asked(query, timeout))

    def _asked(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        if not self._held:  # where opening is dear, it is opened once for all questions
            self._held = True
            self._stack.enter_context(self._warehouse.read(_ANYTHING, _LOOKING, 1))
        return self._warehouse.columns(query, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)


def _type(value: object) -> object:
    """What decides the type of a column that holds it: engines have whole numbers of several sizes."""
    return (type(value), (value.bit_length() + 7) // 8) if isinstance(value, int) else type(value)


class Version:
    """The project's files as they were read at one time. For any thread."""

    def __init__(self, project: Project, monotonic: Callable[[], float]) -> None:
        self._project = project
        self._messages: dict[str, LoadedMessage] = {}
        self._guard = threading.Lock()
        self.columns = Columns(monotonic)

    def is_of(self, project: Project) -> bool:
        return self._project.tree is project.tree

    @cached_property
    def texts(self) -> Mapping[str, Text]:
        return templates(self._project.root)

    @cached_property
    def library(self) -> Library:
        return Library(self.texts)

    def message(self, name: str) -> LoadedMessage:
        """A message of messages/. Raises UserError where there is none of this name."""
        with self._guard:
            if name not in self._messages:
                self._messages[name] = load_message(self._project, name)
            return self._messages[name]
