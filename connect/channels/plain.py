"""Readable text from an HTML e-mail: what a person reads who does not see HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connect.channels import markup
from connect.channels.paper import BLOCK, INLINE, LIST, PARAGRAPH, Cell, Paper, Style

Attributes = Mapping[str, str]


def text_from_html(html: str) -> str:
    """The text of this page with its links (`Shop now <https://…>`), lists, tables and descriptions of images.

    What the page hides by `display:none` is left out, preheaders among it. Never raises.
    """
    return _tidy(_Reader(markup.tokens(html)).read())


_STYLES = (
    dict.fromkeys(["p", "figure", "h1", "h2", "h3", "h4", "h5", "h6"], PARAGRAPH)
    | dict.fromkeys(["ul", "ol"], LIST)
    | dict.fromkeys(["address", "article", "aside", "blockquote", "div", "figcaption", "footer", "header"], BLOCK)
    | dict.fromkeys(["hgroup", "layer", "li", "listing", "main", "nav", "plaintext", "pre", "xmp"], BLOCK)
)
_UNSEEN = frozenset({"head", "link", "meta", "script", "style", "title"})
_BULLETS = ("* ", "+ ", "o ", "- ")


@dataclass(slots=True)
class _Table:
    """A table that is being read. One that only arranges the page has no paper: its cells are blocks of it."""

    rows: list[list[Cell]] = field(default_factory=list)
    around: Paper | None = None


class _Reader:
    """Goes through a page once and writes down what it shows."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0
        """Of the tag that is being read."""
        self._paper = Paper()
        self._open: list[tuple[str, Style, str, Paper, Attributes]] = []
        """(name, style, bullet, paper around, attributes) of the elements around this place."""
        self._tables: list[_Table] = []
        self._lists: list[int | str] = []
        self._labels: list[list[str]] = []
        self._verbatim = 0
        self._bullet = ""
        """Of the list item that begins here."""

    def read(self) -> str:
        tokens, tag_of, unseen = self._tokens, markup.tag, _UNSEEN
        at, last = 1, len(tokens) - 1
        while at < last:
            token = tokens[at]
            if token[0] == "/":
                self._end()
            else:
                tag = tag_of(token)
                if tag.name in unseen or tag.is_hidden:
                    at = _end_of(tokens, at)
                else:
                    self._at = at
                    self._start(tag.name, tag.attributes)
                    if tag.is_empty:
                        self._end()
            text = tokens[at + 1]
            if text:
                self._write(markup.text(text) if "&" in text else text)
            at += 2
        return self._paper.text()

    def _write(self, text: str) -> None:
        paper = self._paper
        if self._verbatim:
            paper.verbatim(text)
        elif not (paper.spaced and text.isspace()):
            paper.words(text)
        if self._labels:
            self._labels[-1].append(text)

    def _start(self, name: str, attributes: Attributes) -> None:
        around, style, bullet = self._paper, _STYLES.get(name, INLINE), ""
        handler = _STARTS.get(name)
        if handler is not None:
            style = handler(self, attributes, style)
            bullet, self._bullet = self._bullet, ""
        if style.block:
            room = style.margin or (self._open[-1][1].margin if self._open else 0)
            self._paper.open(style, bullet, room)
        self._open.append((name, style, bullet, around, attributes))

    def _end(self) -> None:
        name, style, bullet, around, attributes = self._open.pop()
        handler = _ENDS.get(name)
        if handler is not None:
            handler(self, attributes)
        self._paper = around
        if style.block:
            around.close(style, bullet)

    def _link(self, attributes: Attributes, style: Style) -> Style:
        self._labels.append([])
        return style

    def _link_end(self, attributes: Attributes) -> None:
        """The target behind the text, unless the text says it already."""
        label = " ".join("".join(self._labels.pop()).split())
        target = "".join(attributes.get("href", "").split())
        if not label or not target or target.startswith(("#", "javascript:")):
            return
        if target not in (label, f"mailto:{label}", f"tel:{label}"):
            self._paper.words(f" <{target}>")

    def _image(self, attributes: Attributes, style: Style) -> Style:
        description = attributes.get("alt", "").strip()
        if description:
            self._write(description)
        return style

    def _line_break(self, attributes: Attributes, style: Style) -> Style:
        self._paper.line_break()
        return style

    def _quote(self, attributes: Attributes, style: Style) -> Style:
        self._write('"')
        return style

    def _quote_end(self, attributes: Attributes) -> None:
        self._write('"')

    def _pre(self, attributes: Attributes, style: Style) -> Style:
        self._verbatim += 1
        return style

    def _pre_end(self, attributes: Attributes) -> None:
        self._verbatim -= 1

    def _bullets(self, attributes: Attributes, style: Style) -> Style:
        self._lists.append(_BULLETS[len(self._lists) % len(_BULLETS)])
        return style

    def _numbers(self, attributes: Attributes, style: Style) -> Style:
        self._lists.append(1)
        return style

    def _list_end(self, attributes: Attributes) -> None:
        self._lists.pop()

    def _item(self, attributes: Attributes, style: Style) -> Style:
        bullet = self._lists[-1] if self._lists else _BULLETS[0]
        if isinstance(bullet, str):
            self._bullet = bullet
            return style
        given = attributes.get("value", "")
        number = int(given) if given.isdecimal() and len(given) < 10 else bullet
        self._lists[-1] = number + 1
        self._bullet = f"{number}. "
        return style

    def _table(self, attributes: Attributes, style: Style) -> Style:
        """A table that only arranges the page becomes lines of text; one that holds data stays a table."""
        if attributes.get("role") in ("presentation", "none") or _arranges(self._tokens, self._at):
            self._tables.append(_Table())
            return BLOCK
        self._tables.append(_Table(around=self._paper))
        self._paper = Paper()
        return style

    def _table_end(self, attributes: Attributes) -> None:
        table = self._tables.pop()
        if table.around is None:
            return
        beside = self._paper.text().strip()  # captions, and what broken pages have between cells
        if beside:
            table.around.words(beside)
            table.around.line_break()
        if table.rows:
            table.around.table(table.rows)

    def _row(self, attributes: Attributes, style: Style) -> Style:
        if not self._tables:
            return style
        if self._tables[-1].around is None:
            return BLOCK
        self._tables[-1].rows.append([])
        return style

    def _cell(self, attributes: Attributes, style: Style) -> Style:
        if not self._tables:
            return style
        table = self._tables[-1]
        if table.around is None:
            return BLOCK
        cell = Cell(attributes.get("align", ""), attributes.get("valign", ""))
        if not table.rows:
            table.rows.append([])
        table.rows[-1].append(cell)
        self._paper = cell.paper
        return style


_STARTS: dict[str, Callable[[_Reader, Attributes, Style], Style]] = {
    "a": _Reader._link,
    "br": _Reader._line_break,
    "img": _Reader._image,
    "li": _Reader._item,
    "ol": _Reader._numbers,
    "q": _Reader._quote,
    "table": _Reader._table,
    "td": _Reader._cell,
    "th": _Reader._cell,
    "tr": _Reader._row,
    "ul": _Reader._bullets,
    **dict.fromkeys(["listing", "plaintext", "pre", "xmp"], _Reader._pre),
}
_ENDS: dict[str, Callable[[_Reader, Attributes], None]] = {
    "a": _Reader._link_end,
    "ol": _Reader._list_end,
    "q": _Reader._quote_end,
    "table": _Reader._table_end,
    "ul": _Reader._list_end,
    **dict.fromkeys(["listing", "plaintext", "pre", "xmp"], _Reader._pre_end),
}


def _end_of(tokens: Sequence[str], at: int) -> int:
    """Where the element that begins at this tag ends."""
    depth = 0
    while True:
        tag = tokens[at]
        if tag[0] == "/":
            depth -= 1
        elif tag[-1] != "/":
            depth += 1
        if depth == 0:
            return at
        at += 2


def _arranges(tokens: Sequence[str], at: int) -> bool:
    """Whether the table that begins at this tag is there for the eye: it holds other tables, or has one column."""
    path = [""] if tokens[at][-1] != "/" else []
    widest = columns = 0
    while path:
        at += 2
        token = tokens[at]
        if token[0] == "/":
            path.pop()
            continue
        name = token.rstrip("/").partition(" ")[0]
        if name == "table":
            return True
        if path[-1] == "tr" and len(path) <= 3:  # a row of the table, or of a part of it
            columns += 1
            widest = max(widest, columns)
        elif name == "tr":
            columns = 0
        if token[-1] != "/":
            path.append(name)
    return widest < 2


_TRAILING = " \t\u00a0\u200b\u200c\u200d\u034f\ufeff"


def _tidy(text: str) -> str:
    """No space at the ends of lines, at most one blank line, one line end at the end."""
    lines = "\n".join([line.rstrip(_TRAILING) for line in text.split("\n")])
    while "\n\n\n" in lines:
        lines = lines.replace("\n\n\n", "\n\n")
    tidied = lines.strip("\n")
    return tidied + "\n" if tidied.strip() else ""
