"""An HTML page as tokens: text and tags in turn, every element closed, however broken the page was."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

_TAG = re.compile(r"<([^>]*)>")


def tokens(page: str) -> list[str]:
    """Text, tag, text, tag, …, text. Texts are escaped (`text`), tags are what stands
    between `<` and `>` (`tag`); that of an end begins with `/`.

    Written as XML by libxml2, which has repaired the page, a `<` begins a tag and a `>` ends one, always. To cut that
    takes half as long as to walk through the tree.
    """
    from lxml.etree import XMLSyntaxError, fromstring, tostring  # type: ignore[import-untyped]

    try:
        # As bytes: lxml refuses text that declares an encoding.
        tree = fromstring(page.encode(errors="replace"), parser=_parser())
    except XMLSyntaxError:  # blank, or nothing but comments
        return [""]
    return [""] if tree is None else _TAG.split(tostring(tree, encoding="unicode"))


@cache
def _parser() -> Any:
    from lxml.etree import HTMLParser

    # `huge_tree` lifts libxml2's limit on depth from 256 to 2,048; what is nested deeper is lost.
    return HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)


def text(token: str) -> str:
    """What the page says there."""
    return html.unescape(token) if "&" in token else token


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that begins an element, and the attributes of it that matter to a reader."""

    name: str
    is_empty: bool
    """Its element ends where it begins."""
    is_hidden: bool
    attributes: dict[str, str]


_ATTRIBUTE = re.compile(r'([^\s=]+)="([^"]*)"')
_READ = frozenset({"align", "alt", "hidden", "href", "role", "style", "valign", "value"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_LONGEST = 300  # of the tags that are remembered


def tag(token: str) -> Tag:
    """The tag that this token is. Tags other than links are the same for everybody, and are remembered."""
    return _tag(token) if token[:2] == "a " or len(token) > _LONGEST else _remembered(token)


def _tag(token: str) -> Tag:
    name, _, rest = token.rstrip("/").partition(" ")
    found = {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(rest) if key in _READ}
    hidden = "hidden" in found or _HIDDEN.search(found.get("style", "")) is not None
    return Tag(name, token[-1] == "/", hidden and name not in ("html", "body"), found)


_remembered = lru_cache(maxsize=2048)(_tag)
