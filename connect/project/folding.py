"""Where each piece of a folded or escaped scalar stands, so that an error inside it finds its character.

A mark is (offset in the value, line, column); between two marks, one character of the value is one of the file.
"""

from __future__ import annotations

import re

Mark = tuple[int, int, int]
_FOLD = re.compile(r"[ \t]*\r?\n((?:[ \t]*\r?\n)*)[ \t]*")
_ESCAPES = {"x": 4, "u": 6, "U": 10}


def marks(raw: str, line: int, column: int, value: str, style: str) -> tuple[Mark, ...]:
    """Marks of a plain or quoted scalar whose text (behind its quote) begins at this line and column."""
    found: list[Mark] = []
    at, offset, expected = 0, 0, -1
    while offset < len(value) and at < len(raw):
        taken, given = _piece(raw, at, style)
        if given and at != expected:
            found.append((offset, line + raw.count("\n", 0, at), _column(raw, at, column)))
        expected = at + 1 if given else -1
        at, offset = at + taken, offset + given
    return () if len(found) <= 1 else tuple(found)


def _piece(raw: str, at: int, style: str) -> tuple[int, int]:
    """(characters of the file, characters of the value) of the next piece."""
    if style == '"' and raw[at] == "\\":
        continued = re.compile(r"\\\r?\n[ \t]*").match(raw, at)
        return (continued.end() - at, 0) if continued else (_ESCAPES.get(raw[at + 1 : at + 2], 2), 1)
    if style == "'" and raw.startswith("''", at):
        return 2, 1
    if fold := _FOLD.match(raw, at):
        return fold.end() - at, max(1, fold[1].count("\n"))
    return 1, 1


def _column(raw: str, at: int, column: int) -> int:
    begin = raw.rfind("\n", 0, at) + 1
    return column + at if begin == 0 else at - begin + 1


def block_marks(lines: list[str], line: int, indent: int, value: str) -> tuple[Mark, ...]:
    """Marks of a `>` scalar whose first line is this one, counted from 1."""
    found: list[Mark] = []
    offset = 0
    for number, raw in enumerate(lines, line):
        text = raw.rstrip("\r")[indent:]
        if not text or offset >= len(value):
            continue
        if not value.startswith(text, offset):  # trailing blanks, or beyond the scalar's end
            break
        found.append((offset, number, indent + 1))
        offset += len(text)
        if value.startswith(" ", offset):
            offset += 1
        while value.startswith("\n", offset):
            offset += 1
    return tuple(found)
