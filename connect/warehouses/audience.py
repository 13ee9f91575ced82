"""An audience's columns: its key, and who a row is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connect.warehouses.interface import Column, Dialect

DEFAULT_KEY = ("id",)


@dataclass(frozen=True, slots=True)
class Audience:
    """The audience's query, already bound, and the columns that it returns."""

    sql: str
    parameters: Mapping[str, object]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    unread: frozenset[str] = frozenset()
    """Those of them that nobody asks for: they may say who a row is, and are not given."""

    @property
    def given(self) -> list[str]:
        """The names of the others."""
        return [column.name for column in self.columns if column.name not in self.unread]


def key_columns(audience: Audience) -> tuple[Column, ...]:
    """The columns of the key; for the default key, `email` serves where there is no `id`. Missing ones are left out."""
    found = [column for name in audience.key if (column := find(audience.columns, name))]
    if not found and tuple(audience.key) == DEFAULT_KEY:
        found = [column for column in [find(audience.columns, "email")] if column]
    return tuple(found)


def find(columns: Sequence[Column], name: str) -> Column | None:
    """The column of this name: as it is written, else in another case."""
    exact = [column for column in columns if column.name == name]
    folded = [column for column in columns if column.name.casefold() == name.casefold()]
    return next(iter(exact or folded), None)


def key_text(dialect: Dialect, columns: Sequence[Column]) -> str:
    """`length:value` of each of the columns of `u`, put together: what `connect.identity.key_text` gives.

    Null where a part is null or blank.
    """
    parts = _key_parts(columns, dialect)
    texts = [cell for part in parts.values() for cell in (dialect.text(dialect.length(part)), "':'", part)]
    # A null part makes the whole text null; a blank one has to be asked for, which only text can be.
    present = [f"({dialect.trimmed(part)}) <> ''" for column, part in parts.items() if not _NEVER_BLANK(column.type)]
    joined = dialect.joined(*texts)
    return f"case when {' and '.join(present)} then {joined} end" if present else joined


def has_key(dialect: Dialect, columns: Sequence[Column]) -> str:
    """Whether a row of `u` has a key text, without making it."""
    present = [
        f"{_user_column(dialect, column)} is not null"
        if _NEVER_BLANK(column.type)
        else f"({dialect.trimmed(dialect.text(_user_column(dialect, column)))}) <> ''"
        for column in columns
    ]
    return " and ".join(present)


def _user_column(dialect: Dialect, column: Column) -> str:
    return f"u.{dialect.quote(column.name)}"


def _key_parts(columns: Sequence[Column], dialect: Dialect) -> dict[Column, str]:
    """Each key column and its text."""
    texts = {column: dialect.text(_user_column(dialect, column)) for column in columns}
    if len(columns) == 1 and columns[0].name.casefold() == "email":
        return {columns[0]: f"lower({dialect.trimmed(texts[columns[0]])})"}
    return texts


def raw_value(column: Column, value: str) -> object:
    """What a key column holds whose text is this; None where that may not be the same, or is not sure to compare."""
    if _NEVER_BLANK(column.type) and column.type.upper() != "UUID":
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) < _LONGEST else None
    return value if _PLAIN_TEXT(column.type) and column.name.casefold() != "email" else None


_LONGEST = 19
"""Digits of what still is a number to every engine."""
_PLAIN_TEXT = re.compile(r"VARCHAR|TEXT|STRING|CHARACTER VARYING", re.IGNORECASE).fullmatch
_NEVER_BLANK = re.compile(r"U?[A-Z]*INT(EGER)?([248]|64)?( UNSIGNED)?|UUID", re.IGNORECASE).fullmatch
KEY_TYPE = re.compile(
    r"(TINY|SMALL|MEDIUM|BIG|HUGE|U|UTINY|USMALL|UBIG|UHUGE)?INT(EGER)?([248]|64)?( UNSIGNED)?|"
    r"N?VARCHAR2?.*|CHARACTER VARYING.*|TEXT|CITEXT|STRING|NAME|UUID|ENUM.*",
    re.IGNORECASE,
)
# Of char(n) one engine keeps the blanks at the end and another drops them.
_AS_TEXT = ("BOOL", "DATE", "TIME", "CHAR", "BPCHAR", "NCHAR", "UNIQUEIDENTIFIER")


def castable(column: Column, dialect: Dialect) -> str:
    kind = dialect.text_type if column.type.upper().startswith(_AS_TEXT) else dialect.integer_type
    return f"write `cast({column.name} as {kind}) as {column.name}` in the query"


def person_column(audience: Audience) -> Column | None:
    """What opt-outs are matched with by id: the audience's `id`, else its key when that is one column."""
    keys = key_columns(audience)
    return find(audience.columns, "id") or (keys[0] if len(keys) == 1 else None)


def compared_id(column: Column, person: Column, dialect: Dialect, relation: str) -> str:
    """A column as ids are compared: as text, null where it is blank; without case where the person's is an address."""
    text = dialect.text(f"{relation}.{dialect.quote(column.name)}")
    if _NEVER_BLANK(column.type):
        return text
    text = dialect.trimmed(text)
    return f"nullif({f'lower({text})' if person.name.casefold() == 'email' else text}, '')"


def person_text(audience: Audience, dialect: Dialect, row: str = "p") -> str:
    """Who a row is about, as ids are compared; null where that is blank or not told."""
    column = person_column(audience)
    return compared_id(column, column, dialect, row) if column else dialect.text("null")
