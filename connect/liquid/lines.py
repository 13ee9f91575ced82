"""How long the lines can become that a compiled template writes, without the values in them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping


class _Endless(Exception):
    """A line may be of any length, or where it ends is not clear."""


def longest_line(tree: ast.AST, buffer: str, names: Mapping[str, object]) -> int | None:
    """The most octets of literals in one line of what is written to `buffer`, in pairs; None if that is not known."""
    lines = _Lines(buffer, names)
    try:
        for node in ast.walk(tree):
            if isinstance(node, ast.Try):
                lines.all(node.body, 0)
    except _Endless:
        return None
    return lines.longest


class _Lines:
    """A walk along all ways through the statements. Each step takes the length of the line so far, and gives it."""

    def __init__(self, buffer: str, names: Mapping[str, object]) -> None:
        self._buffer, self._names = buffer, names
        self.longest = 0

    def all(self, statements: Iterable[ast.stmt], begun: int) -> int:
        for statement in statements:
            begun = self._statement(statement, begun)
        return begun

    def _statement(self, statement: ast.stmt, begun: int) -> int:
        if isinstance(statement, ast.AugAssign) and isinstance(statement.value, ast.Tuple):
            if isinstance(statement.target, ast.Name) and statement.target.id == self._buffer:
                for name in statement.value.elts[::2]:
                    begun = self._literal(name, begun)
        elif isinstance(statement, ast.If):
            return max(self.all(statement.body, begun), self.all(statement.orelse, begun))
        elif isinstance(statement, ast.For):
            return self._loop(statement, begun)
        elif isinstance(statement, (ast.Break, ast.Continue)):
            raise _Endless
        return begun

    def _literal(self, name: ast.expr, begun: int) -> int:
        assert isinstance(name, ast.Name)
        first, *rest = str(self._names[name.id]).split("\r\n")
        lengths = [begun + len(first), *map(len, rest)]
        self.longest = max(self.longest, *lengths)
        return lengths[-1]

    def _loop(self, loop: ast.For, begun: int) -> int:
        once = max(begun, self.all(loop.body, begun))
        again = max(once, self.all(loop.body, once))
        if again > once:
            raise _Endless
        return again
