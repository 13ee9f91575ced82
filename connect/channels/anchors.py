"""Where the links of an HTML page stand, as a browser reads it: comments, attributes and scripts hold none.

The page may be a skeleton, in which one character stands for each value that is not known yet: then it is also told
whether the links stay where they are, whatever those values are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.entities import html5
from typing import NamedTuple

SLOT = "\0"
"""Stands for a value in a skeleton."""
IN_TEXT, IN_RAW = "text", "raw"
"""The contexts of slots between tags, and in scripts and styles. In an attribute it is the quote around the slot."""


class Anchor(NamedTuple):
    """The value of a link's `href`: what stands between the quotes, where there are some."""

    start: int
    end: int


@dataclass(slots=True)
class Page:
    """What was found."""

    anchors: list[Anchor] = field(default_factory=list)
    """Those that may be tracked, in the order of the page."""
    end: int = 0
    """Where the last thing of the page may be put."""
    whole: bool = True
    """Whatever begins in it ends in it: it stays what it is wherever it stands between tags."""
    steady: bool = True
    """Every slot is in a place where most values leave everything else as it is."""
    contexts: list[str] = field(default_factory=list)
    """Of each slot, in order; only where it is steady."""


OFF = "data-connect-track"
"""The attribute that says `off` on links that are to be left alone."""

_SPACE = "\t\n\f\r "
_MARKUP = re.compile(r"<(?:!--|[!?]|(?P<end>/)?(?P<name>[A-Za-z][^\t\n\f\r />]*+)|/)")
# As the HTML standard's tokenizer reads attributes (13.2.5.32 and on): a name may begin with `=`, a value may be bare.
_NAME = rf"(?:=[^{_SPACE}/>=]*+|[^{_SPACE}/>=]++)"
_VALUE = rf"""(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?!["'])(?P<bare>[^{_SPACE}>]*+))"""
# A quote that never ends is no value, and the tag no tag.
_ATTRIBUTE = re.compile(rf"(?P<name>{_NAME})(?:[{_SPACE}]*+=[{_SPACE}]*+{_VALUE}|(?![{_SPACE}]*+=))")
_REST = re.compile(rf"(?:[{_SPACE}/]++|{re.sub(r'[(][?]P<[a-z]+>', '(?:', _ATTRIBUTE.pattern)})*+>")
_CONDITION = re.compile(r"<!--\[if[^\]>]*\]>(?:<!-->)?", re.IGNORECASE)
"""What Outlook reads as markup, and others as a comment: a link in it is one."""
_RAW = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext"})
_LINKS = frozenset({"a", "area"})


def scan(text: str) -> Page:
    """Find the links of a page, or of a skeleton. Never raises, however broken it is."""
    scanner = _Scanner(text)
    scanner.read()
    return scanner.page


class _Scanner:
    def __init__(self, text: str) -> None:
        self.page = Page(end=len(text), steady=f"<{SLOT}" not in text)
        self._text = text
        self._body_end = self._page_end = -1

    def read(self) -> None:
        text, at = self._text, 0
        while found := _MARKUP.search(text, at):
            self._between(at, found.start())
            at = self._markup(found)
        self._between(at, len(text))
        ends = [end for end in (self._body_end, self._page_end) if end >= 0]
        self.page.end = ends[0] if ends else len(text)
        self.page.whole = self.page.whole and not text.endswith("<")

    def _between(self, start: int, end: int, context: str = IN_TEXT) -> None:
        self.page.contexts += [context] * self._text.count(SLOT, start, end)

    def _markup(self, found: re.Match[str]) -> int:
        """What begins here; returns where it ends."""
        name = found["name"]
        if not name:
            return self._comment(found.start())
        rest = _REST.match(self._text, found.end())
        if rest is None:
            return self._broken(found.start())
        self._tag(found, name.lower(), rest.end())
        return rest.end() if found["end"] or name.lower() not in _RAW else self._raw(name, rest.end())

    def _comment(self, start: int) -> int:
        text = self._text
        if condition := _CONDITION.match(text, start):
            end = condition.end()
        elif text.startswith("<!--", start):
            found = text.find("-->", start + 2)  # `<!-->` is a whole one
            end = found + 3
        else:
            found = text.find(">", start)
            end = found + 1
        if not end or (not condition and found < 0):
            return self._broken(start)
        if text.find(SLOT, start, end) >= 0:
            self.page.steady = False
        return end

    def _broken(self, start: int) -> int:
        """It never ends, so that nothing behind it is a page."""
        self.page.whole = False
        if self._text.find(SLOT, start) >= 0:
            self.page.steady = False
        return len(self._text)

    def _raw(self, name: str, start: int) -> int:
        """What a script or a style holds is no markup."""
        close = re.compile(rf"</{re.escape(name)}(?=[{_SPACE}/>])", re.IGNORECASE).search(self._text, start)
        end = close.start() if close else len(self._text)
        self.page.whole = self.page.whole and close is not None
        if self._text.find(SLOT, start, end) >= 0:
            self.page.steady = self.page.steady and "<" not in self._text[start:end]
            self._between(start, end, IN_RAW)
        return end

    def _tag(self, found: re.Match[str], name: str, end: int) -> None:
        if found["end"]:
            self._body_end = found.start() if name == "body" else self._body_end
            self._page_end = found.start() if name == "html" else self._page_end
        slots = self._text.count(SLOT, found.start(), end)
        if not slots and (found["end"] or name not in _LINKS):
            return
        attributes = list(_ATTRIBUTE.finditer(self._text, found.end(), end - 1))
        if slots:
            self._slots(attributes, slots)
        if name in _LINKS and not found["end"]:
            self._link(attributes)

    def _slots(self, attributes: list[re.Match[str]], slots: int) -> None:
        """Those of a tag: within quotes they may hold anything but the quote."""
        contexts: list[str] = []
        for attribute in attributes:
            for quote, group in (('"', "double"), ("'", "single")):
                contexts += [quote] * (attribute[group] or "").count(SLOT)
        self.page.contexts += contexts
        self.page.steady = self.page.steady and len(contexts) == slots

    def _link(self, attributes: list[re.Match[str]]) -> None:
        """The first `href` counts, as everywhere."""
        href = next((one for one in attributes if one["name"].lower() == "href"), None)
        off = next((one for one in attributes if one["name"].lower() == OFF), None)
        said = _value(off).strip().lower() if off else ""
        if SLOT in said:
            self.page.steady = False
        if href is None or said == "off":
            return
        group = next((name for name in ("double", "single", "bare") if href[name]), None)
        if group:
            self.page.anchors.append(Anchor(*href.span(group)))


def _value(attribute: re.Match[str]) -> str:
    return attribute["double"] or attribute["single"] or attribute["bare"] or ""


_REFERENCE = re.compile(r"&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+);?|[A-Za-z][A-Za-z0-9]*(?:;|(?!=)))")


def attribute_text(written: str) -> str:
    """What an attribute's value says. `?a=1&copy=2` says that: in a link, only what ends in `;` is a sign for sure."""
    if "&" not in written:
        return written
    if written.count("&") == written.count("&amp;"):  # as nearly all of them are, of which the engine would be slow
        return written.replace("&amp;", "&")
    return _REFERENCE.sub(_character, written)


def _character(found: re.Match[str]) -> str:
    from html import unescape

    reference = found[0]
    if reference[1] == "#":
        return unescape(reference)
    return html5.get(reference[1:], reference)


def url_of(written: str) -> str:
    """The URL that an `href` says: without the spaces around it and the line ends in it, as browsers read it."""
    said = attribute_text(written)
    return said.strip() if said.isprintable() else said.strip(_SPACE + "\v\0").translate(_LINE_ENDS)


_LINE_ENDS = dict.fromkeys(map(ord, "\t\n\r"))
