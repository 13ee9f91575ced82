"""Text laid out in lines, as a page is printed: words that flow, blocks with room around them, lists, tables.

The layout is that of Inscriptis (and it is tested to be), which takes ten times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Style(NamedTuple):
    """How an element is laid out."""

    block: bool = False
    margin: int = 0
    """Blank lines before and after."""
    indent: int = 0


INLINE, BLOCK, PARAGRAPH, LIST = Style(), Style(True), Style(True, margin=1), Style(True, indent=4)


@dataclass(slots=True)
class Paper:
    """What is written so far. Lines are appended to `lines` when they are full."""

    lines: list[str] = field(default_factory=list)
    spaced: bool = True
    """The line ends in space that may collapse, or has not begun: more space adds nothing."""
    _line: str = ""
    _gap: int = 1000
    """How many blank lines there are above: at the top, as many as anybody could want."""
    _indents: list[int] = field(default_factory=list)
    _bullets: list[str] = field(default_factory=list)
    _begun: bool = False
    """The indent and the bullet of this line are written."""

    def words(self, text: str) -> None:
        """Write text that flows: any run of space is one space."""
        if text.isspace():
            if not self.spaced:
                self._line += " "
                self.spaced = True
            return
        joined = " ".join(text.split())
        if text[0].isspace() and not self.spaced:
            joined = " " + joined
        self.spaced = text[-1].isspace()
        if self.spaced:
            joined += " "
        self._line = self._line + joined if self._line else self._beginning() + joined

    def verbatim(self, text: str) -> None:
        """Write text as it is, its line ends included."""
        self._line += self._beginning() + text.replace("\n", "\n" + " " * sum(self._indents))
        self.spaced = False

    def open(self, style: Style, bullet: str, room: int) -> None:
        """Begin a block with so many blank lines above it."""
        if not (self._line and self.flush()) and bullet:
            self._lone_bullet()
        self._indents.append(style.indent)
        self._bullets.append(bullet)
        if room > self._gap:
            self._blank(room)

    def close(self, style: Style, bullet: str) -> None:
        """End the block that was opened last."""
        if not (self._line and self.flush()) and bullet:
            self._lone_bullet()
        self._indents.pop()
        self._bullets.pop()
        if style.margin > self._gap:
            self._blank(style.margin)

    def line_break(self) -> None:
        if not self.flush():
            self.lines.append("")
            self._new_line()

    def flush(self) -> bool:
        """End the line, if there is anything on it."""
        if self.spaced and self._line[-1:] == " ":
            self._line = self._line[:-1]
        if not self._line:
            return False
        self.lines.append(self._line)
        self._new_line()
        self._gap = 0
        return True

    def table(self, rows: list[list[Cell]]) -> None:
        """Write a table below what there is."""
        self.flush()
        self.verbatim(_table(rows))
        self.flush()

    def text(self) -> str:
        self.flush()
        return "\n".join(self.lines)

    def _new_line(self) -> None:
        self._line, self.spaced, self._begun = "", True, False

    def _blank(self, count: int) -> None:
        self.lines.append("\n" * (count - self._gap - 1))
        self._gap = count

    def _beginning(self) -> str:
        if self._begun:
            return ""
        self._begun = True
        bullet = self._next_bullet() if any(self._bullets) else ""
        return " " * (sum(self._indents) - len(bullet)) + bullet

    def _lone_bullet(self) -> None:
        """The bullet of an item around this one that has no text of its own."""
        bullet = "" if self._begun else self._next_bullet()
        if bullet:
            self.lines.append(" " * (sum(self._indents[:-1]) - len(bullet)) + bullet)
            self._new_line()
            self._gap = 0

    def _next_bullet(self) -> str:
        """The innermost bullet that is not written yet."""
        for at in range(len(self._bullets) - 1, -1, -1):
            if self._bullets[at]:
                bullet, self._bullets[at] = self._bullets[at], ""
                return bullet
        return ""


@dataclass(slots=True)
class Cell:
    """A cell of a table, with a paper of its own."""

    align: str
    valign: str
    paper: Paper = field(default_factory=Paper)

    def lines(self) -> list[str]:
        text = self.paper.text()
        return text.split("\n") if "\n" in text else [text]


_ABOVE = {"top": 0, "bottom": 2}  # of two parts of the room that is left; a cell stands in the middle by default


def _table(rows: list[list[Cell]]) -> str:
    contents = [[cell.lines() for cell in row] for row in rows]
    widths: list[int] = []
    for row in contents:
        widths += [0] * (len(row) - len(widths))
        for column, lines in enumerate(row):
            widths[column] = max(widths[column], max(map(len, lines)))
    printed = [_row(cells, lines, widths) for cells, lines in zip(rows, contents, strict=True)]
    return "\n".join(printed) + "\n"


def _row(cells: list[Cell], contents: list[list[str]], widths: list[int]) -> str:
    height = max(map(len, contents), default=0)
    if height == 1:
        return "  ".join(map(_aligned, [lines[0] for lines in contents], [cell.align for cell in cells], widths))
    columns = [
        [_aligned(line, cell.align, width) for line in _centred(lines, cell.valign, height)]
        for cell, lines, width in zip(cells, contents, widths, strict=False)
    ]
    return "\n".join("  ".join(line) for line in zip(*columns, strict=True))


def _centred(lines: list[str], valign: str, height: int) -> list[str]:
    room = height - len(lines)
    above = room * _ABOVE.get(valign, 1) // 2
    return [""] * above + lines + [""] * (room - above) if room else lines


def _aligned(line: str, align: str, width: int) -> str:
    if align == "right":
        return line.rjust(width)
    return line.center(width) if align == "center" else line.ljust(width)
