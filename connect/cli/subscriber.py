"""One person's opt-outs as a page: what is on record, and what it means on each channel and for each topic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from connect.cli.tables import instant
from connect.cli.terminal import out

if TYPE_CHECKING:
    from connect.pipeline.subscriber import Entry, Person, Subscriber, Verdict

_WORDS = {"id": "id", "email": "e-mail address", "phone_number": "phone number", "device": "device's token"}


def as_json(found: Subscriber, who: Person) -> dict[str, object]:
    """Without who it is: that is what was asked with."""
    return {
        "known_by": list(who.known_by),
        "record": [_entry_as_json(entry) for entry in found.entries],
        "verdicts": [_verdict_as_json(one) for one in _told(found, who)],
    }


def _entry_as_json(entry: Entry) -> dict[str, object]:
    about = {"by": entry.by, "channel": entry.channel, "topic": entry.topic}
    return {"at": _at(entry), **about, "status": entry.status.value, "stands": entry.stands, "held": entry.held}


def _verdict_as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "channel": verdict.channel.value,
        "topic": verdict.topic,
        "marketing": verdict.reason is None,
        "transactional": verdict.transactional,
        "reason": verdict.reason.value if verdict.reason else None,
    }


def _told(found: Subscriber, who: Person) -> list[Verdict]:
    return [verdict for verdict in found.verdicts if verdict.channel in who.channels]


def _at(entry: Entry) -> str | None:
    """When, as the query says it: it may be a date, or text."""
    if isinstance(entry.at, datetime):
        return instant(entry.at.astimezone(UTC)) if entry.at.tzinfo else f"{entry.at:%Y-%m-%d %H:%M:%S}"
    return None if entry.at is None else str(entry.at)


def show(found: Subscriber, who: Person) -> None:
    known = " and ".join(_WORDS[name] for name in who.known_by)
    if not found.entries:
        out.print(f"nothing is on record by this {known}", markup=False)
    else:
        out.print(f"[bold]on record[/] by this {known}")
        out.print(_record(found.entries))
        if any(entry.held for entry in found.entries):
            out.print("[dim]held: it waits for the warehouse, and counts already[/]")
    out.print("\n[bold]may be written to?[/]")
    out.print(_verdicts(_told(found, who)))
    if who.device is not None:
        out.print("[dim]of this device alone: ask by the person's id, too, whether they have opted out[/]")
    elif len(who.known_by) == 1:
        out.print(f"[dim]by this {known} alone: a run knows all of a person's, so give the others too[/]")
    out.print("[dim]the audience's own column `subscribed` is looked at by its campaigns only[/]")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _record(entries: Sequence[Entry]) -> Table:
    table = _table("at", "by", "channel", "topic", "says", "")
    for entry in entries:
        now = "" if entry.stands or entry.status == "subscribed" else "[dim]taken back[/]"
        now = "held" if entry.held else now
        where = (escape(entry.channel or "all"), escape(entry.topic or "all"))
        table.add_row(escape(_at(entry) or "–"), entry.by, *where, entry.status.value, now)
    return table


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    channels = list(dict.fromkeys(verdict.channel for verdict in verdicts))
    topics = list(dict.fromkeys(verdict.topic for verdict in verdicts))
    table = _table("", *(channel.value for channel in channels))
    for topic in topics:
        name = escape(topic) if topic else "other topics, or none" if len(topics) > 1 else "marketing"
        row = [one for one in verdicts if one.topic == topic]
        table.add_row(name, *(f"[red]no: {one.reason}[/]" if one.reason else "[green]yes[/]" for one in row))
    plain = [one for one in verdicts if one.topic is None]
    cells = ("[green]yes[/]" if one.transactional else f"[red]no: {one.reason}[/]" for one in plain)
    table.add_row("transactional", *cells)
    return table
