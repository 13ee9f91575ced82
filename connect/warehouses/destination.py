"""The tables of the destination, column by column: what was sent to whom, and what became of it.

They are the user's: anything may read them, and what is older than any policy looks back may be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connect.errors import Problem
from connect.warehouses.interface import Column, Kind, Range, Table

VERSION = 1
"""Of the columns below. A later one only adds to them."""


@dataclass(frozen=True, slots=True)
class Described:
    """A column of ours, in words."""

    kind: Kind
    meaning: str


_RUN = Described(Kind.text, "the run, as `connect runs` names it")
_KEY = Described(Kind.text, "the delivery's pseudonym in its run: 32 hexadecimal digits")

DELIVERIES: Mapping[str, Described] = {
    "run": _RUN,
    "message_key": _KEY,
    "target": Described(Kind.text, "the target that it was sent from"),
    "campaign": Described(Kind.text, "the campaign's name"),
    "topic": Described(Kind.text, "the message's subscription topic; null where it has none"),
    "fire_time": Described(Kind.instant, "the run's fire time"),
    "id": Described(Kind.text, "the person's id; null unless `include` has it, and for who left the audience"),
    "audience_key": Described(Kind.text, "the key of the row, each part behind its length; null where `id` is"),
    "once_key": Described(Kind.text, "likewise, of what `policy.once` lists, or the row's key where that is null"),
    "channel": Described(Kind.text, "email, sms, push or http"),
    "address": Described(Kind.text, "where it went; null unless `include` has it, and for what was not sent"),
    "provider": Described(Kind.text, "the account that it was given to; null for what was given to none"),
    "outcome": Described(Kind.text, "sent, skipped, refused, failed or unknown"),
    "reason": Described(Kind.text, "why; null where there is nothing to say"),
    "arm": Described(Kind.text, "the arm of an experiment; null where there is none"),
    "deliveries": Described(Kind.integer, "how many deliveries this row stands for: 1, more for rows of one key"),
    "written_at": Described(Kind.instant, "when it was known and written"),
}
"""One row for each delivery; what the run was alone with (rows without a key, duplicates) is counted in one row."""

EVENTS: Mapping[str, Described] = {
    "event_key": Described(Kind.text, "tells events apart, and one that is reported twice from two"),
    "run": _RUN,
    "message_key": Described(Kind.text, "the delivery that it is about, as in the table of deliveries"),
    "provider": Described(Kind.text, "the account that reported it"),
    "type": Described(Kind.text, "delivered, opened, clicked, bounced, complained, unsubscribed and so on"),
    "bounce": Described(Kind.text, "hard or soft, of a bounce; null else"),
    "reason": Described(Kind.text, "what the provider gave as the reason; null where it gave none"),
    "link": Described(Kind.text, "the link that was clicked; null else"),
    "machine": Described(Kind.boolean, "an opening or a click by a program, as far as can be told"),
    "happened_at": Described(Kind.instant, "when it happened, as the provider says"),
    "written_at": Described(Kind.instant, "when it was written"),
}
"""One row for each event that a provider reported."""


def deliveries_table(name: str) -> Table:
    return Table(name, _kinds(DELIVERIES), ("run", "message_key"))


def events_table(name: str, written: Sequence[Range] | None = None) -> Table:
    """`written`: when a new row may have been written already, if it was; None where nobody knows."""
    return Table(name, _kinds(EVENTS), ("event_key",), None if written is None else ("written_at", written))


def _kinds(described: Mapping[str, Described]) -> dict[str, Kind]:
    return {name: column.kind for name, column in described.items()}


Takes = Mapping[Kind, tuple[str, ...]]
"""See `Dialect.takes`."""


def lacking(table: Table, found: Iterable[Column], takes: Takes) -> Problem | None:
    """What is wrong with a table that is there: columns of ours that it does not have, or of types that take no rows.

    The rows could not be written: better before the first message than behind it.
    """
    types = {column.name.casefold(): column.type for column in found}
    missing = [name for name in table.columns if name not in types]
    return _missing(table, missing) if missing else _unlike(table, types, takes)


def _missing(table: Table, missing: Sequence[str]) -> Problem:
    listed = ", ".join(f"`{name}`" for name in missing)
    hint = "`connect destination init` shows the table as it should be: add what is missing, or give it another name"
    return Problem("destination-columns", f"the table {table.name} has no column {listed}", hint)


def _unlike(table: Table, types: Mapping[str, str], takes: Takes) -> Problem | None:
    kinds = {name: kind for name, kind in table.columns.items() if takes.get(kind)}
    wrong = [
        f"`{name}` is {plain} and has to be {takes[kind][0]}"
        for name, kind in kinds.items()
        if (plain := _plain(types[name])) not in takes[kind]
    ]
    if not wrong:
        return None
    hint = "change its type, or give the table another name: `connect destination init` shows it as it should be"
    return Problem("destination-types", f"in the table {table.name}, {'; '.join(wrong)}", hint)


def _plain(kind: str) -> str:
    """A type without its lengths, and without the words of an enumeration."""
    return re.sub(r"\(.*\)", "", kind, flags=re.DOTALL).strip().lower()
