"""A piece of text that somebody wrote in a file (Liquid, SQL), and where."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, PrivateAttr

from connect.errors import Location


class TextKind(StrEnum):
    """What a text is, and so how it is checked."""

    liquid = "liquid"
    liquid_html = "liquid_html"
    sql = "sql"
    segment = "segment"
    """SQL that gives ids."""
    conversions = "conversions"
    """SQL that is asked for a report, and for no run."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What errors may show is no part of what a text says: two texts are equal without it."""

    lines: tuple[str, ...] = field(default=(), compare=False, repr=False)


class Text(BaseModel):
    """Source text that remembers its place, so that an error inside it points at the user's file."""

    model_config = ConfigDict(frozen=True)

    source: str
    file: str = ""
    line: int = 1
    """The file's line on which the first line of `source` stands."""
    column: int = 1
    """The column at which the first character of `source` stands."""
    indent: int = 0
    """How far the following lines are indented in the file (a YAML block scalar)."""

    marks: tuple[tuple[int, int, int], ...] = ()
    """(offset in `source`, line, column) where folding or escapes in the file shift what follows; else none."""
    _shown: _Shown = PrivateAttr(_Shown())

    def showing(self, lines: tuple[str, ...]) -> Text:
        """The same text with the file's own lines from `line` on, for errors to show; blank ones are not shown.

        They are not stored with a run: without them an error shows the source instead.
        """
        made = self.model_copy()
        made._shown = _Shown(lines)
        return made

    def location(self, line: int, column: int) -> Location:
        """The place in the file of a line and column (both from 1) inside `source`."""
        lines = self.source.split("\n")
        if self.marks:
            return self._marked(sum(len(text) + 1 for text in lines[: line - 1]) + column - 1)
        shift = self.column - 1 if line == 1 else self.indent
        shown = " " * shift + lines[min(line, len(lines)) - 1]
        return Location(self.file, self.line + line - 1, column + shift, self._line(self.line + line - 1, shown))

    def at(self, offset: int) -> Location:
        """The place in the file of a character offset (from 0) inside `source`."""
        if self.marks:
            return self._marked(offset)
        before = self.source[:offset]
        return self.location(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def _marked(self, offset: int) -> Location:
        number = max(0, bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1)
        begin, line, column = self.marks[number]
        end = next((mark[0] for mark in self.marks[number:] if mark[1] != line), len(self.source))
        first = next(mark for mark in self.marks if mark[1] == line)
        shown = " " * (first[2] - 1) + self.source[first[0] : end]
        return Location(self.file, line, column + offset - begin, self._line(line, shown.replace("\n", " ")))

    def _line(self, number: int, otherwise: str) -> str:
        """A line as it stands in the file, where it may be shown."""
        at = number - self.line
        lines = self._shown.lines
        return (lines[at] if 0 <= at < len(lines) else "") or otherwise
