"""The user's SQL → ours: positions, one row of each key, opt-out flags, a range of the hash space, in order.

the user's query        as it was written, in a subquery: an engine refuses data-modifying CTEs there
→ keyed                 the key text of each row; rows without a key are left out, and counted by `size_query`
→ of a roll             where there is one, only those who are on it: see `roll`
→ positioned            md5(salt ‖ key text), filtered to the range
→ one of each key       always the same row of several, with the number of the others
→ flags                 a left join on the opt-outs of these people: nobody is multiplied, nobody is lost
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from connect.errors import Problem, UserError, raise_errors
from connect.identity import read_key_text
from connect.vocabulary import Channel
from connect.warehouses.audience import (
    DEFAULT_KEY,
    KEY_TYPE,
    Audience,
    castable,
    find,
    has_key,
    key_columns,
    key_text,
    person_column,
    person_text,
    raw_value,
)
from connect.warehouses.history import History, HistoryFlags
from connect.warehouses.interface import Brought, Column, Dialect, Kept, Kind, Query, Warehouse
from connect.warehouses.roll import PART, ROLL, RollCells

if TYPE_CHECKING:
    import pyarrow

POSITION, KEY, DUPLICATES = "connect_position", "connect_key", "connect_duplicates"
TIMEZONE, REGION, PHONE = "connect_timezone", "connect_region", "connect_phone"
RESERVED = "connect_"

UNSUBSCRIBED, BOUNCED, COMPLAINED = 1, 2, 3
"""The flags of an opt-out; 0 is none."""


def optout_column(channel: Channel) -> str:
    """The output column that holds this channel's opt-out flag."""
    return f"connect_optout_{channel.value}"


@dataclass(frozen=True, slots=True)
class OptOuts:
    """Who may not be written to: the subscriptions query (already bound), and what of it counts for this message.

    Without `sql` only the audience's own `subscribed` column counts.
    """

    sql: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    subscribed_values: tuple[str, ...] = ("subscribed",)
    transactional: bool = False
    """Only bounces and complaints count."""
    topic: str | None = None
    addresses: Mapping[Channel, str] = field(default_factory=dict)
    """Channel → the audience's column that holds its address."""
    channels: tuple[Channel, ...] = tuple(Channel)
    """The channels that get a flag."""
    home: Warehouse | None = None
    """The warehouse that `sql` is for, where it is not the audience's own: its rows are brought to the audience."""


@dataclass(frozen=True)
class Wrapping:
    """The queries of a run over one audience. Raises UserError when the columns do not do."""

    dialect: Dialect
    audience: Audience
    optouts: OptOuts
    salt: str = ""
    history: History | None = None
    """Where deliveries are written; None where they are not."""

    def __post_init__(self) -> None:
        raise_errors(check(self.audience, self.optouts, self.dialect))

    def size_query(self) -> Query:
        """One row: `rows`, `keyed` (rows with a key) and `without_key`."""
        rows = self.dialect.quote("rows")
        keyed = f"count(case when {has_key(self.dialect, key_columns(self.audience))} then 1 end)"
        sql = f"""select count(*) as {rows}, {keyed} as keyed, count(*) - {keyed} as without_key
from (
{self.audience.sql}
) as u"""
        return Query(sql, dict(self.audience.parameters))

    def roll_query(self, after: str | None, upto: str | None, digits: int) -> Query:
        """The key's cells of everybody, and the first digits of the positions with `after < position <= upto`.

        Whoever is elsewhere, or has no key, has null instead of digits.
        """
        cells = self._cells
        inside = " and ".join(self._bounds(after, upto)) or f"r.{POSITION} is not null"
        part = f"case when {inside} then {self.dialect.beginning(f'r.{POSITION}', digits)} end as {PART}"
        keyed = f"select {self._key_text} as {KEY}, {cells.told('u')}\nfrom (\n{self.audience.sql}\n) as u"
        positioned = f"select {self._position} as {POSITION}, {cells.named('k')}\nfrom (\n{keyed}\n) as k"
        # Without a condition: for one, positions would be made to be compared, and made again to be given.
        sql = f"select {part}, {cells.named('r')}\nfrom (\n{positioned}\n) as r"
        return Query(sql, {**self.audience.parameters, **self._bound(after, upto)})

    def sweep_query(
        self, after: str | None, upto: str | None, roll: pyarrow.Table | None = None, *, alone: bool = False
    ) -> Query:
        """Rows with `after < position <= upto`, one of each key, by position; None is no bound.

        With a roll it is everybody on that, in whatever bounds: to compare positions, everybody's would be made.
        `alone` takes each row for the only one of its key, which costs less; where it is not, it comes with others. Its
        rows are in no order, and those without a key may be among them, with no position.
        """
        flags = _Flags(self.dialect, self.audience, self.optouts)
        lent = {} if roll is None else {ROLL: roll}
        parameters = self._bound(after, upto) if roll is None else self._bound(None, None)
        people = self._people(after, upto) if roll is None else self._people_of_a_roll(alone)
        query = self._flagged(people, flags, flags.ctes(), {**flags.bound_here(), **parameters}, lent, not alone)
        if roll is None or not (tables := flags.kept()):
            return query
        kept = Kept(flags.source, tables, self._flagged(people, flags, [], parameters, lent, not alone))
        return replace(query, kept=kept)

    def _flagged(
        self,
        people: str,
        flags: _Flags,
        optouts: Sequence[str],
        bound: Mapping[str, object],
        lent: Mapping[str, pyarrow.Table],
        in_order: bool,
    ) -> Query:
        """People with their flags. `optouts` are the CTEs that find these."""
        heard = self._heard
        asked_once = not (in_order or optouts or heard)
        once = "as" if asked_once else f"as {self.dialect.materialized}".rstrip()
        ctes = [f"connect_people {once} (\n{people}\n)", *optouts]
        ctes += heard.ctes(KEY) if heard else []
        names = [self.dialect.quote(name) for name in self.audience.given]
        selected = [f"p.{POSITION}", f"p.{KEY}", f"p.{DUPLICATES}", *flags.columns(), *(f"p.{name}" for name in names)]
        selected += heard.columns() if heard else []
        parts = ["with " + ",\n".join(ctes), "select " + ", ".join(selected), "from connect_people as p"]
        joins = [*flags.joins(), *(heard.joins(KEY) if heard else [])]
        sql = "\n".join([*parts, *joins, *([f"order by p.{POSITION}"] if in_order else [])])
        asked = {**(heard.parameters() if heard else {}), **bound}
        return Query(sql, {**self.audience.parameters, **asked}, tuple(flags.brought()), lent)

    @property
    def _heard(self) -> HistoryFlags | None:
        return HistoryFlags(self.dialect, self.audience, self.history) if self.history else None

    def person_query(self, key: str) -> Query:
        """The row of one key text, with the user's columns: of several alike the one that a sweep gives.

        No row where there is nobody of this key any more. Neither opt-outs nor history are asked for.
        """
        bind = self.dialect.parameter
        sought = self._sought(key)
        alike = [f"u.{self.dialect.quote(name)} = {bind(parameter)}" for name, parameter, _ in sought]
        own = self._heard.numbered(KEY) if self._heard else ""
        keyed = self._keyed(" and ".join(alike))
        found = (
            f"select k.{KEY} as {POSITION}, {own}k.*\nfrom (\n{keyed}\n) as k\nwhere k.{KEY} = {bind('connect_key')}"
        )
        names = ", ".join(f"p.{self.dialect.quote(column.name)}" for column in self.audience.columns)
        one = self.dialect.one_of_each(found, POSITION, self._own_columns, DUPLICATES)
        values = {parameter: value for _, parameter, value in sought}
        parameters = {**self.audience.parameters, **values, "connect_key": key}
        return Query(f"select {names}\nfrom (\n{one}\n) as p", parameters)

    def _sought(self, key: str) -> list[tuple[str, str, object]]:
        """(column, parameter, value) of the key columns that an engine may look up by an index: the key text, which it
        is asked for besides, can only be compared with that of every row."""
        columns, values = key_columns(self.audience), read_key_text(key) or []
        if len(columns) != len(values):
            return []
        told = ((column.name, raw_value(column, value)) for column, value in zip(columns, values, strict=True))
        return [(name, f"connect_key_{n}", value) for n, (name, value) in enumerate(told) if value is not None]

    def optouts_query(self) -> Query | None:
        """Every row of the subscriptions query about these people, whatever its topic, the latest first.

        `id`, `address`, `channel` and `topic` as they are compared, `changed`, its `flag` (0 is subscribed), and
        whether it `stands`: 1, or 0 where it was taken back or says subscribed. None where nothing joins them.
        """
        flags = _Flags(self.dialect, self.audience, self.optouts)
        if not flags.ctes():
            return None
        once = f"as {self.dialect.materialized}".rstrip()
        sql = f"with connect_people {once} (\n{self._people(None, None)}\n)\n{flags.on_record()}"
        return Query(sql, {**self.audience.parameters, **flags.parameters(), "connect_salt": self.salt})

    def zones_query(self, phone: str) -> Query | None:
        """What tells where people are: distinct cells of `timezone` and `region_code`, and how numbers begin.

        `phone` is the column of the numbers; of each, the `+` and four digits. None where there is no such column.
        """
        names = {TIMEZONE: "timezone", REGION: "region_code", PHONE: phone}
        columns = {own: find(self.audience.columns, name) for own, name in names.items()}
        if not any(columns.values()):
            return None
        texts = {own: self._zone_cell(own, column) for own, column in columns.items()}
        selected = ", ".join(f"{text} as {own}" for own, text in texts.items())
        return Query(f"select distinct {selected}\nfrom (\n{self.audience.sql}\n) as u", dict(self.audience.parameters))

    def _zone_cell(self, own: str, column: Column | None) -> str:
        text = self.dialect.text(f"u.{self.dialect.quote(column.name)}" if column else "null")
        if own != PHONE or not column:
            return text
        return self.dialect.beginning(self.dialect.phone_digits(text), 5)

    @property
    def _cells(self) -> RollCells:
        return RollCells(self.dialect, self.audience)

    @property
    def _key_text(self) -> str:
        return key_text(self.dialect, key_columns(self.audience))

    @property
    def _position(self) -> str:
        return self.dialect.md5(self.dialect.joined(self.dialect.parameter("connect_salt"), f"k.{KEY}"))

    def _keyed(self, where: str = "") -> str:
        """The user's rows with their key text: null where a part of the key is null or blank."""
        own = self._heard.keyed() if self._heard else ""
        keyed = f"select {self._key_text} as {KEY}, {own}u.*\nfrom (\n{self.audience.sql}\n) as u"
        return keyed + (f" where {where}" if where else "")

    def _people(self, after: str | None, upto: str | None) -> str:
        own = self._heard.numbered(KEY) if self._heard else ""
        positioned = (
            f"select {self._position} as {POSITION}, {own}k.*\n"
            f"from (\n{self._keyed()}\n) as k\nwhere k.{KEY} is not null"
        )
        bounds = self._bounds(after, upto)
        ranged = f"select r.*\nfrom (\n{positioned}\n) as r" + ("\nwhere " + " and ".join(bounds) if bounds else "")
        return self.dialect.one_of_each(ranged, POSITION, self._own_columns, DUPLICATES)

    def _people_of_a_roll(self, alone: bool) -> str:
        own = self._heard.numbered(KEY) if self._heard else ""
        keyed = self._keyed(self._cells.among("u"))
        if own:  # a person's rows are counted wherever they are, also those that are not on this roll
            everybody = f"select {own}k.*\nfrom (\n{self._keyed()}\n) as k\nwhere k.{KEY} is not null"
            keyed = f"select n.*\nfrom (\n{everybody}\n) as n\nwhere {self._cells.among('n')}"
        positioned = f"select {self._position} as {POSITION}, k.*\nfrom (\n{keyed}\n) as k"
        if not alone:
            positioned += f"\nwhere k.{KEY} is not null"  # for which keys of everybody are made
            return self.dialect.one_of_each(positioned, POSITION, self._own_columns, DUPLICATES)
        own_columns = ", ".join(f"r.{self.dialect.quote(name)}" for name in self._own(self.audience.given))
        return f"select r.{POSITION}, 0 as {DUPLICATES}, {own_columns}\nfrom (\n{positioned}\n) as r"

    def _bounds(self, after: str | None, upto: str | None) -> list[str]:
        bind = self.dialect.parameter
        bounds = [f"r.{POSITION} > {bind('connect_after')}"] if after is not None else []
        return bounds + ([f"r.{POSITION} <= {bind('connect_upto')}"] if upto is not None else [])

    def _bound(self, after: str | None, upto: str | None) -> dict[str, object]:
        values = {"connect_salt": self.salt, "connect_after": after, "connect_upto": upto}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def _own_columns(self) -> list[str]:
        """All of them say which of several rows of a key is taken."""
        return self._own(column.name for column in self.audience.columns)

    def _own(self, names: Iterable[str]) -> list[str]:
        return [KEY, *(self._heard.own_columns if self._heard else ()), *names]


# What can be wrong with the columns


def check(audience: Audience, optouts: OptOuts, dialect: Dialect) -> list[Problem]:
    """What is wrong with the columns of an audience and of its opt-outs."""
    of_optouts = _optout_problems(audience, optouts, dialect)
    return [*_column_problems(audience), *_key_problems(audience, dialect), *of_optouts]


def _column_problems(audience: Audience) -> Iterator[Problem]:
    seen: set[str] = set()
    for column in audience.columns:
        if column.name.casefold() in seen:
            hint = "give one of them another name with `as`"
            yield Problem("duplicate-column", f"the audience has two columns named `{column.name}`", hint)
        if column.name.casefold().startswith(RESERVED):
            hint = "rename it with `as`: names that begin with `connect_` are Connect's own"
            yield Problem("reserved-column", f"the audience has a column named `{column.name}`", hint)
        seen.add(column.name.casefold())
    subscribed = find(audience.columns, "subscribed")
    if subscribed and not subscribed.type.upper().startswith("BOOL"):
        message = f"the column `subscribed` is {subscribed.type}; it says who may be written to and must be a boolean"
        yield Problem("subscribed-type", message, "write a comparison, such as `status = 'active' as subscribed`")


def _key_problems(audience: Audience, dialect: Dialect) -> Iterator[Problem]:
    columns = key_columns(audience)
    if len(columns) < len(audience.key):
        for name in audience.key:
            if find(audience.columns, name) is None:
                yield missing_column(name, audience.columns, "the audience's key")
    for column in columns:
        if not KEY_TYPE.fullmatch(column.type):
            message = f"the key `{column.name}` is {column.type}; a key must be an integer, text or a UUID"
            yield Problem("key-type", message, castable(column, dialect))


def missing_column(name: str, columns: Sequence[Column], what: str) -> Problem:
    """The problem of a column that is needed and not there."""
    names = [column.name for column in columns]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"rename one with `as {name}`: {', '.join(names)}"
    return Problem("missing-column", f"the query returns no column `{name}`, which is {what}", hint)


def _optout_problems(audience: Audience, optouts: OptOuts, dialect: Dialect) -> Iterator[Problem]:
    for channel, name in optouts.addresses.items():
        if find(audience.columns, name) is None:
            yield missing_column(name, audience.columns, f"the address of `{channel.value}`")
    if optouts.sql is None:
        return
    identifier, address = find(optouts.columns, "id"), find(optouts.columns, "address")
    if identifier is None and address is None:
        hint = "name them with `as id` and `as address`"
        yield Problem("subscriptions-columns", "the subscriptions query returns neither `id` nor `address`", hint)
        return
    for column, whose in ((identifier, "the subscriptions query"), (person_column(audience), "the audience query")):
        if identifier and column:
            yield from id_problems(column, whose, dialect)
    if not (identifier and person_column(audience)) and not (address and optouts.addresses):
        message = "nothing joins the audience with the subscriptions query: opt-outs could not be found"
        hint = "return `id` in both queries, or the address that is written to"
        yield Problem("optouts-unmatched", message, hint)


def id_problems(column: Column, whose: str, dialect: Dialect) -> Iterator[Problem]:
    """Why a column can not be compared with the ids of another query."""
    if not KEY_TYPE.fullmatch(column.type):
        message = f"{whose}'s `{column.name}` is {column.type} and can not be compared as an id"
        yield Problem("key-type", message, castable(column, dialect))


# Opt-outs

_BROUGHT = "connect_brought_optouts"
_OPTOUT = {"id": Kind.text, "address": Kind.text, "channel": Kind.text, "flag": Kind.integer}


# A row without a time is older than any other; of one instant, the graver one counts.
_STANDS = "o.back is null or o.changed >= o.back"


@dataclass(frozen=True)
class _Flags:
    """The pieces of SQL that flag the opted-out people of a range."""

    dialect: Dialect
    audience: Audience
    optouts: OptOuts
    everybody: bool = False
    """All people's opt-outs, and not only those of a range."""

    @property
    def _by_id(self) -> bool:
        return self._has("id") and person_column(self.audience) is not None

    @property
    def _by_address(self) -> dict[Channel, str]:
        """Channel → its address in the audience, as opt-outs write it."""
        if not self._has("address"):
            return {}
        found = {
            channel: column.name
            for channel, name in self.optouts.addresses.items()
            if channel in self.optouts.channels and (column := find(self.audience.columns, name))
        }
        return {channel: self._address(channel, f"p.{self.dialect.quote(name)}") for channel, name in found.items()}

    def _has(self, name: str) -> bool:
        return self.optouts.sql is not None and find(self.optouts.columns, name) is not None

    def _cells(self) -> str:
        """The subscriptions query's rows: each column that we know as text, null where there is none, or it is blank.

        Step by step: written in one another, an expression would stand there in dozens of copies, and an engine takes
        longer to read them than to do what they say.
        """
        known = {name: find(self.optouts.columns, name) for name in ("id", "address", "channel", "topic", "status")}
        at = find(self.optouts.columns, "at")
        texts = {
            name: self.dialect.text(f"c.{self.dialect.quote(column.name)}" if column else "null")
            for name, column in known.items()
        }
        texts["changed"] = f"c.{self.dialect.quote(at.name)}" if at else self.dialect.text("null")
        stripped = {
            name: f"nullif({self.dialect.trimmed(f'c.{name}')}, '')" if column else f"c.{name}"
            for name, column in known.items()
        }
        stripped["changed"] = "c.changed"
        cells = f"select {_named(texts)}\nfrom (\n{self.optouts.sql}\n) as c"
        return f"select {_named(stripped)}\nfrom (\n{cells}\n) as c"

    def _address(self, channel: Channel, expression: str) -> str:
        # Where it is blank it meets nobody: no address of an opt-out is. An engine would make it twice for `nullif`.
        text = self.dialect.text(expression)
        if channel is Channel.sms:
            return self.dialect.phone_digits(text)
        return f"lower({self.dialect.trimmed(text)})"

    def _either_address(self, text: str) -> str:
        """An address of any channel, written as one compares it: only an e-mail address has an @."""
        phone = self.dialect.phone_digits(text)
        return f"case when {text} like '%@%' then lower({text}) else coalesce({phone}, lower({text})) end"

    def parameters(self) -> dict[str, object]:
        if not (self._by_id or self._by_address):
            return {}
        own: dict[str, object] = dict(self.optouts.parameters)
        if self._has("status"):
            own |= {f"connect_subscribed_{n}": value for n, value in enumerate(self.optouts.subscribed_values)}
        if self.optouts.topic is not None and self._has("topic"):
            own["connect_topic"] = self.optouts.topic
        return own

    def bound_here(self) -> dict[str, object]:
        """What the audience's own query binds of them."""
        return {} if self.optouts.home else self.parameters()

    def brought(self) -> Iterator[Brought]:
        """The opt-outs of everybody, where another warehouse has them; written in its own dialect."""
        home = self.optouts.home
        if home is not None and (self._by_id or self._by_address):
            there = _Flags(home.dialect, self.audience, self.optouts, everybody=True)
            yield Brought(_BROUGHT, home, Query(there._latest(), there.parameters()), _OPTOUT)

    def ctes(self) -> list[str]:
        if not (self._by_id or self._by_address):
            return []
        once = f"as {self.dialect.materialized}".rstrip()
        found = f"select t.* from {_BROUGHT} as t where {self._about()}" if self.optouts.home else self._latest()
        ctes = {"connect_optouts " + once: found}
        ctes |= {f"{name} as": select for name, select in self._matched().items()}
        return [f"{beginning} (\n{select}\n)" for beginning, select in ctes.items()]

    def _matched(self) -> dict[str, str]:
        """The tables that people are joined with: those of ids and of each channel's addresses."""
        by_id = {"connect_by_id": self._for_ids()} if self._by_id else {}
        return by_id | {f"connect_by_{channel.value}": self._for_addresses(channel) for channel in self._by_address}

    @property
    def source(self) -> Query:
        return Query(self.optouts.sql or "", dict(self.optouts.parameters))

    def kept(self) -> dict[str, Query]:
        """Those tables with everybody's opt-outs, for a warehouse that may keep them; none where another has them."""
        if self.optouts.home is not None:
            return {}
        found = f"with connect_optouts as (\n{replace(self, everybody=True)._latest()}\n)"
        return {name: Query(f"{found}\n{select}", self.parameters()) for name, select in self._matched().items()}

    def columns(self) -> list[str]:
        return [f"{self._flag(channel)} as {optout_column(channel)}" for channel in self.optouts.channels]

    def joins(self) -> list[str]:
        joins = []
        if self._by_id:
            joins.append(f"left join connect_by_id as i on i.matched = {person_text(self.audience, self.dialect)}")
        for channel, address in self._by_address.items():
            name = channel.value
            joins.append(f"left join connect_by_{name} as by_{name} on by_{name}.matched = {address}")
        return joins

    def _flag(self, channel: Channel) -> str:
        found = [f"coalesce(i.{channel.value}, 0)"] if self._by_id else []
        if channel in self._by_address:
            found.append(f"coalesce(by_{channel.value}.flag, 0)")
        subscribed = find(self.audience.columns, "subscribed")
        if subscribed and not self.optouts.transactional:
            wanted = self.dialect.truth(f"p.{self.dialect.quote(subscribed.name)}")
            found.append(f"case when {wanted} then 0 else {UNSUBSCRIBED} end")
        return f"greatest({', '.join(found)})" if len(found) > 1 else "".join(found) or "0"

    def _latest(self) -> str:
        """The opt-outs of these people that count: where rows have a time, those that nobody took back later.

        Of one scope the latest row decides; but who complained and then unsubscribed has still complained.
        """
        if not (self._has("at") and self._has("status")):
            return self._opted_out(f"select o.* from (\n{self._scoped()}\n) as o")
        since = self._with_return(self._scoped())
        return self._opted_out(f"select o.* from (\n{since}\n) as o where {_STANDS}")

    def _with_return(self, relation: str) -> str:
        """Each row with the last time that somebody came back to its scope."""
        scope = "o.id, o.address, o.channel, o.topic"
        back = f"max(case when o.flag = 0 then o.changed end) over (partition by {scope}) as back"
        return f"select o.*, {back} from (\n{relation}\n) as o"

    def on_record(self) -> str:
        """Every row about these people, of every topic."""
        rows, standing = f"select t.* from (\n{self._normal()}\n) as t where {self._about()}", "o.flag > 0"
        if self._has("at") and self._has("status"):
            rows, standing = self._with_return(rows), f"o.flag > 0 and ({_STANDS})"
        selected = (
            f"o.id, o.address, o.channel, o.topic, o.flag, o.changed, case when {standing} then 1 else 0 end as stands"
        )
        return f"select {selected} from (\n{rows}\n) as o order by o.changed desc, o.flag desc"

    def _opted_out(self, relation: str) -> str:
        least = BOUNCED if self.optouts.transactional else UNSUBSCRIBED
        return f"select o.id, o.address, o.channel, o.flag from (\n{relation}\n) as o where o.flag >= {least}"

    def _scoped(self) -> str:
        """Rows of the subscriptions query that are about these people and this message.

        A hard bounce or a complaint is about every message, whatever topic it came from.
        """
        topic = self.dialect.parameter("connect_topic")
        same_topic = (
            f"t.topic is null or t.topic = {topic}" if "connect_topic" in self.parameters() else "t.topic is null"
        )
        counts = f"({same_topic} or t.flag >= {BOUNCED}) and {self._about()}"
        return f"select t.* from (\n{self._normal()}\n) as t where {counts}"

    def _about(self) -> str:
        """Whether a row is about these people, on whichever channel."""
        if self.everybody:
            return "(t.id is not null or t.address is not null)"
        person = person_text(self.audience, self.dialect)
        about = [f"t.id in (select {person} from connect_people as p)"] if self._by_id else []
        about += [f"t.address in (select {address} from connect_people as p)" for address in self._by_address.values()]
        return f"({' or '.join(about)})"

    def _normal(self) -> str:
        columns = {
            "id": self._subscriptions_id(),
            "address": self._either_address("s.address"),
            "channel": "lower(s.channel)",
            "topic": "s.topic",
            "flag": self._status(),
            "changed": "s.changed",
        }
        return f"select {_named(columns)}\nfrom (\n{self._cells()}\n) as s"

    def _subscriptions_id(self) -> str:
        column = person_column(self.audience)
        return "lower(s.id)" if column and column.name.casefold() == "email" else "s.id"

    def _status(self) -> str:
        if not self._has("status"):
            return str(UNSUBSCRIBED)
        status = "s.status"
        values = [self.dialect.parameter(f"connect_subscribed_{n}") for n in range(len(self.optouts.subscribed_values))]
        subscribed = f"when {status} in ({', '.join(values)}) then 0 " if values else ""
        others = (
            f"when lower({status}) = 'bounced' then {BOUNCED} when lower({status}) = 'complained' then {COMPLAINED}"
        )
        return f"case {subscribed}{others} else {UNSUBSCRIBED} end"

    def _for_ids(self) -> str:
        flags = ", ".join(
            f"max(case when o.channel is null or o.channel = '{channel.value}' then o.flag else 0 end)"
            f" as {channel.value}"
            for channel in self.optouts.channels
        )
        return f"select o.id as matched, {flags} from connect_optouts as o where o.id is not null group by o.id"

    def _for_addresses(self, channel: Channel) -> str:
        where = f"o.address is not null and (o.channel is null or o.channel = '{channel.value}')"
        flags = f"select o.address as matched, max(o.flag) as flag from connect_optouts as o where {where}"
        return f"{flags} group by o.address"


def _named(expressions: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} as {name}" for name, expression in expressions.items())


__all__ = [
    "DEFAULT_KEY",
    "Audience",
    "OptOuts",
    "UserError",
    "Wrapping",
    "check",
    "find",
    "key_columns",
    "optout_column",
]
