"""Which link of a campaign was clicked: as it stands in the templates, never as it was clicked.

What was clicked may name a person (`https://shop.example/hello/ada`); what the campaign's author wrote
(`https://shop.example/hello/{{ user.name }}`) names nobody. Only the latter is counted.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

MOST_LINKS = 500
"""Of one campaign. Clicks on further ones are counted without their link."""
LONGEST = 500
"""Characters of a link that are kept, so that it fits into an index on every engine."""

_LIQUID = r"\{\{.{0,400}?\}\}|\{%.{0,400}?%\}"
_HOLE = re.compile(_LIQUID, re.DOTALL)
# Possessive: where a quote is missing, what was tried is not tried again in every other way.
_HREF = re.compile(rf"""href\s*=\s*(?:"((?:{_LIQUID}|[^"])*+)"|'((?:{_LIQUID}|[^'])*+)')""", re.DOTALL | re.IGNORECASE)
_ADDRESS = re.compile(rf"https?://(?:{_LIQUID}|[^\s\"'<>`\\{{}}])++", re.DOTALL | re.IGNORECASE)
_OURS = re.compile(r"\{\{-?\s*url\.(\w+)[^{}]*\}\}")
_UTM = re.compile(r"(?<=[?&])utm_[a-z_]+=[^&#]*&?", re.IGNORECASE)
_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_PATHS = {
    "unsubscribe_link": "/u/",
    "unsubscribe": "/u/",
    "permalink_link": "/v/",
    "permalink": "/v/",
}
"""What `url.*` prints begins so, behind the server's own address."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A link with something printed in it."""

    link: str
    parts: tuple[str, ...]
    """What stands before, between and behind what is printed."""

    @property
    def weight(self) -> int:
        return sum(map(len, self.parts))

    def matches(self, url: str) -> bool:
        """In one pass, from left to right."""
        first, *between, last = self.parts
        if len(url) < len(first) + len(last) or not url.startswith(first) or not url.endswith(last):
            return False
        place, end = len(first), len(url) - len(last)
        for part in between:
            found = url.find(part, place, end)
            if found < 0:
                return False
            place = found + len(part)
        return True


@dataclass(frozen=True)
class Clicked:
    """The links of one campaign."""

    exact: Mapping[str, str] = field(default_factory=dict)
    patterns: tuple[_Pattern, ...] = ()
    """Those that say most come first."""

    @classmethod
    def of(cls, stored: str, base_url: str | None = None) -> Self:
        """Of a campaign as its run has it (`connect.pipeline.bundle`)."""
        bundle = json.loads(stored) if stored else {}
        message = bundle.get("campaign", {}).get("message", {})
        page = bundle.get("unsubscribe_page")
        texts = [*_sources(message), *_sources(bundle.get("templates", {}))]
        return cls.in_texts(texts, base_url, page["source"] if page else None)

    @classmethod
    def in_texts(cls, texts: Iterable[str], base_url: str | None = None, page: str | None = None) -> Self:
        """Of templates; `page` is where people unsubscribe, if that is not the project's own server."""
        exact: dict[str, str] = {}
        patterns: dict[str, _Pattern] = {}
        for text in texts:
            for link in _links(text):
                if len(exact) + len(patterns) >= MOST_LINKS:
                    break
                pattern = _Pattern(link[:LONGEST], tuple(map(_plain, _HOLE.split(_meant(link, base_url, page)))))
                if len(pattern.parts) > 1:
                    patterns.setdefault(link, pattern)
                else:
                    for spelt in _spellings(pattern.parts[0]):
                        exact.setdefault(spelt, pattern.link)
        return cls(exact, tuple(sorted(patterns.values(), key=lambda one: -one.weight)))

    def link(self, url: str) -> str:
        """The link as it stands in the templates; blank where none can have become this URL, or nobody can tell."""
        spellings = list(_spellings(_plain(url)))
        for spelt in spellings:
            if spelt in self.exact:
                return self.exact[spelt]
        for spelt in spellings:
            found = [pattern for pattern in self.patterns if pattern.matches(spelt)]
            if found:
                return self._best(found)
        return ""

    def _best(self, found: list[_Pattern]) -> str:
        """What is printed as a whole (`{{ user.link }}`) can be anything: of two such links it is neither."""
        first = found[0]
        return first.link if first.weight or len(found) == 1 else ""


def _sources(tree: Any) -> Iterator[str]:
    """Every text that somebody wrote, at whatever depth."""
    if isinstance(tree, dict):
        source = tree.get("source")
        if isinstance(source, str):
            yield source
        else:
            for value in tree.values():
                yield from _sources(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _sources(value)


def _links(text: str) -> Iterator[str]:
    for found in _HREF.finditer(text):
        link = (found[1] if found[1] is not None else found[2]).strip()
        if link.lower().startswith(("http://", "https://", "{")):
            yield link
    for found in _ADDRESS.finditer(text):
        yield found[0].rstrip(".,;:!?)]")
    for found in _OURS.finditer(text):
        yield found[0]
    if (whole := text.strip()).startswith("{{") and not re.search(r"\s", _HOLE.sub("", whole)):
        yield whole  # the `url` of a push message


def _meant(link: str, base_url: str | None, page: str | None) -> str:
    """What stands for one of Connect's own links."""
    ours = _OURS.fullmatch(link)
    if ours is None or ours[1] not in _PATHS:
        return link
    path = _PATHS[ours[1]]
    if path == "/u/" and page is not None:
        return page.strip()
    return f"{base_url}{path}{{{{ token }}}}" if base_url else link


def _plain(text: str) -> str:
    """As URLs are compared: without entities and percent signs, the host in lower case."""
    plain = unquote(html.unescape(text))
    host = _HOST.match(plain)
    return host[0].lower() + plain[host.end() :] if host else plain


def _spellings(url: str) -> Iterator[str]:
    """As it is, without what counts campaigns, and with the slash that a bare host is asked with."""
    yield url
    bare = _UTM.sub("", url).rstrip("?&") if "utm_" in url else url
    for spelt in dict.fromkeys((bare, bare.rstrip("/"), f"{bare}/")):
        if spelt != url:
            yield spelt
