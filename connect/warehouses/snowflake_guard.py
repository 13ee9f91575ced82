"""Snowflake has no read-only transaction: whatever is read is first made sure to be one SELECT.

It is what stands behind `Capabilities.enforces_read_only = False`: this, one statement for each request, and a role
that may only select. No parser sees what a function does; only the role can forbid that.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from connect.errors import Problem
from connect.warehouses.interface import SqlError

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


def only_reads(sql: str, name: str) -> None:
    """Raises SqlError where a text, as the server would get it, is not one SELECT."""
    try:
        parsed = sqlglot.parse(sql, read="snowflake")
    except SqlglotError:
        raise _refused(name, "can not be read as one SELECT") from None
    statements = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        raise _refused(name, f"has {len(statements)} statements")
    if not isinstance(statements[0], exp.Query) or any(isinstance(node, _WRITES) for node in statements[0].walk()):
        raise _refused(name, "would write")


def one_statement(sql: str, name: str) -> None:
    """Raises SqlError where a text has several statements, or one that changes data inside of another.

    Snowflake refuses both, unless its account says else.
    """
    try:
        parsed = sqlglot.parse(sql, read="snowflake")
    except SqlglotError:
        raise _refused(name, "can not be read as one statement") from None
    statements = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        raise _refused(name, f"has {len(statements)} statements")
    if any(isinstance(node, _WRITES) for node in statements[0].walk() if node is not statements[0]):
        raise _refused(name, "has a statement that writes inside of another")


def _refused(name: str, why: str) -> SqlError:
    hint = "keep one statement; an audience only reads: change data in a job of its own"
    return SqlError(Problem("sql-error", f"the query on `{name}` {why}", hint))
