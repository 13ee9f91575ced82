"""What a warehouse is: a dialect as data, capabilities as data, and a few verbs that only read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from connect.errors import OutsideError, UserError
from connect.warehouses.values import restored

if TYPE_CHECKING:
    import pyarrow


AUDIENCE = "connect_audience"
"""The table whose rows are the audience, in a warehouse that is made of one audience's files."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the pipeline branches on, instead of an engine's name."""

    longest_read: timedelta
    """How long a read may be held open before it gets in the way of the user's own jobs."""
    enforces_read_only: bool
    billed_per_read: bool = False
    tells_cost: bool = False
    """It has `cost`."""
    holds_reads: bool = False
    """A read is in nobody's way while it waits, so that one may give the whole audience, part by part."""
    writes: bool = False
    """It has `write` and `add`: tables of ours may be in it."""
    most_added: int = 10_000
    """How many rows an `add` takes at once. More where a statement is dear, whatever it adds."""
    reservations: tuple[str, ...] = ()
    """What it can not promise, for people."""
    takes_rows: bool = False
    """Other rows can stand beside its own while it reads: it has `others`, and takes `Query.brought` and `lent`."""


@dataclass(frozen=True, slots=True)
class Query:
    """SQL text with `:name` parameters already written as the dialect binds them, and their values."""

    sql: str
    parameters: Mapping[str, object]
    brought: tuple[Brought, ...] = ()
    """Rows of other warehouses that the query names; only for one that `takes_rows`."""
    lent: Mapping[str, pyarrow.Table] = field(default_factory=dict, repr=False, compare=False)
    """Rows of ours that the query names, as tables; likewise."""
    few: bool = False
    """It gives no more rows than are in memory anyway: they may come all at once."""
    kept: Kept | None = field(default=None, compare=False)
    """The same query with less work, for a warehouse that asks many like it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A part of a query that hangs on nothing but what is in the warehouse, and may be made once for many queries.

    Only a warehouse that knows for certain whether its data have changed since does so; others take the whole query.
    """

    source: Query
    """What the part is made from: so many rows of it are too many that it would be kept."""
    tables: Mapping[str, Query]
    """The part, as tables of these names."""
    query: Query
    """The query that names them, and gives the same as the one that does not."""


@dataclass(frozen=True, slots=True)
class Brought:
    """Rows that one warehouse gives and another reads, as a table of this name, for as long as a read lasts."""

    name: str
    home: Warehouse
    query: Query
    columns: Mapping[str, Kind]
    """Each column that the query gives; as texts, integers and booleans only."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str


class Kind(StrEnum):
    """What a column of our own tables holds."""

    text = "text"
    integer = "integer"
    boolean = "boolean"
    instant = "instant"
    """Aware, in UTC, to the microsecond."""


Range = tuple[datetime, datetime | None]
"""From an instant on, and until another one, which is in it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in the user's warehouse that Connect fills."""

    name: str
    """As SQL writes it: `connect_deliveries`, `marketing.connect_deliveries`."""
    columns: Mapping[str, Kind]
    key: tuple[str, ...]
    """No two rows have these alike; they are never null. Each is text."""
    among: tuple[str, Sequence[Range]] | None = None
    """A column, and where in it a row may be that has the key of a new one; None is anywhere.

    Engines without an index look for keys there alone: a table that has grown is not read whole. Where new rows leave
    the column out, or it is null in one of them, they look everywhere.
    """


@dataclass(frozen=True, slots=True)
class Access:
    """What Connect does in a warehouse, to say what its user must be allowed."""

    reads: tuple[str, ...] = ()
    """Tables and views that queries read, as SQL writes them: `orders`, `sales.orders`."""
    adds: tuple[str, ...] = ()
    """Tables of ours that are there already: rows are added to them, and their keys looked up."""
    makes: tuple[str, ...] = ()
    """Schemas in which tables of ours are made, filled and dropped; blank is the user's default one."""

    def schemas(self, default: str) -> tuple[str, ...]:
        """Where everything is, each once; `default` stands for what names no schema."""
        named = [table.rpartition(".")[0] for table in (*self.reads, *self.adds)]
        return tuple(dict.fromkeys(schema or default for schema in (*named, *self.makes)))


class WarehouseLost(OutsideError):
    """There is no connection, or no more: it may help to try again."""


class SqlError(UserError):
    """A query that the warehouse does not accept."""

    offset: int | None = None
    """The place in the text of the query, counted from 0, where the warehouse tells it."""


class SourceSettings(BaseModel):
    """Fields of one `sources:` entry beside `type`; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scratch: str | None = Field(None, pattern=r'^[\w.$"`\[\]-]+$')
    """The schema that copies of audiences go into, as SQL writes it; else the one that the user's statements use."""

    places: ClassVar[tuple[str, ...]] = ("path", "host", "port", "account", "project", "dataset", "database")
    """The fields that say where it is, those that there are."""

    @property
    def where(self) -> str:
        """Where it is, for people: without who signs in, and how."""
        if url := getattr(self, "url", None):
            scheme, colon, rest = str(url).partition(":")
            return scheme + colon + re.sub(r"^//[^/?]*@", "//", rest).partition("?")[0]
        told = ((name, getattr(self, name, None)) for name in self.places)
        return ", ".join(f"{name} {value}" for name, value in told if value is not None)


@dataclass(frozen=True, slots=True)
class Source:
    """One configured warehouse."""

    name: str
    settings: SourceSettings
    root: Path
    """The project's folder, for settings that are relative paths."""


class Dialect(Protocol):
    """How one engine writes the few expressions that wrapping needs."""

    sqlglot: str
    """The engine's name in sqlglot, which parses the user's SQL."""
    materialized: str
    """What stands behind `as` where a common table expression must be made once; blank where that needs no word."""
    text_type: str
    integer_type: str
    """What a user writes in a cast to text, and to a whole number."""
    catalog: str
    """The schema in which the engine tells of tables and their columns."""
    takes: Mapping[Kind, tuple[str, ...]]
    """Of each kind, what the columns are called that take it (as `Warehouse.columns` does, in lower case and without
    what stands in parentheses), first the one to recommend; empty where that is not known."""

    def parameter(self, name: str) -> str: ...
    def quote(self, identifier: str) -> str: ...
    def text(self, expression: str) -> str: ...
    def md5(self, expression: str) -> str: ...
    def joined(self, *texts: str) -> str:
        """Texts put together; null where one of them is."""

    def length(self, text: str) -> str:
        """How many characters (code points) a text has."""

    def beginning(self, text: str, count: int) -> str:
        """The first characters of a text."""

    def truth(self, expression: str) -> str:
        """A boolean column as a condition."""

    def limited(self, columns: str, relation: str, count: int) -> str:
        """A query that gives some rows of what stands behind `from`, whichever come first."""

    def listed(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """A query that gives these rows, of expressions, under these names. One row at least."""

    def trimmed(self, expression: str) -> str:
        """A text without whitespace at its ends, as Python's `strip` leaves it."""

    def phone_digits(self, expression: str) -> str:
        """Only the digits of a text and a leading +; null where it has no digits."""

    def create_table(self, table: Table) -> Sequence[str]:
        """Statements that make a table where there is none of this name, and leave alone what there is."""

    def copied(self, name: str, select: str) -> str:
        """A statement that makes a table of a query's rows, and fails where there is one of this name."""

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        """One row of each `key` of a relation, always the same one: `key`, `columns`, and how many `others` it had."""


def laid_out(parts: Sequence[str]) -> str:
    """What stands between the parentheses of a definition, as a person writes it: one part in each line."""
    return "(\n  " + ",\n  ".join(parts) + "\n)"


class Standard:
    """What most engines write alike. A dialect inherits it and overrides the rest."""

    materialized = ""
    text_type, integer_type = "varchar", "bigint"
    catalog = "INFORMATION_SCHEMA"
    takes: Mapping[Kind, tuple[str, ...]] = {}

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def joined(self, *texts: str) -> str:
        return " || ".join(texts)

    def length(self, text: str) -> str:
        return f"length({text})"

    def beginning(self, text: str, count: int) -> str:
        return f"substr({text}, 1, {count:d})"

    def truth(self, expression: str) -> str:
        return expression

    def limited(self, columns: str, relation: str, count: int) -> str:
        return f"select {columns}\nfrom {relation}\nlimit {count:d}"

    def listed(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        named = (", ".join(f"{cell} as {name}" for cell, name in zip(row, names, strict=True)) for row in rows)
        return "\nunion all\n".join(f"select {cells}" for cells in named)


class Warehouse(Protocol):
    """An adapter. Constructing one does no work; each verb opens what it needs and closes it again."""

    Settings: ClassVar[type[SourceSettings]]
    capabilities: ClassVar[Capabilities]
    dialect: ClassVar[Dialect]

    def __init__(self, source: Source) -> None: ...

    def columns(self, query: Query, timeout: timedelta) -> Sequence[Column]:
        """The columns that a query returns, without reading rows. Raises UserError when the query is wrong."""

    def rows(self, query: Query, timeout: timedelta) -> list[dict[str, object]]:
        """All rows of a query known to be small (counts, `preview --real`), with `python_values`, as a run has them."""

    def read(
        self, query: Query, timeout: timedelta, batch_rows: int
    ) -> AbstractContextManager[Iterator[pyarrow.RecordBatch]]:
        """Stream a query as Arrow batches from a read-only session, with flat memory and nothing written to disk.

        Leaving the context stops the query. Raises OutsideError for locks, lost connections and time-outs.
        """

    def cost(self, query: Query, timeout: timedelta) -> int:
        """The bytes that one read of a query is billed for, without reading. Only where `capabilities.tells_cost`."""

    def write(self, statements: Sequence[Query], timeout: timedelta) -> None:
        """Run these as somebody who may write: all or none, but for what the engine can not undo (such as DDL).

        Raises SqlError for what the engine does not accept, UserError `warehouse-privilege` where this user may not,
        OutsideError for locks, lost connections (WarehouseLost) and time-outs. Where `capabilities.writes` is False
        it raises UserError.
        """

    def add(self, table: Table, rows: pyarrow.Table, timeout: timedelta) -> None:
        """Add rows whose key the table does not have yet: all or none. Repeated, it adds nothing.

        `rows` has some or all of the table's columns, in any order, each key once; the others are left null.
        Raises as `write` does.
        """

    def grants(self, access: Access) -> Sequence[str]:
        """The least privilege: SQL that allows this source's user exactly this, each a statement without its `;`.

        For whoever administers the warehouse; nothing is asked or run, and nothing is needed to connect. Reading is
        asked for apart from writing. The user is the one of the settings, else `connect_reader`; no secret is in it.
        A comment (`-- …`) where the engine has no SQL for it, or to say what SQL can not. Nothing for no access.
        """

    def check(self) -> str:
        """For `connect doctor`: prove that it can be read; returns what was found. Raises OutsideError or UserError."""

    def close(self) -> None:
        """Stop every query that is running, from whichever thread, and let go. The verbs still work afterwards."""


class TakesRows(Warehouse, Protocol):
    """A warehouse whose `capabilities.takes_rows` is True."""

    others: Callable[[str], Warehouse]
    """The project's source of a name: where rows beside its own are read."""


def python_values(array: pyarrow.Array) -> list[Any]:
    """A column as Python values that Liquid can use: whole decimals as int, maps as dict, times in microseconds."""
    kind = array.type
    plain = _plain_type(kind)
    values: list[Any] = (array if plain == kind else array.cast(plain, safe=False)).to_pylist()
    if (change := _change(kind)) is not None:
        return [None if value is None else change(value) for value in values]
    return values


def numeric_type() -> pyarrow.DataType:
    """The Arrow type of decimals whose column has no scale: their text. `python_values` makes numbers of it."""
    import pyarrow

    return pyarrow.opaque(pyarrow.string(), "numeric", "connect")


def untold_type() -> pyarrow.DataType:
    """The Arrow type of a column whose type the engine does not tell: texts of `connect.warehouses.values`."""
    import pyarrow

    return pyarrow.opaque(pyarrow.string(), "untold", "connect")


def json_type() -> pyarrow.DataType:
    """The Arrow type of JSON: its text. `python_values` makes lists and dicts of it."""
    import pyarrow

    return pyarrow.json_(pyarrow.string())


def _change(kind: Any) -> Callable[[Any], Any] | None:
    """What makes Liquid's value of pyarrow's, at whatever depth; None where they are the same."""
    from pyarrow import types

    if types.is_decimal(kind):
        return int if kind.scale == 0 else None
    if types.is_map(kind):
        return _map_change(_change(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list_change(_change(kind.value_type))
    if types.is_struct(kind):
        return _struct_change({field.name: change for field in kind if (change := _change(field.type)) is not None})
    if getattr(kind, "extension_name", "") == "arrow.opaque" and kind.type_name == "untold":
        return restored
    named: dict[str, Callable[[Any], Any]] = {"arrow.json": json.loads, "arrow.opaque": _number}
    return named.get(getattr(kind, "extension_name", ""))


def _list_change(inner: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if inner is None:
        return None
    return lambda values: [None if value is None else inner(value) for value in values]


def _map_change(inner: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    if inner is None:
        return dict
    return lambda pairs: {key: None if value is None else inner(value) for key, value in pairs}


def _struct_change(fields: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any] | None:
    if not fields:
        return None
    return lambda value: {
        name: fields[name](cell) if name in fields and cell is not None else cell for name, cell in value.items()
    }


def _number(text: str) -> int | Decimal | None:
    """A decimal as its text says; what is no number at all (NaN, an infinity) is none."""
    if text.lstrip("-").isdigit():
        return int(text)
    number = Decimal(text)
    return number if number.is_finite() else None


def _plain_type(kind: Any) -> Any:
    """The type to read a column as: Python's times have no nanoseconds."""
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_time(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    return kind
