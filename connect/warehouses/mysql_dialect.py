"""How MySQL and MariaDB write what wrapping needs, and how the text of a query becomes what the server is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

from connect.warehouses.interface import Kind, Query, Standard, Table, laid_out

# The backslashes of a literal mean what the server's `sql_mode` says: none is written here.
_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off; `trim` alone only takes spaces, and would miss an opt-out."""

# Of the collations that tell every text from every other, the one in which "a" and "a " differ. Each server reads
# the comment that is meant for it: https://mariadb.com/kb/en/comment-syntax/
EXACT = "character set utf8mb4 /*!80017 collate utf8mb4_0900_bin *//*M! collate utf8mb4_nopad_bin */"

_MOST_IN_A_KEY = 768
"""InnoDB's keys have 3,072 bytes, of which a character takes four."""

_TYPES: Mapping[Kind, str] = {
    Kind.text: f"longtext {EXACT}",
    Kind.integer: "bigint",
    Kind.boolean: "tinyint(1)",
    Kind.instant: "timestamp(6) null",  # of its types the only one that says which zone it is in
}


_TAKES: Mapping[Kind, tuple[str, ...]] = {
    Kind.text: ("text", "varchar", "char"),
    Kind.integer: ("bigint", "int", "mediumint", "bigint unsigned", "int unsigned", "mediumint unsigned", "decimal"),
    Kind.boolean: ("boolean", "tinyint"),
    Kind.instant: ("timestamp",),
}


class MySQLDialect(Standard):
    """SQL for MySQL 8.0 and MariaDB 10.6, and later ones."""

    sqlglot = "mysql"
    takes = _TAKES
    text_type, integer_type = "char", "signed"

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def quote(self, identifier: str) -> str:
        return quote(identifier)

    def text(self, expression: str) -> str:
        # Compared letter by letter: ids that differ in case or accents are different people.
        return f"convert({expression} using utf8mb4) collate utf8mb4_bin"

    def md5(self, expression: str) -> str:
        return f"convert(md5({expression}) using utf8mb4) collate utf8mb4_bin"

    def joined(self, *texts: str) -> str:
        return f"concat({', '.join(texts)})"  # `||` is `or`, where no setting says otherwise

    def length(self, text: str) -> str:
        return f"char_length({text})"

    def trimmed(self, expression: str) -> str:
        trimmed = f"regexp_replace({expression}, '^[{_WHITESPACE}]+|[{_WHITESPACE}]+$', '')"
        return f"case when {expression} regexp '^[^!-~]|[^!-~]$' then {trimmed} else {expression} end"

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif(regexp_replace({expression}, '[^0-9]', ''), '')"
        return f"concat(case when left({self.trimmed(expression)}, 1) = '+' then '+' else '' end, {digits})"

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        # Only rows that have others are compared as text.
        whole = _row_text([f"c.{quote(name)}" for name in columns])
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by case when c.connect_count > 1 then {whole} end"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{quote(name)}" for name in columns)
        selected = f"select o.{key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def create_table(self, table: Table) -> Sequence[str]:
        columns = [f"{quote(name)} {_column_type(table, name)}" for name in table.columns]
        key = f"primary key ({', '.join(quote(name) for name in table.key)})"
        return [f"create table if not exists {table.name} {laid_out([*columns, key])} character set utf8mb4"]

    def copied(self, name: str, select: str) -> str:
        return f"create table {name} as select u.* from (\n{select}\n) as u"


def quote(identifier: str) -> str:
    """In backticks: what is in double quotes is a text, where no setting says otherwise."""
    return "`" + identifier.replace("`", "``") + "`"


def _column_type(table: Table, name: str) -> str:
    if name not in table.key:
        return _TYPES[table.columns[name]]
    return f"varchar({min(255, _MOST_IN_A_KEY // len(table.key))}) {EXACT} not null"


def _row_text(columns: Sequence[str]) -> str:
    """A text of all these columns: the same one, of several rows, is always the first by it."""
    texts = (f"convert({column} using utf8mb4)" for column in columns)
    parts = (f"coalesce(concat(char_length({text}), ':', {text}), '-')" for text in texts)
    return f"md5(concat({', '.join(parts)}))"


# Parameters

_MARKER = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)s")


def filled(query: Query) -> str:
    """The query with its values for the markers of parameters: the text protocol has no others."""
    return _MARKER.sub(lambda found: _cell(query, found), query.sql)


def unfilled(query: Query, offset: int) -> int:
    """The place in the query's own text of a place in what `filled` makes of it."""
    longer = 0
    for found in _MARKER.finditer(query.sql):
        if found.start() + longer >= offset:
            break
        longer += len(_cell(query, found)) - len(found[0])
    return min(max(0, offset - longer), len(query.sql))


def _cell(query: Query, found: re.Match[str]) -> str:
    return literal(query.parameters[found[1]]) if found[1] in query.parameters else found[0]


def literal(value: object) -> str:
    """A value as SQL. A text is written in hexadecimal digits, so that nothing in it can end it, in any `sql_mode`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value!r}e0" if "e" not in repr(value) else repr(value)
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, list | tuple | set | frozenset):
        return f"({', '.join(literal(one) for one in value) or 'null'})"
    return _literal_of_time(value) or _text(json.dumps(value) if isinstance(value, dict) else str(value))


def _literal_of_time(value: object) -> str:
    if isinstance(value, datetime):
        instant = value.astimezone(UTC) if value.tzinfo else value
        return f"timestamp'{instant.replace(tzinfo=None).isoformat(' ', 'microseconds')}'"
    if isinstance(value, date):
        return f"date'{value.isoformat()}'"
    return f"time'{value.isoformat()}'" if isinstance(value, time) else ""


def _text(value: str) -> str:
    return f"_utf8mb4 x'{value.encode().hex()}'"
