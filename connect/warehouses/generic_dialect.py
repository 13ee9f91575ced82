"""How an engine that Connect has no adapter for writes what wrapping needs: by sqlglot's name of it.

What sqlglot would get wrong, or does not know, is data here. Whether it is right is asked of the engine before a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as Glot
from sqlglot.errors import SqlglotError

from connect.errors import UserError
from connect.warehouses.interface import Query, Standard, Table

_WHITESPACE = "".join(chr(number) for number in range(1, 0x3001) if chr(number).isspace())
"""What Python's `strip` takes off."""

_NAMES = {
    "postgresql": "postgres",
    "cockroachdb": "postgres",
    "mssql": "tsql",
    "clickhousedb": "clickhouse",
    "awsathena": "athena",
    "teradatasql": "teradata",
    "exa": "exasol",
    "mariadb": "mysql",
    "sparksql": "spark",
}
"""SQLAlchemy's name of an engine → sqlglot's, where they differ."""


@dataclass(frozen=True, slots=True)
class Written:
    """Expressions of one engine; `{}` is a text, or any value where it is cast."""

    text: str = "cast({} as varchar)"
    md5: str = "md5({})"
    length: str = "length({})"
    trimmed: str = "trim(both {chars} from {})"
    digits: str = "regexp_replace({}, '[^0-9]', '')"
    anything: str = ""
    """A value of whatever type as text, to choose among rows of one key; `text` where it is blank."""
    joins_by_function: bool = False
    text_type: str = "varchar"


_ALL = "regexp_replace({}, '[^0-9]', '', 'g')"
_PRESTO = Written(md5="lower(to_hex(md5(to_utf8({}))))", anything="json_format(cast({} as json))")
_SPARK = Written(text="cast({} as string)", text_type="string", anything="to_json(array({}))")
_STAR = Written(length="char_length({})", joins_by_function=True)

_WRITTEN: Mapping[str, Written] = {
    "athena": _PRESTO,
    "clickhouse": Written(
        text="cast({} as Nullable(String))",
        md5="lower(hex(MD5({})))",
        length="lengthUTF8({})",
        digits="replaceRegexpAll({}, '[^0-9]', '')",
        anything="toString({})",
        text_type="String",
    ),
    "databricks": _SPARK,
    "doris": _STAR,
    "duckdb": Written(trimmed="trim({}, {chars})", digits=_ALL),
    "hive": _SPARK,
    "mysql": Written(text="cast({} as char)", length="char_length({})", joins_by_function=True),
    "postgres": Written(text="cast({} as text)", trimmed="btrim({}, {chars})", digits=_ALL),
    "presto": _PRESTO,
    "spark": _SPARK,
    "sqlite": Written(
        text="cast({} as text)", trimmed="trim({}, {chars})", digits="connect_digits({})", text_type="text"
    ),
    "starrocks": _STAR,
    "trino": _PRESTO,
}


class GenericDialect(Standard):
    """The dialect behind one URL. What is not known of an engine is written as the standard has it."""

    def __init__(self, name: str) -> None:
        """name: SQLAlchemy's, as the URL begins."""
        known = _NAMES.get(name, name)
        self.sqlglot = known if known in Glot.classes else ""
        self._written = _WRITTEN.get(self.sqlglot, Written())
        self.text_type = self._written.text_type

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def quote(self, identifier: str) -> str:
        return exp.to_identifier(identifier, quoted=True).sql(self.sqlglot)

    def text(self, expression: str) -> str:
        return self._written.text.replace("{}", expression)

    def md5(self, expression: str) -> str:
        return self._written.md5.replace("{}", expression)

    def joined(self, *texts: str) -> str:
        return f"concat({', '.join(texts)})" if self._written.joins_by_function else super().joined(*texts)

    def length(self, text: str) -> str:
        return self._written.length.replace("{}", text)

    def trimmed(self, expression: str) -> str:
        return self._written.trimmed.replace("{chars}", literal(_WHITESPACE)).replace("{}", expression)

    def phone_digits(self, expression: str) -> str:
        digits = f"nullif({self._written.digits.replace('{}', expression)}, '')"
        plus = f"case when {self.beginning(self.trimmed(expression), 1)} = '+' then '+' else '' end"
        return self.joined(plus, digits)

    def create_table(self, table: Table) -> Sequence[str]:
        raise not_written()

    def copied(self, name: str, select: str) -> str:
        raise not_written()

    def one_of_each(self, relation: str, key: str, columns: Sequence[str], others: str) -> str:
        whole = self._row_text([f"c.{self.quote(name)}" for name in columns])
        counted = f"select r.*, count(*) over (partition by r.{key}) as connect_count\nfrom (\n{relation}\n) as r"
        order = f"partition by c.{key} order by case when c.connect_count > 1 then {whole} end"
        numbered = f"select c.*, row_number() over ({order}) as connect_place\nfrom (\n{counted}\n) as c"
        names = ", ".join(f"o.{self.quote(name)} as {self.quote(name)}" for name in columns)
        selected = f"select o.{key} as {key}, o.connect_count - 1 as {others}, {names}"
        return f"{selected}\nfrom (\n{numbered}\n) as o where o.connect_place = 1"

    def _row_text(self, columns: Sequence[str]) -> str:
        """The columns one by one, each with its length, where null has none."""
        anything = self._written.anything or self._written.text
        texts = [anything.replace("{}", column) for column in columns]
        parts = [f"coalesce({self.joined(self.text(self.length(text)), literal(':'), text)}, '-')" for text in texts]
        return self.md5(self.joined(*parts)) if len(parts) > 1 else self.md5(parts[0])


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def not_written() -> UserError:
    said = "a source of type `sqlalchemy` is only read"
    return UserError.of("not-writable", said, "keep tables of Connect's own in a source whose type is an engine's")


# The text that SQLAlchemy is given

_MARKER = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)s")


def for_sqlalchemy(query: Query) -> str:
    """The text of a query as `sqlalchemy.text` takes it: `:name` for its parameters, and no other colon is one."""
    pieces, end = [], 0
    for found in _MARKER.finditer(query.sql):
        if found[1] in query.parameters:
            pieces += [query.sql[end : found.start()].replace(":", "\\:"), f":{found[1]}"]
            end = found.end()
    return "".join([*pieces, query.sql[end:].replace(":", "\\:")])


def only_reads(sql: str, dialect: str) -> str:
    """Why a text is not one SELECT; blank where it is. No parser sees what a function does."""
    import sqlglot

    try:
        parsed = sqlglot.parse(_MARKER.sub("connect_value", sql), read=dialect)
    except SqlglotError:
        return "can not be read as one SELECT"
    statements = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        return f"has {len(statements)} statements"
    if not isinstance(statements[0], exp.Query) or any(isinstance(node, _WRITES) for node in statements[0].walk()):
        return "would write"
    return ""


_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Command,
    exp.Into,
    exp.Copy,
    exp.Set,
    exp.Lock,
    exp.TruncateTable,
)
