"""Readable text from an HTML e-mail: what a person reads who does not see HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from connect.channels.paper import BLOCK, INLINE, LIST, PARAGRAPH, Cell, Paper, Style

# Elements and parsers of lxml, which has no types.
Element = Any


def text_from_html(html: str) -> str:
    """The text of this page with its links (`Shop now <https://…>`), lists, tables and descriptions of images.

    What the page hides by `display:none` is left out, preheaders among it. Never raises.
    """
    page = _parsed(html)
    return "" if page is None else _tidy(_Reader().read(page))


def _parsed(html: str) -> Element | None:
    """The page as a tree; None where there is nothing in it."""
    from lxml.etree import XMLSyntaxError, fromstring  # type: ignore[import-untyped]

    try:
        # As bytes: lxml refuses text that declares an encoding.
        return fromstring(html.encode(errors="replace"), parser=_parser())
    except XMLSyntaxError:  # blank, or nothing but comments
        return None


@cache
def _parser() -> Any:
    from lxml.etree import HTMLParser

    # `huge_tree` lifts libxml2's limit on depth from 256 to 2,048; what is nested deeper is lost.
    return HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)


_STYLES = (
    dict.fromkeys(["p", "figure", "h1", "h2", "h3", "h4", "h5", "h6"], PARAGRAPH)
    | dict.fromkeys(["ul", "ol"], LIST)
    | dict.fromkeys(["address", "article", "aside", "blockquote", "div", "figcaption", "footer", "header"], BLOCK)
    | dict.fromkeys(["hgroup", "layer", "li", "listing", "main", "nav", "plaintext", "pre", "xmp"], BLOCK)
)
_UNSEEN = frozenset({"head", "link", "meta", "script", "style", "title"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_BULLETS = ("* ", "+ ", "o ", "- ")


@dataclass(slots=True)
class _Table:
    """A table that is being read. One that only arranges the page has no paper: its cells are blocks of it."""

    rows: list[list[Cell]] = field(default_factory=list)
    around: Paper | None = None


class _Reader:
    """Walks through a page once and writes down what it shows."""

    def __init__(self) -> None:
        self._paper = Paper()
        self._open: list[tuple[Style, str, Paper]] = [(INLINE, "", self._paper)]
        """(style, bullet, paper around) of the elements around this place."""
        self._tables: list[_Table] = []
        self._lists: list[int | str] = []
        self._labels: list[list[str]] = []
        self._verbatim = 0
        self._bullet = ""
        """Of the list item that begins here."""

    def read(self, page: Element) -> str:
        from lxml.etree import iterwalk

        walk = iterwalk(page, events=("start", "end"))
        left_out = None
        for event, element in walk:
            if event == "end":
                if element.tag in _KNOWN and element is not left_out:
                    self._end(element)
                text = element.tail
            elif element.tag in _UNSEEN or _is_hidden(element):
                left_out = element
                walk.skip_subtree()
                continue
            else:
                if element.tag in _KNOWN:
                    self._start(element)
                text = element.text
            if text:
                self._write(text)
        return self._paper.text()

    def _write(self, text: str) -> None:
        paper = self._paper
        if self._verbatim:
            paper.verbatim(text)
        elif not (paper.spaced and text.isspace()):
            paper.words(text)
        if self._labels:
            self._labels[-1].append(text)

    def _start(self, element: Element) -> None:
        tag = element.tag
        around, style, bullet = self._paper, _STYLES.get(tag, INLINE), ""
        handler = _STARTS.get(tag)
        if handler is not None:
            style = handler(self, element, style)
            bullet, self._bullet = self._bullet, ""
        if style.block:
            parent = self._open[-1][0]
            self._paper.open(style, bullet, style.margin or parent.margin)
        self._open.append((style, bullet, around))

    def _end(self, element: Element) -> None:
        handler = _ENDS.get(element.tag)
        if handler is not None:
            handler(self, element)
        style, bullet, self._paper = self._open.pop()
        if style.block:
            self._paper.close(style, bullet)

    def _link(self, anchor: Element, style: Style) -> Style:
        self._labels.append([])
        return style

    def _link_end(self, anchor: Element) -> None:
        """The target behind the text, unless the text says it already."""
        label = " ".join("".join(self._labels.pop()).split())
        target = "".join(anchor.get("href", "").split())
        if not label or not target or target.startswith(("#", "javascript:")):
            return
        if target not in (label, f"mailto:{label}", f"tel:{label}"):
            self._paper.words(f" <{target}>")

    def _image(self, image: Element, style: Style) -> Style:
        description = image.get("alt", "").strip()
        if description:
            self._write(description)
        return style

    def _line_break(self, element: Element, style: Style) -> Style:
        self._paper.line_break()
        return style

    def _quote(self, element: Element, style: Style) -> Style:
        self._write('"')
        return style

    def _quote_end(self, element: Element) -> None:
        self._write('"')

    def _pre(self, element: Element, style: Style) -> Style:
        self._verbatim += 1
        return style

    def _pre_end(self, element: Element) -> None:
        self._verbatim -= 1

    def _list(self, element: Element, style: Style) -> Style:
        self._lists.append(1 if element.tag == "ol" else _BULLETS[len(self._lists) % len(_BULLETS)])
        return style

    def _list_end(self, element: Element) -> None:
        self._lists.pop()

    def _item(self, item: Element, style: Style) -> Style:
        bullet = self._lists[-1] if self._lists else _BULLETS[0]
        if isinstance(bullet, str):
            self._bullet = bullet
            return style
        given = item.get("value", "")
        number = int(given) if given.isdecimal() and len(given) < 10 else bullet
        self._lists[-1] = number + 1
        self._bullet = f"{number}. "
        return style

    def _table(self, table: Element, style: Style) -> Style:
        """A table that only arranges the page becomes lines of text; one that holds data stays a table."""
        if _arranges(table):
            self._tables.append(_Table())
            return BLOCK
        self._tables.append(_Table(around=self._paper))
        self._paper = Paper()
        return style

    def _table_end(self, element: Element) -> None:
        table = self._tables.pop()
        if table.around is None:
            return
        beside = self._paper.text().strip()  # captions, and what broken pages have between cells
        if beside:
            table.around.words(beside)
            table.around.line_break()
        if table.rows:
            table.around.table(table.rows)

    def _row(self, element: Element, style: Style) -> Style:
        if not self._tables:
            return style
        if self._tables[-1].around is None:
            return BLOCK
        self._tables[-1].rows.append([])
        return style

    def _cell(self, element: Element, style: Style) -> Style:
        if not self._tables:
            return style
        table = self._tables[-1]
        if table.around is None:
            return BLOCK
        cell = Cell(element.get("align", ""), element.get("valign", ""))
        if not table.rows:
            table.rows.append([])
        table.rows[-1].append(cell)
        self._paper = cell.paper
        return style


_STARTS: dict[str, Callable[[_Reader, Element, Style], Style]] = {
    "a": _Reader._link,
    "br": _Reader._line_break,
    "img": _Reader._image,
    "li": _Reader._item,
    "q": _Reader._quote,
    "table": _Reader._table,
    "tr": _Reader._row,
    **dict.fromkeys(["td", "th"], _Reader._cell),
    **dict.fromkeys(["ul", "ol"], _Reader._list),
    **dict.fromkeys(["listing", "plaintext", "pre", "xmp"], _Reader._pre),
}
_ENDS: dict[str, Callable[[_Reader, Element], None]] = {
    "a": _Reader._link_end,
    "q": _Reader._quote_end,
    "table": _Reader._table_end,
    **dict.fromkeys(["ul", "ol"], _Reader._list_end),
    **dict.fromkeys(["listing", "plaintext", "pre", "xmp"], _Reader._pre_end),
}


_KNOWN = frozenset([*_STYLES, *_STARTS])
"""The elements that make a difference. All others are only what they hold."""


def _is_hidden(element: Element) -> bool:
    style = element.get("style")
    if element.get("hidden") is None and (style is None or "none" not in style.lower() or not _HIDDEN.search(style)):
        return False
    return element.tag not in ("html", "body")


def _arranges(table: Element) -> bool:
    """Whether a table is there for the eye: it says so, holds other tables, or has one column."""
    if table.get("role") in ("presentation", "none") or table.find(".//table") is not None:
        return True
    rows = [row for child in table for row in ((child,) if child.tag == "tr" else child) if row.tag == "tr"]
    return all(len(row) < 2 for row in rows)


_TRAILING = " \t\u00a0\u200b\u200c\u200d\u034f\ufeff"
_GAPS = re.compile(r"\n{3,}")


def _tidy(text: str) -> str:
    """No space at the ends of lines, at most one blank line, one line end at the end."""
    lines = "\n".join([line.rstrip(_TRAILING) for line in text.split("\n")])
    tidied = _GAPS.sub("\n\n", lines).strip("\n")
    return tidied + "\n" if tidied.strip() else ""
