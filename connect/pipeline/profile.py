"""One person on demand: what the project's profile query says, segments, opt-outs, and what was sent to them lately.

Everything is asked when it is wanted, for the eyes of who asks; nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connect.errors import Problem, Severity, UserError, raise_errors
from connect.pipeline.asking import PATIENCE, Answer, first_rows
from connect.pipeline.correspondence import correspondence, history_tables
from connect.pipeline.mistakes import placed_in
from connect.pipeline.segments import members_of
from connect.pipeline.subscriber import Person, Subscriber, look_up
from connect.project.profile import Everyone
from connect.project.profile import Profile as Described
from connect.project.project import Project
from connect.project.segments import load_segment, segment_names
from connect.warehouses import query
from connect.warehouses.audience import compared_id, find
from connect.warehouses.interface import Column, Query, Warehouse
from connect.warehouses.membership import counted

OpenWarehouse = Callable[[str], Warehouse]


@dataclass
class Profile:
    """What is known of a person. What could not be asked is None, and why is among the problems."""

    who: Person
    columns: dict[str, Any] | None = field(default=None, repr=False)
    """Of the profile query; None where it knows nobody of this id."""
    segments: dict[str, bool | None] = field(default_factory=dict)
    subscriber: Subscriber | None = None
    deliveries: Answer | None = None
    """Those of the last 30 days, the latest first; None where the project writes none."""
    events: Answer | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether anything at all is known of this person."""
        told = [answer.rows for answer in (self.deliveries, self.events) if answer]
        opted_out = self.subscriber is not None and bool(self.subscriber.entries)
        return self.columns is not None or any(self.segments.values()) or opted_out or any(told)


def profile_of(project: Project, open_warehouse: OpenWarehouse, id: str, now: datetime) -> Profile:
    """Everything about one person. Raises UserError where there is no query to ask, or it gives several rows."""
    asked = project.profile or project.everyone
    if asked is None:
        said = "connect.yml has no query that knows a person by id"
        raise UserError.of("no-profile", said, "add `profile: select … from … where id = :id`")
    day = now.astimezone(ZoneInfo(project.timezone)).date()
    values = {"fire_time": now, "fire_date": day}
    columns = _columns(asked, open_warehouse(asked.source), id, values)
    found = Profile(Person(id, *(_text(columns, name) for name in ("email", "phone_number"))), columns)
    with _noting(found.problems):
        source = (project.everyone or asked).source
        found.segments = _segments(project, open_warehouse(source), id, values, found.problems)
    if project.subscriptions is not None:
        with _noting(found.problems):
            found.subscriber = look_up(project, open_warehouse(project.subscriptions.source), found.who, now)
    if (tables := history_tables(project)) is not None:
        with _noting(found.problems):
            there = open_warehouse(tables.source)
            found.deliveries, found.events = correspondence(project.target, tables, there, found.who, now)
    return found


@contextmanager
def _noting(problems: list[Problem]) -> Iterator[None]:
    """A mistake in one place is told, and the others are asked all the same."""
    try:
        yield
    except UserError as error:
        problems += error.problems


# What the project's query says


def _columns(
    asked: Described | Everyone, warehouse: Warehouse, id: str, values: Mapping[str, object]
) -> dict[str, Any] | None:
    by_id = _of_everyone if isinstance(asked, Everyone) else _by_id
    columns, bound = by_id(asked, warehouse, id, values)
    with placed_in(asked.sql, asked.sql.file, warehouse.dialect):
        rows = first_rows(warehouse, bound, 2)
        if len(rows) > 1:
            said = f"`{asked.section}` gives several rows for this id, and a person is one"
            raise UserError.of("several-profiles", said, "group or filter them in the query, or take a key as the id")
    return dict(zip((column.name for column in columns), rows[0], strict=True)) if rows else None


def _by_id(
    asked: Described | Everyone, warehouse: Warehouse, id: str, values: Mapping[str, object]
) -> tuple[list[Column], Query]:
    """The query with the id as text; where that does not do and it looks like one, with the id as a number."""
    _must_read(asked, warehouse, ("id",))
    if "id" not in query.used(asked.sql, warehouse.dialect.sqlglot):
        said = "`profile` does not bind `:id`, so it would give everybody"
        raise UserError.of("profile-without-id", said, "add a condition, such as `where id = :id`", asked.sql.at(0))
    try:
        return _described(asked, warehouse, {**values, "id": id})
    except UserError:
        if not (id.isascii() and id.isdigit() and len(id) < _LONGEST):
            raise
        trouble = _trouble_of(asked, warehouse, {**values, "id": int(id)})
        if trouble is not None:
            raise
    return _described(asked, warehouse, {**values, "id": int(id)})


_LONGEST = 19
"""Digits of what still is a number to every engine."""


def _trouble_of(asked: Described | Everyone, warehouse: Warehouse, values: Mapping[str, object]) -> UserError | None:
    try:
        _described(asked, warehouse, values)
    except UserError as error:
        return error
    return None


def _of_everyone(
    asked: Described | Everyone, warehouse: Warehouse, id: str, values: Mapping[str, object]
) -> tuple[list[Column], Query]:
    """The row of `everyone` with this id."""
    _must_read(asked, warehouse, ())
    columns, bound = _described(asked, warehouse, values)
    column = find(columns, "id")
    if column is None:
        said = "`everyone` returns no `id`, by which a person could be found"
        raise UserError.of("missing-column", said, "return it, or write a `profile` query with `:id`", asked.sql.at(0))
    dialect = warehouse.dialect
    same = f"{compared_id(column, column, dialect, 'p')} = {dialect.text(dialect.parameter('connect_id'))}"
    sql = f"select p.*\nfrom (\n{bound.sql}\n) as p\nwhere {same}"
    return columns, Query(sql, {**bound.parameters, "connect_id": id})


def _must_read(asked: Described | Everyone, warehouse: Warehouse, parameters: tuple[str, ...]) -> None:
    dialect = warehouse.dialect.sqlglot
    raise_errors(query.check(asked.sql, dialect=dialect, parameters=parameters, clock_warehouse=True))


def _described(
    asked: Described | Everyone, warehouse: Warehouse, values: Mapping[str, object]
) -> tuple[list[Column], Query]:
    bound = query.bound(asked.sql, warehouse.dialect, values)
    with placed_in(asked.sql, asked.sql.file, warehouse.dialect):
        return list(warehouse.columns(bound, PATIENCE)), bound


def _text(columns: Mapping[str, Any] | None, name: str) -> str | None:
    """A cell that is text and not blank, whatever the case of its column."""
    found = next((cell for key, cell in (columns or {}).items() if key.casefold() == name), None)
    return found.strip() or None if isinstance(found, str) else None


# Segments


def _segments(
    project: Project, warehouse: Warehouse, id: str, values: Mapping[str, object], problems: list[Problem]
) -> dict[str, bool | None]:
    """Each segment of the project, and whether this person is in it; None for one that is wrong."""
    found: dict[str, bool | None] = dict.fromkeys(segment_names(project.root))
    asked = {}
    for name in found:
        with _noting(problems):
            segment = load_segment(project.root, name)
            wrong = query.check(segment.sql, dialect=warehouse.dialect.sqlglot, parameters=(), clock_warehouse=True)
            raise_errors(problem for problem in wrong if problem.severity is Severity.error)
            asked[name] = members_of(segment, warehouse, values, PATIENCE)
    if asked:
        rows = warehouse.rows(counted(list(asked.values()), id, warehouse.dialect), PATIENCE)
        names = list(asked)
        found |= {names[int(str(row["connect_segment"]))]: bool(row["connect_members"]) for row in rows}
    return found
