"""Readable text from an HTML e-mail: what a person reads who does not see HTML."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Elements and settings of lxml and inscriptis, neither of which has types.
Element = Any


def text_from_html(html: str) -> str:
    """The text of this page with its links (`Shop now <https://…>`), lists, tables and descriptions of images.

    What the page hides by `display:none` is left out, preheaders among it. Never raises.
    """
    from inscriptis.html_engine import Inscriptis

    page = _parsed(html)
    if page is None:
        return ""
    _simplify(page)
    try:
        text = Inscriptis(page, _config()).get_text()
    except RecursionError:  # elements nested a thousand deep
        text = page.text_content()
    return _tidy(text)


def _parsed(html: str) -> Element | None:
    """The page as a tree; None where there is nothing in it."""
    from lxml.etree import ParserError  # type: ignore[import-untyped]
    from lxml.html import HTMLParser, document_fromstring  # type: ignore[import-untyped]

    # As bytes: lxml refuses text that declares an encoding. `huge_tree` lifts libxml2's limit on depth from 256
    # to 2,048; what is nested deeper is lost.
    parser = HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        return document_fromstring(html.encode(errors="replace"), parser=parser)
    except ParserError:  # blank, or nothing but comments
        return None


@cache
def _config() -> Any:
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    return ParserConfig(css=CSS_PROFILES["strict"])


_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def _simplify(page: Element) -> None:
    """Take away what is for the eye only, and write into the page what text would lose."""
    for element in list(page.iter("*")):
        if _HIDDEN.search(element.attrib.pop("style", "")) or "hidden" in element.attrib:
            _drop(element)
        elif element.tag in _REWRITTEN:
            _REWRITTEN[element.tag](element)


def _drop(element: Element) -> None:
    if element.getparent() is not None and element.tag != "body":
        element.drop_tree()


def _link(anchor: Element) -> None:
    """The target behind the text, unless the text says it already."""
    target = "".join(anchor.get("href", "").split())
    for image in list(anchor.iter("img")):
        _image(image)
    label = " ".join(anchor.text_content().split())
    if not label or not target or target.startswith(("#", "javascript:")):
        return
    if target not in (label, f"mailto:{label}", f"tel:{label}"):
        _append(anchor, f" <{target}>")


def _append(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "").rstrip() + text
    else:
        element.text = (element.text or "").rstrip() + text


def _image(image: Element) -> None:
    """Its description in its place."""
    image.tag, image.text = "span", image.get("alt", "").strip()


def _table(table: Element) -> None:
    """A table that only arranges the page becomes lines of text; one that holds data stays a table."""
    table.attrib.pop("align", None)
    rows = table.xpath("./tr | ./*/tr")
    if not _arranges(table, rows):
        return
    table.tag = "div"
    for row in rows:
        row.tag = "div"
        for cell in row.iterchildren("td", "th"):
            cell.tag = "div"


def _arranges(table: Element, rows: list[Element]) -> bool:
    return (
        table.get("role") in ("presentation", "none")
        or table.find(".//table") is not None
        or all(len(row) < 2 for row in rows)
    )


_REWRITTEN = {"a": _link, "img": _image, "table": _table}

_TRAILING = re.compile(r"[ \t\u00a0\u200b\u200c\u200d\u034f\ufeff]+$", re.MULTILINE)
_GAPS = re.compile(r"\n{3,}")


def _tidy(text: str) -> str:
    """No space at the ends of lines, at most one blank line, one line end at the end."""
    tidied = _GAPS.sub("\n\n", _TRAILING.sub("", text)).strip("\n")
    return tidied + "\n" if tidied.strip() else ""
