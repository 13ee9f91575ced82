"""What a warehouse says of a query, at its place in the text that somebody wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from connect.errors import Location, Problem, UserError
from connect.project.text import Text
from connect.warehouses import query
from connect.warehouses.interface import Dialect, SqlError


@contextmanager
def placed_in(sql: Text | None, file: str, dialect: Dialect) -> Iterator[None]:
    """What is wrong with a query, at its place in the user's file; in `file` where there is no text of it."""
    try:
        yield
    except SqlError as error:
        told = query.place_of(sql, dialect, error.offset) if sql and error.offset is not None else None
        problems = (replace(problem, location=problem.location or told) for problem in error.problems)
        raise UserError(*(_placed(problem, sql, file) for problem in problems)) from None
    except UserError as error:
        raise UserError(*(_placed(problem, sql, file) for problem in error.problems)) from None


def _placed(problem: Problem, sql: Text | None, file: str) -> Problem:
    """The problem in one line, at the first name it quotes that the query has; else where the query begins."""
    message = problem.message.partition("\n")[0]
    place = problem.location or (_mentioned(sql, message) if sql else Location(file, 1, 1))
    return replace(problem, message=message, location=place)


_QUOTED = re.compile(r'"([^"]+)"|\bwith name (\w+)')


def _mentioned(sql: Text, message: str) -> Location:
    for quoted, named in _QUOTED.findall(message):
        found = re.search(rf"\b{re.escape(quoted or named)}(?!\w)", sql.source, re.IGNORECASE)
        if found:
            return sql.at(found.start())
    return sql.at(0)
