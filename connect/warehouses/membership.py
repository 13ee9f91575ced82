"""An audience narrowed to who is in segments: its query in a subquery of ours, and theirs in `exists`.

Ids are compared as opt-outs are: as text, where null and blank equal nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from connect.errors import Problem, UserError, raise_errors
from connect.warehouses.audience import Audience, compared_id, find, person_column
from connect.warehouses.interface import Column, Dialect, Query
from connect.warehouses.wrapping import id_problems


@dataclass(frozen=True, slots=True)
class Members:
    """The query of a segment, already bound, and the column with its ids."""

    query: Query
    id: Column


@dataclass(frozen=True, slots=True)
class Membership:
    """In which segments people have to be."""

    any: Sequence[Members] = ()
    all: Sequence[Members] = ()
    none: Sequence[Members] = ()

    @property
    def each(self) -> Iterator[Members]:
        yield from (*self.any, *self.all, *self.none)


def members(query: Query, columns: Sequence[Column], dialect: Dialect) -> Members:
    """A segment whose query returns these columns. Raises UserError where none of them is the id."""
    column = columns[0] if len(columns) == 1 else find(columns, "id")
    if column is None:
        said = f"a segment gives ids, and this one returns {', '.join(f'`{one.name}`' for one in columns)}"
        raise UserError.of("segment-columns", said, "return one column, or name the one with the ids `as id`")
    raise_errors(id_problems(column, "the segment", dialect))
    return Members(query, column)


def narrowed(audience: Audience, membership: Membership, dialect: Dialect) -> Audience:
    """The audience without those who are not where they have to be. Raises UserError where it has no id to look for."""
    raise_errors(_problems(audience, dialect))
    person = person_column(audience)
    assert person is not None
    own = compared_id(person, person, dialect, "a")
    wanted = [membership.any, *([one] for one in membership.all)]
    conditions = [_exists(group, person, own, dialect) for group in wanted if group]
    conditions += [f"not {_exists(membership.none, person, own, dialect)}"] if membership.none else []
    sql = f"select a.*\nfrom (\n{audience.sql}\n) as a\nwhere " + "\nand ".join(conditions)
    parameters = {name: value for one in membership.each for name, value in one.query.parameters.items()}
    return replace(audience, sql=sql, parameters={**parameters, **audience.parameters})


def _problems(audience: Audience, dialect: Dialect) -> Iterator[Problem]:
    person = person_column(audience)
    if person is None:
        said = "segments give ids, and the audience returns no `id`"
        yield Problem("segments-unmatched", said, "return `id` beside the columns of the key")
    else:
        yield from id_problems(person, "the audience query", dialect)


def _exists(group: Sequence[Members], person: Column, own: str, dialect: Dialect) -> str:
    """Whether somebody is in one of these: never `in`, which one null among the ids would make null."""
    ids = (
        f"select {compared_id(one.id, person, dialect, 's')} as connect_id\nfrom (\n{one.query.sql}\n) as s"
        for one in group
    )
    return "exists (select 1 from (\n" + "\nunion all\n".join(ids) + f"\n) as m where m.connect_id = {own})"


def counted(segments: Sequence[Members], id: str, dialect: Dialect) -> Query:
    """One row for each segment: its number as `connect_segment`, how often the id is in it as `connect_members`."""
    is_address = "@" in id
    person = Column("email" if is_address else "id", "TEXT")
    wanted = dialect.text(dialect.parameter("connect_id"))
    selects = (
        f"select {number} as connect_segment, count(*) as connect_members\nfrom (\n{one.query.sql}\n) as s"
        f"\nwhere {compared_id(one.id, person, dialect, 's')} = {wanted}"
        for number, one in enumerate(segments)
    )
    bound = {name: value for one in segments for name, value in one.query.parameters.items()}
    return Query("\nunion all\n".join(selects), {**bound, "connect_id": id.lower() if is_address else id})
