"""What the subscriptions query says about single devices: its rows about some device tokens.

The case of a token matters. A row about one says nothing about the person's other devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connect.vocabulary import Channel
from connect.warehouses.audience import find
from connect.warehouses.interface import Dialect, Query, Warehouse
from connect.warehouses.wrapping import BOUNCED, COMPLAINED, UNSUBSCRIBED, OptOuts

LENT = "connect_tokens"
_AT_ONCE = 1_000
"""Tokens that are bound to one query, where they can not be lent: engines take some thousand parameters."""
_FLAGS = {"bounced": BOUNCED, "complained": COMPLAINED}


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the subscriptions query about a device."""

    token: str = field(repr=False)
    channel: str | None
    topic: str | None
    flag: int
    """What it counts as; 0 takes something back."""
    at: Any
    """As the query says it; None where it does not."""
    stands: bool
    """It is an opt-out, and was not taken back: in one scope only a later return does that."""


def answers(optouts: OptOuts) -> bool:
    """Whether the subscriptions query can tell of devices, and the message is for some."""
    asked = optouts.sql is not None and find(optouts.columns, "address") is not None
    return asked and Channel.push in optouts.channels


def opted_out(warehouse: Warehouse, optouts: OptOuts, tokens: Iterable[str], timeout: timedelta) -> dict[str, int]:
    """Device token → flag, of those among these that are not to be sent to. Raises as `told` does."""
    found: dict[str, int] = {}
    for one in told(warehouse, optouts, tokens, timeout):
        if one.stands and _counts(one, optouts):
            found[one.token] = max(one.flag, found.get(one.token, 0))
    return found


def told(warehouse: Warehouse, optouts: OptOuts, tokens: Iterable[str], timeout: timedelta) -> list[Told]:
    """Every row about one of these. `warehouse` is the one that has the opt-outs. Raises as `Warehouse.rows` does."""
    wanted = sorted(set(tokens))
    asked = _queries(warehouse, optouts, wanted) if wanted else ()
    known = set(wanted)
    return _judged(
        [row for query in asked for row in _rows(warehouse, query, timeout) if row["address"] in known], optouts
    )


def _queries(warehouse: Warehouse, optouts: OptOuts, tokens: Sequence[str]) -> Iterator[Query]:
    dialect = warehouse.dialect
    if warehouse.capabilities.takes_rows:
        import pyarrow

        lent = {LENT: pyarrow.table({"token": pyarrow.array(tokens, pyarrow.string())})}
        yield Query(_sql(dialect, optouts, f"select t.token from {LENT} as t"), dict(optouts.parameters), lent=lent)
        return
    for start in range(0, len(tokens), _AT_ONCE):
        bound = {f"connect_token_{n}": token for n, token in enumerate(tokens[start : start + _AT_ONCE])}
        among = ", ".join(map(dialect.parameter, bound))
        yield Query(_sql(dialect, optouts, among), {**optouts.parameters, **bound})


def _sql(dialect: Dialect, optouts: OptOuts, among: str) -> str:
    texts = ", ".join(
        f"{_cell(dialect, optouts, name)} as {name}" for name in ("address", "channel", "topic", "status")
    )
    at = find(optouts.columns, "at")
    changed = f"c.{dialect.quote(at.name)}" if at else dialect.text("null")
    cells = f"select {texts}, {changed} as changed\nfrom (\n{optouts.sql}\n) as c"
    about = f"a.address in ({among}) and (a.channel is null or lower(a.channel) = '{Channel.push.value}')"
    return f"select a.address, a.channel, a.topic, a.status, a.changed\nfrom (\n{cells}\n) as a\nwhere {about}"


def _cell(dialect: Dialect, optouts: OptOuts, name: str) -> str:
    column = find(optouts.columns, name)
    if column is None:
        return dialect.text("null")
    return f"nullif({dialect.trimmed(dialect.text(f'c.{dialect.quote(column.name)}'))}, '')"


def _rows(warehouse: Warehouse, asked: Query, timeout: timedelta) -> Iterator[dict[str, Any]]:
    """Engines differ in how they write the names of columns."""
    return ({name.casefold(): value for name, value in row.items()} for row in warehouse.rows(asked, timeout))


def _judged(rows: Sequence[Mapping[str, Any]], optouts: OptOuts) -> list[Told]:
    """As of people: each scope is judged by itself."""
    back: dict[tuple[object, ...], Any] = {}
    for row in rows:
        if not _flag(row, optouts) and row["changed"] is not None:
            scope = _scope(row)
            back[scope] = max(row["changed"], back.get(scope, row["changed"]))
    return [_one(row, _flag(row, optouts), back.get(_scope(row))) for row in rows]


def _one(row: Mapping[str, Any], flag: int, back: Any) -> Told:
    at = row["changed"]
    stands = flag > 0 and (back is None or (at is not None and at >= back))
    return Told(row["address"], row["channel"], row["topic"], flag, at, stands)


def _scope(row: Mapping[str, Any]) -> tuple[object, ...]:
    return row["address"], (row["channel"] or "").lower(), row["topic"]


def _flag(row: Mapping[str, Any], optouts: OptOuts) -> int:
    if find(optouts.columns, "status") is None:
        return UNSUBSCRIBED
    if row["status"] in optouts.subscribed_values:
        return 0
    return _FLAGS.get((row["status"] or "").lower(), UNSUBSCRIBED)


def _counts(one: Told, optouts: OptOuts) -> bool:
    """A bounce or a complaint is about every message."""
    return one.flag >= BOUNCED or (not optouts.transactional and one.topic in (None, optouts.topic))
