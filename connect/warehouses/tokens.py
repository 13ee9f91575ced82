"""What the subscriptions query says about single devices: its rows about some device tokens.

The case of a token matters. A row about one says nothing about the person's other devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def answers(optouts: OptOuts) -> bool:
    """Whether the subscriptions query can tell of devices, and the message is for some."""
    asked = optouts.sql is not None and find(optouts.columns, "address") is not None
    return asked and Channel.push in optouts.channels


def opted_out(warehouse: Warehouse, optouts: OptOuts, tokens: Iterable[str], timeout: timedelta) -> dict[str, int]:
    """Device token → flag, of those among these that are not to be sent to. Raises as `Warehouse.rows` does.

    `warehouse` is the one that has the opt-outs.
    """
    wanted = sorted(set(tokens))
    asked = _queries(warehouse, optouts, wanted) if wanted else ()
    known = set(wanted)
    rows = [row for query in asked for row in _told(warehouse.rows(query, timeout)) if row["address"] in known]
    return _standing(rows, optouts)


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


def _told(rows: Iterable[Mapping[str, object]]) -> Iterator[dict[str, Any]]:
    """Engines differ in how they write the names of columns."""
    return ({name.casefold(): value for name, value in row.items()} for row in rows)


def _standing(rows: Sequence[Mapping[str, Any]], optouts: OptOuts) -> dict[str, int]:
    """As of people: in one scope only a later return takes something back, and each scope is judged by itself."""
    back: dict[tuple[object, ...], Any] = {}
    for row in rows:
        if not _flag(row, optouts) and row["changed"] is not None:
            scope = _scope(row)
            back[scope] = max(row["changed"], back.get(scope, row["changed"]))
    found: dict[str, int] = {}
    for row in rows:
        flag, since = _flag(row, optouts), back.get(_scope(row))
        stands = since is None or (row["changed"] is not None and row["changed"] >= since)
        if stands and _counts(row, flag, optouts):
            found[row["address"]] = max(flag, found.get(row["address"], 0))
    return found


def _scope(row: Mapping[str, Any]) -> tuple[object, ...]:
    return row["address"], (row["channel"] or "").lower(), row["topic"]


def _flag(row: Mapping[str, Any], optouts: OptOuts) -> int:
    if find(optouts.columns, "status") is None:
        return UNSUBSCRIBED
    if row["status"] in optouts.subscribed_values:
        return 0
    return _FLAGS.get((row["status"] or "").lower(), UNSUBSCRIBED)


def _counts(row: Mapping[str, Any], flag: int, optouts: OptOuts) -> bool:
    if flag >= BOUNCED:
        return True
    return flag > 0 and not optouts.transactional and row["topic"] in (None, optouts.topic)
