"""Which columns of a query are conditions, such as `plan = 'pro' as is_pro`: the server gives 1 and 0 for them.

In Liquid 0 is true, as every number is. So the SQL is parsed to find what is a condition, through subqueries.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_CONDITIONS = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Xor, exp.RegexpLike, exp.Exists)


class _Projection(NamedTuple):
    """A column that a query gives."""

    name: str
    """In lower case."""
    is_condition: bool | None
    """None where it is null."""


_Sources = Mapping[str, list[_Projection]]


@lru_cache(maxsize=64)
def conditions(sql: str) -> frozenset[str]:
    """The names, in lower case, of the columns of a query that are conditions; none where it can not be parsed."""
    try:
        parsed = sqlglot.parse_one(sql, read="mysql")
    except SqlglotError:
        return frozenset()
    found = _of_query(parsed, {}) if isinstance(parsed, exp.Query) else []
    return frozenset(name for name, is_condition in found if is_condition)


def _of_query(query: exp.Expr, outer: _Sources) -> list[_Projection]:
    """The columns of a query, as far as they can be told; `outer`: the common table expressions around it."""
    if isinstance(query, exp.Subquery):
        return _of_query(query.this, outer)
    known = dict(outer)
    with_ = query.args.get("with_") or query.args.get("with")
    for cte in with_.expressions if with_ else ():
        known[cte.alias.casefold()] = _of_query(cte.this, known)
    if isinstance(query, exp.SetOperation):
        sides = _of_query(query.left, known), _of_query(query.right, known)
        return [
            _Projection(left.name, _both(left.is_condition, right.is_condition))
            for left, right in zip(*sides, strict=False)
        ]
    return _of_select(query, known) if isinstance(query, exp.Select) else []


def _both(left: bool | None, right: bool | None) -> bool | None:
    """Of two branches, of which one may be null."""
    return right if left is None else left if right is None else left and right


def _of_select(select: exp.Select, known: _Sources) -> list[_Projection]:
    sources = _sources(select, known)
    found: list[_Projection] = []
    for term in select.expressions:
        inner = term.this if isinstance(term, exp.Alias) else term
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            table = inner.table.casefold() if isinstance(inner, exp.Column) else ""
            named = [sources.get(table, [])] if table else list(sources.values())
            found += [column for columns in named for column in columns]
        else:
            found.append(_Projection(term.alias_or_name.casefold(), _judged(inner, sources)))
    return found


def _sources(select: exp.Select, known: _Sources) -> dict[str, list[_Projection]]:
    """What stands behind `from` and `join`, by its alias."""
    from_ = select.args.get("from_") or select.args.get("from")
    relations = [from_.this] if from_ else []
    relations += [join.this for join in select.args.get("joins") or ()]
    found: dict[str, list[_Projection]] = {}
    for relation in relations:
        inner = _of_query(relation, known) if isinstance(relation, exp.Subquery) else []
        if isinstance(relation, exp.Table) and not relation.db:
            inner = list(known.get(relation.name.casefold(), []))
        found[relation.alias_or_name.casefold()] = inner
    return found


def _judged(term: exp.Expr, sources: _Sources) -> bool | None:
    """Whether an expression is a condition; None for null, which may be one."""
    if isinstance(term, exp.Null):
        return None
    if isinstance(term, exp.Column):
        named = [sources.get(term.table.casefold(), [])] if term.table else sources.values()
        return next((is_one for columns in named for name, is_one in columns if name == term.name.casefold()), False)
    branches = _branches(term)
    if branches:
        verdict: bool | None = None
        for branch in branches:
            verdict = _both(verdict, _judged(branch, sources))
        return verdict
    return isinstance(term, _CONDITIONS)


def _branches(term: exp.Expr) -> list[exp.Expr]:
    """What an expression may give, where it gives one of several."""
    if isinstance(term, exp.Paren):
        return [term.this]
    if isinstance(term, exp.Case):
        others = [term.args["default"]] if term.args.get("default") else []
        return [branch.args["true"] for branch in term.args["ifs"]] + others
    if isinstance(term, exp.If):
        return [term.args["true"], *([term.args["false"]] if term.args.get("false") else [])]
    return [term.this, *term.expressions] if isinstance(term, exp.Coalesce) else []
