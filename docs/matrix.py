"""The matrix of providers: who can do what, read from their capabilities."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from connect.providers import catalog
from connect.providers.events import parse_events_of
from connect.providers.interface import Capabilities, Idempotency, Provider
from connect.vocabulary import Channel, Platform


def page_of(name: str) -> str:
    """A provider's page. Those of one module, which differ in a single capability, share the first one's."""
    return f"{_together(name)[0]}.md"


def _together(name: str) -> list[str]:
    module = catalog.providers[name].partition(":")[0]
    return [other for other, place in catalog.providers.items() if place.partition(":")[0] == module]


def table() -> str:
    """One row for each page of Connect's own providers, one column for each capability, and what the columns mean."""
    rows = [_row(_together(name)) for name in sorted(catalog.providers, key=_order) if _together(name)[0] == name]
    header = "| | " + " | ".join(column.name for column in COLUMNS) + " |"
    legend = [f"- **{column.name}**: {column.means}" for column in COLUMNS]
    return "\n".join([header, "|---" * (len(COLUMNS) + 1) + "|", *rows, "", *legend])


def _order(name: str) -> tuple[bool, int, str]:
    """By channel, in the order of the vocabulary; last those that reach nobody."""
    can = catalog.load(name).capabilities
    return not can.reaches_people, min(list(Channel).index(channel) for channel in can.channels), name


def _row(names: list[str]) -> str:
    """What differs between those who share a page stands side by side."""
    title = ", ".join([f"[{names[0]}]({page_of(names[0])})", *names[1:]])
    adapters = [catalog.load(name) for name in names]
    cells = [" / ".join(dict.fromkeys(column.tell(adapter) for adapter in adapters)) for column in COLUMNS]
    return f"| {title} | {' | '.join(cells)} |"


def yes(flag: bool) -> str:
    return "yes" if flag else "no"


def size(count: int | None) -> str:
    """In the units in which providers give their limits."""
    if count is None:
        return _NOTHING
    return f"{count / 1e6:g} MB" if count >= 1e6 else f"{count / 1e3:g} KB"


_NOTHING = "–"
"""A capability that a provider of this kind has no use for, or a limit that it does not have."""


def repeated(can: Capabilities) -> str:
    """What becomes of a message that is handed over twice."""
    if can.idempotency is Idempotency.none:
        return "sent again"
    known = "recognised" if can.idempotency is Idempotency.message_key else "recognised in the same call"
    lifetime = can.idempotency_lifetime
    return known + (f" for {lifetime.total_seconds() / 3600:g} hours" if lifetime else "")


def channels(can: Capabilities) -> str:
    return _in_order(Channel, can.channels)


def devices(can: Capabilities) -> str:
    return _in_order(Platform, can.platforms) if Channel.push in can.channels else _NOTHING


def _in_order(kind: type[StrEnum], members: Collection[StrEnum]) -> str:
    return ", ".join(member.value for member in kind if member in members)


def _of_email(can: Capabilities, flag: bool) -> str:
    return yes(flag) if Channel.email in can.channels else _NOTHING


def _of_people(can: Capabilities, flag: bool) -> str:
    return yes(flag) if can.reaches_people else _NOTHING


_PEOPLE = "whether it reaches any: what a live run needs (opt-outs, a limit, an unsubscribe URL) applies only then."
_PER_CALL = "messages in one call, at most: each is still rendered for one person, and gets its own answer."
_MESSAGE = "the largest one, if there is such a limit. Limits in characters, and of push messages, are on the pages."
_REPEATED = """\
what becomes of a message that is handed over twice, which a crash or a lost answer can make necessary. Where it is
  *sent again*, Connect does not repeat it: it counts it as `unknown`, and
  [`policy.in_doubt`](../reference/campaign.md#policy) decides."""
_SANDBOX = "a mode in which it checks messages and sends none: `connect run NAME --mode test --sandbox`."
_EVENTS = "whether it reports what became of a message later, and the adapter reads that."
_COUNTS = "whether it can count [openings and clicks](../tracking.md) by itself, where its account says so."
_ON_DISK = "whether messages are kept there; the run says so, loudly, before it starts."


@dataclass(frozen=True)
class Column:
    """A capability: its short name, what an adapter's cell says, and what it means, for the legend."""

    name: str
    tell: Callable[[type[Provider]], str]
    means: str


def _column(name: str, tell: Callable[[Capabilities], str], means: str) -> Column:
    return Column(name, lambda adapter: tell(adapter.capabilities), means)


COLUMNS = (
    _column("channels", channels, "what it carries."),
    _column("devices", devices, "what the devices run that a push message can be handed to it for."),
    _column("people", lambda can: yes(can.reaches_people), _PEOPLE),
    _column("per call", lambda can: f"{can.max_batch:,}", _PER_CALL),
    _column("call", lambda can: size(can.max_call_bytes), "the most that one call holds, if there is such a limit."),
    _column("message", lambda can: size(can.max_message_bytes), _MESSAGE),
    _column("at a time", lambda can: f"{can.default_concurrency}", "calls, unless the account says `concurrency`."),
    _column("repeated", repeated, _REPEATED),
    _column("sandbox", lambda can: _of_people(can, can.sandbox), _SANDBOX),
    Column("events", lambda adapter: _of_people(adapter.capabilities, parse_events_of(adapter) is not None), _EVENTS),
    _column("counts", lambda can: _of_email(can, can.tracks), _COUNTS),
    _column("attachments", lambda can: _of_email(can, can.attachments), "whether e-mails may have them."),
    _column("headers", lambda can: _of_email(can, can.custom_headers), "whether e-mails may have your own."),
    _column("on disk", lambda can: yes(can.persists_messages), _ON_DISK),
)
