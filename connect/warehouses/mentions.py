"""The tables that a query reads: what its user must be allowed, and whether opt-outs that are written are read."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from connect.project.text import Text
from connect.warehouses import query


def tables(sql: Text, dialect: str) -> list[str]:
    """The tables and views whose rows a query can return or look at, as it writes them, each once.

    Not those of a common table expression that nothing selects from, nor names that are such expressions themselves.
    What the views read is not known here. Nothing where the query can not be read.
    """
    return list(dict.fromkeys(_written(table, dialect) for table in _tables(sql, dialect)))


def reads(sql: Text, table: str, dialect: str) -> bool:
    """Whether a query reads this table. A name that leaves out its schema may be that of any."""
    wanted = _parts(exp.to_table(table, dialect=dialect))
    found = [_parts(one) for one in _tables(sql, dialect)]
    return any(all(a == b for a, b in zip(wanted, parts, strict=False)) for parts in found)


def _parts(table: exp.Table) -> list[str]:
    """The table, its schema and its catalog, in lower case: engines differ in what they fold."""
    return [part.name.casefold() for part in reversed(table.parts)]


def _written(table: exp.Table, dialect: str) -> str:
    return ".".join(part.sql(dialect=dialect) for part in table.parts)


def _tables(sql: Text, dialect: str) -> Iterator[exp.Table]:
    try:
        statement = query.parsed(sql, dialect)
        root = build_scope(statement) if statement is not None else None
    except SqlglotError:
        return
    if root is not None:
        yield from _inside(root, set())


def _inside(scope: Scope, seen: set[int]) -> Iterator[exp.Table]:
    if id(scope) in seen:  # a recursive one selects from itself
        return
    seen.add(id(scope))
    for source in [scope.sources.get(name) for name, _ in scope.references]:
        if isinstance(source, Scope):
            yield from _inside(source, seen)
        elif isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            yield source
    for inner in (*scope.set_operation_scopes, *scope.subquery_scopes, *scope.udtf_scopes):
        yield from _inside(inner, seen)
