"""Opt-outs on their way into the user's own table: what a link, a webhook or the command line learnt, each once.

Rows are only ever added. Of the rows about the same person, channel and topic the latest decides, as runs read them
(connect.warehouses.wrapping), so that who comes back has a row that says so; nothing is changed or deleted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from connect.errors import Problem, Severity, UserError
from connect.identity import key_text
from connect.pipeline.mistakes import placed_in
from connect.project.project import Project, Subscriptions
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses import mentions
from connect.warehouses.interface import Column, Dialect, Kind, Query, Table, Warehouse
from connect.warehouses.wrapping import find

if TYPE_CHECKING:
    import pyarrow

COLUMNS = {
    "change_key": Kind.text,
    "id": Kind.text,
    "address": Kind.text,
    "channel": Kind.text,
    "topic": Kind.text,
    "status": Kind.text,
    "at": Kind.instant,
    "source": Kind.text,
    "reason": Kind.text,
}
TIMEOUT = timedelta(minutes=2)
ONE_CLICK, PAGE = "one_click", "page"
"""How an opt-out came by a link: the column `source`."""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody said, or what their mailbox said: from then on, or no more, on these channels and topics.

    Who is meant is said by `id`, by `address`, or by both. No channel is every channel, no topic every topic.
    """

    status: SubscriptionStatus
    at: datetime
    """Aware: when they said it, not when it is written."""
    source: str
    """How it came, in a word, such as `command` or `import`."""
    id: str | None = None
    address: str | None = None
    channel: Channel | None = None
    topic: str | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        """Without who it is about."""
        return f"Change({self.status}, {self.at}, {self.source})"


def table(subscriptions: Subscriptions) -> Table:
    """The table of `subscriptions.write`. Raises UserError where connect.yml names none."""
    if subscriptions.write is None:
        raise no_table()
    return Table(subscriptions.write, COLUMNS, ("change_key",))


def no_table() -> UserError:
    said = "connect.yml does not say where opt-outs are written"
    hint = "set `subscriptions: {write: connect_opt_outs}`, and run `connect subscriptions init`"
    return UserError.of("nowhere-to-write", said, hint)


def writable(project: Project) -> Subscriptions:
    """Where opt-outs are written. Raises UserError where connect.yml does not say."""
    if project.subscriptions is None or project.subscriptions.write is None:
        raise no_table()
    return project.subscriptions


def record(
    warehouse: Warehouse,
    subscriptions: Subscriptions,
    changes: Iterable[Change],
    wrote: Callable[[int], None] = lambda count: None,
    timeout: timedelta = TIMEOUT,
) -> int:
    """Add changes to the table of `subscriptions.write`, in batches; those that it has already are not added again.

    Each batch is in the table as a whole or not at all; `wrote` is told how many changes have been dealt with after
    each. Returns how many there were. Raises as `Warehouse.add` does, and UserError `unheard-opt-out` for a change that
    no run would ever find, before anything of its batch is written.
    """
    into, count, coming = table(subscriptions), 0, iter(changes)
    while batch := list(islice(coming, warehouse.capabilities.most_added)):
        warehouse.add(into, _arrow(_by_key(batch), subscriptions), timeout)
        count += len(batch)
        wrote(count)
    return count


def _by_key(batch: Sequence[Change]) -> dict[str, Change]:
    """Each change once: of several alike the first, as it is where they come one after the other."""
    rows: dict[str, Change] = {}
    for change in map(normal, batch):
        rows.setdefault(key_of(change), _checked(change))
    return rows


def _arrow(rows: dict[str, Change], subscriptions: Subscriptions) -> pyarrow.Table:
    import pyarrow

    types = {Kind.text: pyarrow.string(), Kind.instant: pyarrow.timestamp("us", "UTC")}
    cells = zip(*(_cells(key, change, subscriptions) for key, change in rows.items()), strict=True)
    arrays = [pyarrow.array(column, types[kind]) for column, kind in zip(cells, COLUMNS.values(), strict=True)]
    return pyarrow.table(arrays, names=list(COLUMNS))


def _cells(key: str, change: Change, subscriptions: Subscriptions) -> Sequence[object]:
    """One row, in the order of the columns."""
    came_back = change.status is SubscriptionStatus.subscribed
    status = subscriptions.subscribed if came_back else change.status.value
    who = (change.id, change.address, change.channel and change.channel.value, change.topic)
    return (key, *who, status, change.at, change.source, change.reason)


def key_of(change: Change) -> str:
    """The same for the same change, however it came: 32 hex digits."""
    said = (change.id, change.address, change.channel, change.topic, change.status, change.at.isoformat())
    text = key_text(["" if part is None else str(part) for part in said])
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


Scope = tuple[object, ...]


def scope_of(change: Change) -> Scope:
    """Whom and what it is about: of one scope the latest row decides."""
    return change.id, change.address, change.channel, change.topic


# Values as runs compare them


def normal(change: Change) -> Change:
    """The change with its values as they are compared: trimmed, e-mail in lower case, numbers by their digits."""
    return replace(
        change,
        id=_trimmed(change.id),
        address=compared(change.address, change.channel),
        topic=_trimmed(change.topic),
        at=change.at.astimezone(UTC),
        reason=_trimmed(change.reason),
    )


def _trimmed(text: str | None) -> str | None:
    return (text or "").strip() or None


_NOT_DIGIT = re.compile("[^0-9]")
_LOWER = str.maketrans({chr(letter): chr(letter + 32) for letter in range(ord("A"), ord("Z") + 1)})


def compared(address: str | None, channel: Channel | None = None) -> str | None:
    """An address as runs compare it; None where it is blank. A device token, of `push`, is compared as it stands.

    Of letters beyond ASCII the case is kept: engines differ in which of them they lower, and do so on both sides.
    """
    trimmed = (address or "").strip()
    if channel is Channel.push and not _is_contact(trimmed):
        return trimmed or None
    digits = "" if "@" in trimmed else _NOT_DIGIT.sub("", trimmed)
    return ("+" if trimmed.startswith("+") else "") + digits if digits else trimmed.translate(_LOWER) or None


def _is_contact(address: str) -> bool:
    """Whether it is an e-mail address or a phone number, which no device token looks like."""
    return "@" in address or address.startswith("+")


def _checked(change: Change) -> Change:
    if wrong := unheard(change):
        hint = "give the person's id, or the address of that channel"
        raise UserError.of("unheard-opt-out", f"no run would find this opt-out: {wrong}", hint)
    return change


def unheard(change: Change) -> str:
    """Why no run would ever find this change, in words without its values; blank where one would.

    Runs compare addresses on three channels: e-mail addresses, phone numbers, which have their `+`, and device tokens.
    """
    if change.id is not None:
        return ""
    if change.address is None:
        return "it has neither an id nor an address"
    address = compared(change.address, change.channel) or ""
    if change.channel is Channel.http:
        return "on http people are known by their id alone"
    if change.channel is Channel.push:
        return "the address is not a device token" if not address or _is_contact(address) else ""
    is_email = "@" in address.strip("@")
    if not is_email and not re.fullmatch(r"\+[0-9]{6,}", address):
        return "the address is neither an e-mail address nor a phone number with its +"
    if change.channel is (Channel.sms if is_email else Channel.email):
        return f"the address is not one of {change.channel}"
    return ""


# Whether what is written is read


def unread(subscriptions: Subscriptions, dialect: str) -> list[Problem]:
    """A warning where the subscriptions query does not read the table to which opt-outs are written."""
    if subscriptions.write is None or mentions.reads(subscriptions.sql, subscriptions.write, dialect):
        return []
    said = f"opt-outs are written to `{subscriptions.write}`, which this query does not read: nobody would be skipped"
    hint = f"add `union all select … from {subscriptions.write}`, unless one of its views reads that table"
    return [Problem("opt-outs-unread", said, hint, subscriptions.sql.at(0), Severity.warning)]


_READ = {
    "id": "who opts out by id would not be skipped",
    "address": "who opts out by address would not be skipped",
    "channel": "who opts out of one channel would be skipped on all of them",
    "topic": "who opts out of one topic would be skipped for all of them",
    "status": "who comes back would still be skipped",
    "at": "who comes back would still be skipped",
}


def partly_read(subscriptions: Subscriptions, columns: Sequence[Column]) -> list[Problem]:
    """A warning for each column that is written, and that the subscriptions query does not return."""
    if subscriptions.write is None:
        return []
    place, hint = subscriptions.sql.at(0), f"`select * from {subscriptions.write}` has them all"
    lacking = [name for name in _READ if find(columns, name) is None]
    told = (f"the query returns no `{name}`, which is written: {_READ[name]}" for name in lacking)
    return [Problem("opt-outs-partly-read", said, hint, place, Severity.warning) for said in told]


# The table


@contextmanager
def asking(subscriptions: Subscriptions, dialect: Dialect) -> Iterator[None]:
    """What is wrong with the subscriptions query, at its place in the file; and how a missing table is made."""
    try:
        with placed_in(subscriptions.sql, subscriptions.sql.file, dialect):
            yield
    except UserError as error:
        name = (subscriptions.write or "").rpartition(".")[2].strip('"`')
        told = (_made_by_us(problem) if name and name in problem.message else problem for problem in error.problems)
        raise UserError(*told) from None


def _made_by_us(problem: Problem) -> Problem:
    return replace(problem, hint="`connect subscriptions init` makes the table of `subscriptions.write`")


def create(warehouse: Warehouse, subscriptions: Subscriptions) -> None:
    """Make the table where there is none. Raises as `Warehouse.write` does."""
    warehouse.write([Query(statement, {}) for statement in statements(warehouse, subscriptions)], TIMEOUT)


def statements(warehouse: Warehouse, subscriptions: Subscriptions) -> Sequence[str]:
    """The DDL. Raises UserError where the engine does not take tables of ours."""
    _must_write(warehouse, subscriptions)
    return warehouse.dialect.create_table(table(subscriptions))


def _must_write(warehouse: Warehouse, subscriptions: Subscriptions) -> None:
    if not warehouse.capabilities.writes:
        said = f"opt-outs can not be written to source `{subscriptions.source}`: Connect only reads from its engine"
        raise UserError.of("source-only-reads", said, "write them with a job of your own")


def check_table(warehouse: Warehouse, subscriptions: Subscriptions) -> None:
    """Whether the table is there, as it should be. Raises UserError, or what a query raises."""
    _must_write(warehouse, subscriptions)
    name = table(subscriptions).name
    try:
        found = warehouse.columns(Query(f"select * from {name}", {}), TIMEOUT)
    except UserError as error:
        if error.problems[0].code != "sql-error":
            raise
        hint = "`connect subscriptions init` makes it"
        raise UserError.of("no-opt-out-table", f"the table `{name}` can not be read, or is not there", hint) from None
    lacking = [column for column in COLUMNS if column not in {one.name.casefold() for one in found}]
    if lacking:
        said = f"the table `{name}` has no column {', '.join(f'`{column}`' for column in lacking)}"
        hint = "it must be one that `connect subscriptions init` made: name another in `subscriptions.write`"
        raise UserError.of("no-opt-out-table", said, hint)
