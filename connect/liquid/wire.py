"""Text as the octets of an e-mail: UTF-8, lines that end in CRLF. What a template says itself is made into them once.

While it is put together, an octet is a character below U+0100, as in Latin-1: such strings are joined and become bytes
at the speed of a copy. The list that a compiled template writes holds a literal, a value, a literal, a value…: values
are text until the end, and what has to be done to them is found by looking at all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from connect.liquid.limits import OUTPUT_CHARACTERS
from connect.liquid.trouble import GiveUp

MOST_ROUNDS = 2000
"""Of all loops together: what they write is kept in pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class Literals:
    """What is known of a template's own text."""

    added: Mapping[str, int]
    """For each piece that the template writes, how many octets more than characters it has in UTF-8."""
    ascii: bool
    has_nul: bool
    has_controls: bool
    """Other than tabs and line ends."""
    longest: int | None
    """So many octets of literals at most stand in one line; None where a loop may write a line of any length."""


@dataclass(slots=True, eq=False)
class WireText:
    """One person's text as octets, and what is known of them."""

    data: bytes = field(repr=False)
    values: str = field(repr=False)
    """The octets of what was printed, without the literals between."""
    values_added: int = field(repr=False)
    literals: Literals = field(repr=False)
    _pieces: Sequence[str] = field(repr=False)

    def __str__(self) -> str:
        """The text, whose lines end in `\\n`."""
        return self.lines.decode()

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, WireText) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.data)

    def __reduce__(self) -> tuple[object, ...]:
        return as_wire_text, (str(self),)

    @property
    def lines(self) -> bytes:
        """The UTF-8 of the text."""
        return self.data.replace(b"\r", b"")

    @property
    def added(self) -> int:
        """How many octets more than characters the text has."""
        if self.literals.ascii:
            return self.values_added
        return _added(self.literals, tuple(self._pieces[::2])) + self.values_added

    def __len__(self) -> int:
        """In octets."""
        return len(self.data)

    @property
    def parts(self) -> tuple[tuple[str, ...], Sequence[str]]:
        """As octets: what the template says itself, and the values between; there is one of these less."""
        return (*self._pieces[::2], ""), self._pieces[1::2]

    def may_hold(self, pair: str) -> bool:
        """Whether these two characters may stand in it side by side. Looks at the values only."""
        within, begun = _within(self.literals, pair)
        return within or pair in self.values or (begun and pair[1] in self.values)


@lru_cache(maxsize=1024)
def _added(literals: Literals, pieces: tuple[str, ...]) -> int:
    return sum(map(literals.added.__getitem__, pieces))


@lru_cache(maxsize=1024)
def _within(literals: Literals, pair: str) -> tuple[bool, bool]:
    """Whether the pair, or the end of it, is in a literal; whether a literal ends in what may be its beginning."""
    within = any(pair in piece or piece.startswith(pair[1]) for piece in literals.added)
    return within, any(piece.endswith(pair[0]) for piece in literals.added)


def refilled(pieces: Sequence[str], literals: Literals, printed: str | None = None) -> WireText:
    """Octets that are put together anew: a literal, a value, a literal…, and what is known of the literals.

    printed: what of the values has to be looked at; the others are plain ASCII. All of them where it is None.
    """
    values = "".join(pieces[1::2])
    added = 0 if values.isascii() else len(values) - len(values.encode("latin-1").decode())
    values = values if printed is None else printed
    return WireText("".join(pieces).encode("latin-1"), values, added, literals, pieces)


def as_wire_text(text: str) -> WireText:
    """A text without lone surrogates, all of it a value."""
    value, added = _octets(text)
    return WireText(value.encode("latin-1"), value, added, literals_of([""], 0), ("", value))


def literal(text: str) -> str:
    """Text of a template as octets."""
    return _octets(text)[0]


def literals_of(pieces: Sequence[str], longest: int | None) -> Literals:
    """What is known of these pieces, as `literal` makes them."""
    added = {piece: sum("\x80" <= octet < "\xc0" for octet in piece) for piece in pieces}
    whole = "".join(added)
    return Literals(added, whole.isascii(), "\0" in whole, _CONTROLS.search(whole) is not None, longest)


_CONTROLS = re.compile(r"[^\t\n\r -~\x80-\xff]")


def wired(parts: list[str], size: int, literals: Literals) -> WireText:
    """What was written. Gives up where an end of a line might be written by two values, or all is too much."""
    values, added = parts[1::2], 0
    printed = "".join(values)
    if not printed.isascii() or "\n" in printed or "\r" in printed:
        if "\n" in printed or "\r" in printed:
            values, added = _mended(values)
        else:
            added = _encode(values)
        parts[1::2] = values
        printed = "".join(values)
    text = "".join(parts)
    if size + len(text) > OUTPUT_CHARACTERS:
        raise GiveUp
    return WireText(text.encode("latin-1"), printed, added, literals, parts)


def bounded(parts: list[str], rounds: int, size: int) -> None:
    """Give up where loops have written much."""
    if rounds > MOST_ROUNDS or size + sum(map(len, parts)) > OUTPUT_CHARACTERS:
        raise GiveUp


def _encode(values: list[str]) -> int:
    """As `_mended`, in place, for values without line ends: nearly all of them are ASCII."""
    plain, total = bytes(map(str.isascii, values)), 0
    index = plain.find(0)
    while index >= 0:
        values[index], added = _octets(values[index])
        total += added
        index = plain.find(0, index + 1)
    return total


def _mended(values: list[str]) -> tuple[list[str], int]:
    """The values as octets, and how many more these are than characters. All at once: one by one takes longer."""
    text = "\0".join(values)
    if text.count("\0") >= len(values) or ("\r" in text and "\r\0" in text + "\0"):
        raise GiveUp
    octets, added = _octets(text)
    return octets.split("\0"), added


_SURROGATES = re.compile("[\ud800-\udfff]")


def _octets(text: str) -> tuple[str, int]:
    """The octets, and how many more there are in UTF-8 than characters. Surrogates, which have none, are U+FFFD."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    try:
        data = lines.encode()
    except UnicodeEncodeError:
        data = _SURROGATES.sub("\ufffd", lines).encode()
    return data.replace(b"\n", b"\r\n").decode("latin-1"), len(data) - len(lines)
