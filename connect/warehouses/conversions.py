"""Who converted after which delivery: the user's query joined with the tables of the destination.

the user's query        as it was written, in a subquery, each row numbered
→ deliveries            of this campaign that were sent to the same id before, of which the last one counts
→ events                a left join: when somebody first clicked and opened what was delivered
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connect.errors import Problem, UserError, raise_errors
from connect.warehouses.audience import compared_id, find
from connect.warehouses.counting import Told
from connect.warehouses.interface import Column, Dialect, Query
from connect.warehouses.wrapping import id_problems


@dataclass(frozen=True, slots=True)
class Converting:
    """The user's query, already bound, and the columns that count."""

    query: Query
    id: Column
    at: Column
    value: Column | None


_INSTANT = re.compile(r"(TIMESTAMP|DATE|SMALLDATE).*", re.IGNORECASE | re.DOTALL)


def converting(query: Query, columns: Sequence[Column], dialect: Dialect) -> Converting:
    """A query that returns these columns. Raises UserError where they do not do."""
    raise_errors(list(_problems(columns, dialect)))
    person, at = find(columns, "id") or find(columns, "email"), find(columns, "at")
    if person is None or at is None:
        raise UserError(_lacking("id"))
    return Converting(query, person, at, find(columns, "value"))


def _problems(columns: Sequence[Column], dialect: Dialect) -> Iterator[Problem]:
    person, at = find(columns, "id") or find(columns, "email"), find(columns, "at")
    if person is None:
        yield _lacking("id")
    else:
        yield from id_problems(person, "the query of conversions", dialect)
    if at is None:
        yield _lacking("at")
    elif not _INSTANT.fullmatch(at.type):
        said = f"`at` is {at.type}, and says when somebody converted"
        yield Problem("conversions-columns", said, "`cast(… as timestamp) as at`, in UTC where it has no zone")


def _lacking(name: str) -> Problem:
    meaning = {"id": "who converted", "at": "when"}[name]
    said = f"the query of conversions returns no `{name}`"
    return Problem("conversions-columns", said, f"return {meaning}: `select … as id, … as at, … as value`")


def conversions_query(converting: Converting, told: Told, dialect: Dialect) -> Query:
    """A row for each conversion after a delivery, each delivery's together, the earliest first.

    `run`, `message_key`, `channel`, `arm` and `sent_at` of the last delivery before it; `at` and `value`; `clicked_at`
    and `opened_at`, the first times that a person was reported to have done so.
    """
    quote, bind = dialect.quote, dialect.parameter
    person = compared_id(converting.id, converting.id, dialect, "u")
    at = f"u.{quote(converting.at.name)}"
    value = f"u.{quote(converting.value.name)}" if converting.value else "null"
    asked = f"""connect_converted as (
select {person} as connect_id, {at} as connect_at, {value} as connect_value,
row_number() over (order by {person}, {at}) as connect_number
from (
{converting.query.sql}
) as u)"""
    order = f"partition by c.connect_number order by d.{quote('written_at')} desc, d.{quote('message_key')}"
    delivery = [f"d.{quote(name)} as connect_{name}" for name in _OF_DELIVERIES]
    attributed = f"""connect_attributed as (
select c.connect_at, c.connect_value, {", ".join(delivery)}, row_number() over ({order}) as connect_nth
from connect_converted as c
join {told.deliveries} as d on d.{quote("id")} = c.connect_id and d.{quote("written_at")} <= c.connect_at
where d.{quote("target")} = {bind("connect_target")} and d.{quote("campaign")} = {bind("connect_campaign")}
and d.{quote("outcome")} = 'sent')"""
    same = "h.connect_run = a.connect_run and h.connect_message_key = a.connect_message_key"
    told_of = [f"a.connect_{name}" for name in _OF_DELIVERIES]
    sql = f"""with {asked},
{attributed},
{_heard(told, dialect)}
select {", ".join(told_of)}, a.connect_at, a.connect_value, h.connect_clicked, h.connect_opened
from connect_attributed as a
left join connect_heard as h on {same}
where a.connect_nth = 1
order by a.connect_run, a.connect_message_key, a.connect_at"""
    values = {"connect_target": told.target, "connect_campaign": told.campaign}
    return Query(sql, {**converting.query.parameters, **values})


_OF_DELIVERIES = ("run", "message_key", "channel", "arm", "written_at")


def _heard(told: Told, dialect: Dialect) -> str:
    """What people, and no programs, were reported to have done with a delivery."""
    quote = dialect.quote
    machine = dialect.truth(f"e.{quote('machine')}")

    def first(type: str) -> str:
        mine = f"when e.{quote('type')} = '{type}' then e.{quote('happened_at')}"
        return f"min(case when {machine} then null {mine} end) as connect_{type}"

    of = [f"e.{quote(name)}" for name in ("run", "message_key")]
    return f"""connect_heard as (
select {of[0]} as connect_run, {of[1]} as connect_message_key, {first("clicked")}, {first("opened")}
from {told.events} as e
where e.{quote("type")} in ('clicked', 'opened')
group by {", ".join(of)})"""
