"""The links of a page, each replaced by another one; and something at its end. Nothing else of it changes.

Most of a page is its template's own, the same for everybody: where the links stand in it is found once, and a person
fills in the rest. A page of which that can not be said is read as a whole.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from connect.channels.anchors import IN_RAW, IN_TEXT, SLOT, Page, scan, url_of
from connect.channels.fields import mended
from connect.liquid.wire import Literals, literals_of, refilled

if TYPE_CHECKING:
    from connect.liquid.wire import WireText

LONGEST = 1500
"""Characters of a URL. A longer one stays as it is: a link to us with it inside would be too long for some browsers."""


class Marks(Protocol):
    """One delivery's."""

    @property
    def own(self) -> tuple[str, ...]:
        """How links begin that are never touched."""

    @property
    def begin(self) -> str:
        """How every link begins that one becomes."""

    def click(self, url: str, number: int) -> str:
        """What a link becomes: letters, digits and `-_`, behind `begin`. `number` is its place in the page, from 1."""

    def pixel(self) -> str:
        """What is put at the end of the page: ASCII, neither `=_` nor control characters."""


@dataclass(frozen=True, slots=True)
class _Link:
    written: tuple[str | int, ...]
    """As it stands: texts, and the numbers of values in it."""
    url: str = ""
    """Of one that is the same for everybody."""
    target: str = ""
    """The same, with what is added to it."""


@dataclass(frozen=True, slots=True)
class _Plan:
    pieces: tuple[str, ...]
    """The page's own text at even places; nothing at odd ones, the slots."""
    values: tuple[tuple[int, int], ...]
    """(slot, number of the value that stands there)."""
    links: tuple[tuple[int, _Link], ...]
    """(slot, link that stands there)."""
    pixel: int
    """The slot of the pixel; 0 where there is none."""
    contexts: tuple[str, ...]
    steady: bool
    literals: Literals | None
    """Of a page of octets."""


class Rewriter:
    """For one content: `clicks` and `opens` say what is replaced, `add` what a URL is given besides."""

    def __init__(self, *, clicks: bool, opens: bool, add: Callable[[str], str] | None = None) -> None:
        self._clicks, self._opens, self._add = clicks, opens, add
        self._lasting = lru_cache(maxsize=256)(self._plan)

    def __reduce__(self) -> tuple[object, ...]:
        return _rewriter, (self._clicks, self._opens, self._add)

    def text(self, page: str, marks: Marks, *, lasting: bool) -> str:
        """The page for one delivery. `lasting`: it is the same for everybody."""
        known = mended(page)[0]
        plan = (self._lasting if lasting else self._plan)((known,), False)
        return "".join(self._filled(plan, (), "", marks, False))

    def octets(self, page: WireText, marks: Marks) -> WireText:
        """As `text`."""
        literals, values = page.parts
        printed = page.values
        plan = self._lasting(literals, True)
        if not _fits(plan, values, printed):
            values, printed = (), ""
            plan = self._plan((page.data.decode("latin-1"),), True)
        assert plan.literals is not None
        made = self._filled(plan, values, printed, marks, True)
        # Tokens are plain, so that nothing in them has to be looked for; anything else may be what a body can not hold.
        tokens_alone = self._clicks and all(made[slot].startswith(marks.begin) for slot, _ in plan.links)
        return refilled(made, plan.literals, printed if tokens_alone else None)

    # What is the same for everybody

    def _plan(self, literals: tuple[str, ...], octets: bool) -> _Plan:
        skeleton, slot = SLOT.join(literals), SLOT if len(literals) > 1 else ""
        found = scan(skeleton)
        found.steady = found.steady and skeleton.count(SLOT) == len(literals) - 1
        return _Planning(skeleton, slot, octets, self._add).plan(found, links=self._links, pixel=self._opens)

    @property
    def _links(self) -> bool:
        return self._clicks or self._add is not None

    # For a person

    def _filled(self, plan: _Plan, values: Sequence[str], printed: str, marks: Marks, octets: bool) -> list[str]:
        """The page in pieces: its own text, a slot, its own text…"""
        made = list(plan.pieces)
        for slot, number in plan.values:
            made[slot] = values[number]
        if self._links and "<" in printed:
            self._with_markup(made, plan, values, marks, octets)
        else:
            number = 0
            for slot, link in plan.links:
                made[slot], number = self._new(link, values, marks, number, octets)
        if plan.pixel:
            made[plan.pixel] = marks.pixel()
        return made

    def _with_markup(self, made: list[str], plan: _Plan, values: Sequence[str], marks: Marks, octets: bool) -> None:
        """Links are counted in the order of the page, those within values too."""
        number, links = 0, dict(plan.links)
        markup = {slot: values[which] for slot, which in plan.values if plan.contexts[which] == IN_TEXT}
        for slot in range(1, len(made), 2):
            if slot in links:
                made[slot], number = self._new(links[slot], values, marks, number, octets)
            elif "<" in markup.get(slot, ""):
                inner = _Planning(markup[slot], "", octets, self._add).plan(scan(markup[slot]), links=True, pixel=False)
                made[slot] = "".join(self._filled(inner, (), "", _Numbered(marks, number), octets))
                number += len(inner.links)

    def _new(self, link: _Link, values: Sequence[str], marks: Marks, before: int, octets: bool) -> tuple[str, int]:
        """What stands in the place of a link, and how many there are up to it."""
        url = link.url or _read(_join(link.written, values), octets)
        if not link.url and not _may_be_tracked(url):
            return _join(link.written, values), before
        target = link.target or self._added(url)
        if url.startswith(marks.own) or (target == url and not self._clicks):
            return _join(link.written, values), before + 1
        if self._clicks:
            return marks.click(target, before + 1), before + 1
        escaped = html.escape(target)
        return escaped.encode().decode("latin-1") if octets else escaped, before + 1

    def _added(self, url: str) -> str:
        return self._add(url) if self._add else url


def _rewriter(clicks: bool, opens: bool, add: Callable[[str], str] | None) -> Rewriter:
    return Rewriter(clicks=clicks, opens=opens, add=add)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A delivery's marks, counting on from here."""

    marks: Marks
    behind: int

    @property
    def own(self) -> tuple[str, ...]:
        return self.marks.own

    @property
    def begin(self) -> str:
        return self.marks.begin

    def click(self, url: str, number: int) -> str:
        return self.marks.click(url, self.behind + number)

    def pixel(self) -> str:
        return self.marks.pixel()


class _Planning:
    """Cuts a page, or a skeleton, at its links."""

    def __init__(self, skeleton: str, slot: str, octets: bool, add: Callable[[str], str] | None) -> None:
        self._skeleton, self._slot, self._octets, self._add = skeleton, slot, octets, add
        self._pieces = [""]
        self._values: list[tuple[int, int]] = []
        self._links: list[tuple[int, _Link]] = []
        self._pixel = self._count = 0

    def plan(self, page: Page, *, links: bool, pixel: bool) -> _Plan:
        cuts: list[tuple[int, int]] = [(anchor.start, anchor.end) for anchor in page.anchors] if links else []
        cuts += [(page.end, page.end)] if pixel else []
        at = 0
        for start, end in sorted(cuts):
            if start < at:  # the page ends within what a link says: it is very broken
                continue
            self._text(self._skeleton[at:start])
            if start == end:
                self._pixel = self._put()
            else:
                self._link(self._skeleton[start:end])
            at = end
        self._text(self._skeleton[at:])
        pieces = [part for piece in self._pieces for part in (piece, "")][:-1]
        known = literals_of(sorted(set(self._pieces)), None) if self._octets else None
        contexts = tuple(page.contexts)
        return _Plan(tuple(pieces), tuple(self._values), tuple(self._links), self._pixel, contexts, page.steady, known)

    def _text(self, text: str) -> None:
        first, *others = text.split(self._slot) if self._slot else [text]
        self._pieces[-1] += first
        for other in others:
            self._values.append((self._put(), self._count))
            self._count += 1
            self._pieces[-1] = other

    def _put(self) -> int:
        """The next slot."""
        self._pieces.append("")
        return 2 * len(self._pieces) - 3

    def _link(self, written: str) -> None:
        parts: list[str | int] = []
        for number, text in enumerate(written.split(self._slot) if self._slot else [written]):
            if number:
                parts.append(self._count)
                self._count += 1
            parts.append(text)
        if len(parts) > 1:
            self._links.append((self._put(), _Link(tuple(parts))))
            return
        url = _read(written, self._octets)
        if _may_be_tracked(url):
            self._links.append((self._put(), _Link((written,), url, self._add(url) if self._add else url)))
        else:
            self._pieces[-1] += written


def _fits(plan: _Plan, values: Sequence[str], printed: str) -> bool:
    """Whether these values leave the links where they are."""
    if not plan.steady:
        return False
    if "<" not in printed and '"' not in printed and "'" not in printed:
        return True
    return all(map(_stays_within, values, plan.contexts))


def _stays_within(value: str, context: str) -> bool:
    """Whether a value in such a place leaves everything else as it is."""
    if context in (IN_TEXT, IN_RAW):
        return "<" not in value or (context == IN_TEXT and _is_whole(value))
    return context not in value


def _is_whole(value: str) -> bool:
    """It is markup that ends where it ends, and not what ends the page."""
    page = scan(value)
    return page.whole and page.end == len(value)


def _join(written: tuple[str | int, ...], values: Sequence[str]) -> str:
    return "".join([part if isinstance(part, str) else values[part] for part in written])


def _read(written: str, octets: bool) -> str:
    return url_of(written.encode("latin-1").decode(errors="replace") if octets and not written.isascii() else written)


def _may_be_tracked(url: str) -> bool:
    return url[:8].lower().startswith(("https://", "http://")) and len(url) <= LONGEST
