"""Who has heard before: what a run asks the table of deliveries, inside the audience's own query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connect.errors import Problem, UserError
from connect.vocabulary import Across, Channel
from connect.warehouses.audience import Audience, find, key_columns, key_text, person_column, person_text
from connect.warehouses.interface import Column, Dialect

PERSON, ONCE, HISTORY, NTH = "connect_person", "connect_once", "connect_history", "connect_nth"

ALREADY_SENT, CAPPED = 1, 2
"""The flags of a person's history; 0 is none."""
MET: Mapping[Channel, int] = {channel: 4 << number for number, channel in enumerate(Channel)}
"""What is added to them where another wave of the same run has met the person on this channel."""

_HEARD = "('sent', 'unknown')"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages for a person, from an instant on."""

    max: int
    since: datetime
    across: Across
    topic: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What of the deliveries before counts for this run, and which of its own."""

    table: str
    target: str
    campaign: str
    run: str
    once: bool | tuple[str, ...] = False
    """Nobody hears twice: who has the audience's key, or these columns, alike."""
    cap: Cap | None = None
    waves: bool = False
    """The run has several sweeps: who was met in one of them is not met in another."""

    @property
    def asks(self) -> bool:
        return bool(self.once or self.cap or self.waves)


def once_columns(audience: Audience, history: History) -> tuple[Column, ...]:
    """The columns that `once` lists. Raises UserError where the audience has not all of them."""
    if isinstance(history.once, bool):
        return ()
    found = []
    for name in history.once:
        column = find(audience.columns, name)
        if column is None:
            hint = "return it from the audience's query, or `once: true` goes by the audience's key"
            raise UserError(Problem("missing-column", f"`once` lists `{name}`, which the audience does not have", hint))
        found.append(column)
    return tuple(found)


@dataclass(frozen=True)
class HistoryFlags:
    """The pieces of SQL that flag who has heard before. A left join: nobody is multiplied, nobody is lost."""

    dialect: Dialect
    audience: Audience
    history: History

    def keyed(self) -> str:
        """A column of the user's rows (`u`) beside their key: the text of what `once` lists.

        A row in which part of that is null or blank goes by its own key: that more often than there are columns, so
        that it is nobody's text of the columns.
        """
        columns = once_columns(self.audience, self.history)
        if not columns:
            return ""
        own = key_text(self.dialect, key_columns(self.audience))
        instead = self.dialect.joined(*[f"({own})"] * (len(columns) + 1))
        return f"coalesce({key_text(self.dialect, columns)}, {instead}) as {ONCE}, "

    def numbered(self, key: str) -> str:
        """Likewise of rows with their key (`k`): which of the person's messages in this run it is, from 1 on."""
        if not self._numbers:
            return ""
        person = person_text(self.audience, self.dialect, "k")
        rank = f"dense_rank() over (partition by {person} order by k.{key})"
        # Those who are nobody's rows are not one person's.
        return f"case when {person} is null then 1 else {rank} end as {NTH}, "

    @property
    def own_columns(self) -> list[str]:
        """Those columns, to be carried along."""
        named = [ONCE] if once_columns(self.audience, self.history) else []
        return [*named, *([NTH] if self._numbers else [])]

    @property
    def _numbers(self) -> bool:
        """Whether one person may have several rows, so that a run alone could pass the cap."""
        return self.history.cap is not None and list(key_columns(self.audience)) != [person_column(self.audience)]

    def columns(self) -> list[str]:
        once = f"p.{ONCE}" if once_columns(self.audience, self.history) else self.dialect.text("null")
        told = [f"{person_text(self.audience, self.dialect)} as {PERSON}", f"{once} as {ONCE}"]
        cases = []
        if self.history.once:
            cases.append(f"when once.matched is not null then {ALREADY_SENT}")
        if self.history.cap:
            nth = f" + p.{NTH} - 1" if self._numbers else ""
            cases.append(f"when coalesce(cap.heard, 0){nth} >= {self.dialect.parameter('connect_cap')} then {CAPPED}")
        flag = f"case {' '.join(cases)} else 0 end" if cases else "0"
        met = " + coalesce(met.channels, 0)" if self.history.waves else ""
        return [*told, f"{flag}{met} as {HISTORY}"]

    def ctes(self, key: str) -> list[str]:
        """`key` is the column of the audience's key."""
        ctes = []
        if self.history.waves:
            ctes.append(f"connect_met as (\n{self._met(key)}\n)")
        if self.history.once:
            column, ours = ("once_key", ONCE) if not isinstance(self.history.once, bool) else ("audience_key", key)
            ctes.append(f"connect_heard as (\n{self._matching(column, ours, self._before('campaign'))}\n)")
        if self.history.cap:
            ctes.append(f"connect_capped as (\n{self._counted(self.history.cap)}\n)")
        return ctes

    def _met(self, key: str) -> str:
        """Who was met by this run, and the flags of the channels: of one message they may be met in different waves."""
        own = f"h.run = {self.dialect.parameter('connect_run')}"
        flags = (
            f"max(case when h.channel = '{channel.value}' then {flag} else 0 end)" for channel, flag in MET.items()
        )
        told = f"h.audience_key as matched, {' + '.join(flags)} as channels"
        counts = self._counts("h.audience_key", key, own)
        return f"select {told}\nfrom {self.history.table} as h\nwhere {counts}\ngroup by h.audience_key"

    def _matching(self, column: str, ours: str, where: str) -> str:
        theirs = f"h.{self.dialect.quote(column)}"
        counts = self._counts(theirs, ours, where)
        return f"select distinct {theirs} as matched\nfrom {self.history.table} as h\nwhere {counts}"

    def _counts(self, theirs: str, ours: str, where: str) -> str:
        """Rows of these people that were heard."""
        among = f"select p.{ours} from connect_people as p"
        # Without the person the row says nothing: an engine's `in` over a null would lose everybody else.
        return f"{where} and h.outcome in {_HEARD} and {theirs} is not null and {theirs} in ({among})"

    def _before(self, *same: str) -> str:
        """Other runs of this target; of the same campaign, where that is asked."""
        bind = self.dialect.parameter
        counts = [f"h.target = {bind('connect_target')}", f"h.run <> {bind('connect_run')}"]
        return " and ".join([*counts, *(f"h.{name} = {bind(f'connect_{name}')}" for name in same)])

    def _counted(self, cap: Cap) -> str:
        """Messages: one row of a run is one, however many channels and devices it went to."""
        same = {Across.campaign: ("campaign",), Across.topic: ("topic",), Across.all: ()}[cap.across]
        identity = f"h.{self.dialect.quote('id')}"
        person = person_text(self.audience, self.dialect)
        where = f"{self._before(*same)} and h.written_at > {self.dialect.parameter('connect_cap_since')}"
        people = f"select {person} from connect_people as p"
        counts = f"{where} and h.outcome in {_HEARD} and {identity} is not null and {identity} in ({people})"
        each = f"select distinct {identity} as matched, h.run as run, h.audience_key as message_of"
        messages = f"{each}\nfrom {self.history.table} as h\nwhere {counts}"
        return f"select m.matched, count(*) as heard\nfrom (\n{messages}\n) as m\ngroup by m.matched"

    def joins(self, key: str) -> list[str]:
        joins = []
        if self.history.waves:
            joins.append(f"left join connect_met as met on met.matched = p.{key}")
        if self.history.once:
            ours = ONCE if not isinstance(self.history.once, bool) else key
            joins.append(f"left join connect_heard as once on once.matched = p.{ours}")
        if self.history.cap:
            person = person_text(self.audience, self.dialect)
            joins.append(f"left join connect_capped as cap on cap.matched = {person}")
        return joins

    def parameters(self) -> dict[str, object]:
        history, cap = self.history, self.history.cap
        own: dict[str, object] = {}
        if history.asks:
            own["connect_run"] = history.run
        if history.once or cap:
            own["connect_target"] = history.target
        if history.once or (cap and cap.across is Across.campaign):
            own["connect_campaign"] = history.campaign
        if cap:
            own |= {"connect_cap": cap.max, "connect_cap_since": cap.since}
            if cap.across is Across.topic:
                own["connect_topic"] = cap.topic
        return own
