"""Python source as it is being written: lines, and text that waits to be printed with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

from connect.liquid.wire import literal


class NotCompiled(Exception):
    """This template is left to the interpreter; the message says for what."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands in the template."""

    text: str


Piece = Literal | str
"""Literal text, or a Python expression that gives text."""


class Constants:
    """Everything that the source names and does not spell out. No text of a template is ever part of the source."""

    def __init__(self, known: dict[str, object]) -> None:
        self.values = dict(known)
        self._names: dict[tuple[type, object], str] = {}
        self._count = 0

    def fresh(self, kind: str) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{kind}{self._count}"

    def name(self, value: object) -> str:
        """The name of this constant; equal texts share one."""
        key = (type(value), value) if type(value) in (str, int) else (type(value), id(value))
        if key not in self._names:
            self._names[key] = self.fresh("K")
            self.values[self._names[key]] = value
        return self._names[key]


def _octets(piece: Literal) -> str:
    if piece.text.endswith("\r"):
        raise NotCompiled("what follows may be the other half of a line end")
    return literal(piece.text)


_LONG = 200
"""Text of more characters is not copied before all is joined in the end."""


@dataclass(slots=True)
class Block:
    """Statements in order. What is printed waits, so that text printed in a row is written at once."""

    constants: Constants
    lines: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def inner(self) -> Block:
        return Block(self.constants)

    def literal(self, text: str) -> None:
        if self.pieces and isinstance(self.pieces[-1], Literal):
            text = self.pieces.pop().text + text  # type: ignore[union-attr]
        if text:
            self.pieces.append(Literal(text))

    def text(self, expression: str) -> None:
        self.pieces.append(expression)

    def print_all(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self.literal(piece.text) if isinstance(piece, Literal) else self.text(piece)

    def line(self, statement: str) -> None:
        self.lines.append(statement)

    def nest(self, head: str, body: Block) -> None:
        self.lines.append(head)
        self.lines += [f" {line}" for line in body.lines] or [" pass"]

    def flush(self, buffer: str | None) -> None:
        """Write what waits; without a buffer, it is only evaluated."""
        pieces, self.pieces = self.pieces, []
        if buffer is None:
            self.lines += [piece for piece in pieces if isinstance(piece, str)]
        elif len(pieces) > 1 and sum(len(piece.text) for piece in pieces if isinstance(piece, Literal)) > _LONG:
            self.lines.append(f"{buffer}.extend(({', '.join(map(self._name, pieces))}))")
        elif pieces:
            self.lines.append(f"{buffer}.append({self.joined(pieces)})")

    def flush_in_pairs(self, buffer: str) -> list[str]:
        """Write what waits as a literal, a value, a literal, a value…; returns the literals, which become octets."""
        pieces, self.pieces = self.pieces, []
        nothing, literals = self.constants.name(""), [""]
        names: list[str] = []
        for piece in pieces:
            is_literal = isinstance(piece, Literal)
            names += [nothing] if is_literal == bool(len(names) % 2) else []
            if isinstance(piece, Literal):
                literals.append(_octets(piece))
            names.append(self.constants.name(literals[-1]) if is_literal else self._name(piece))
        if names:
            self.lines.append(f"{buffer} += ({', '.join(names)}{f', {nothing}' if len(names) % 2 else ''})")
        return literals

    def joined(self, pieces: list[Piece]) -> str:
        """One expression for the text of them all, as a statement's own: such can not stand in one another."""
        names = [self._name(piece) for piece in pieces]
        if len(names) == 1 and isinstance(pieces[0], Literal):
            return names[0]
        return 'f"' + "".join(f"{{{name}}}" if name.isidentifier() else f"{{({name})}}" for name in names) + '"'

    def fused(self, pieces: list[Piece]) -> str:
        """As `joined`, for use within other expressions."""
        names = [self._name(piece) for piece in pieces]
        if not names:
            return self.constants.name("")
        return names[0] if len(names) == 1 else f"joined(({', '.join(names)}))"

    def _name(self, piece: Piece) -> str:
        return self.constants.name(piece.text) if isinstance(piece, Literal) else piece
