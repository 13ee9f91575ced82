"""A piece of text that somebody wrote in a file (Liquid, SQL), and where."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from connect.errors import Location


class TextKind(StrEnum):
    """What a text is, and so how it is checked."""

    liquid = "liquid"
    liquid_html = "liquid_html"
    sql = "sql"


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

    def location(self, line: int, column: int) -> Location:
        """The place in the file of a line and column (both from 1) inside `source`."""
        lines = self.source.splitlines() or [""]
        shown = lines[min(line, len(lines)) - 1]
        shift = self.column - 1 if line == 1 else self.indent
        return Location(self.file, self.line + line - 1, column + shift, " " * shift + shown)

    def at(self, offset: int) -> Location:
        """The place in the file of a character offset (from 0) inside `source`."""
        before = self.source[:offset]
        return self.location(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
