"""Which language a page is in: what the browser asks for, of what there is (RFC 9110, 12.5.4)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_LONGEST = 1000
_WANTED = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?")


def negotiated(header: str, offered: Collection[str], otherwise: str) -> str:
    """The offered language that is wanted most: `fr-CA` is served by `fr`, too."""
    by_tag = {tag.lower(): tag for tag in offered}
    for wanted in sorted(_wanted(header[:_LONGEST]), key=lambda one: -one[1]):
        tag = wanted[0]
        while tag:
            if tag in by_tag:
                return by_tag[tag]
            tag = tag.rpartition("-")[0]
    return otherwise


def _wanted(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(","):
        found = _WANTED.fullmatch(part)
        weight = float(found[2] or 1) if found else 0.0
        if found and weight > 0 and found[1] != "*":
            yield found[1].lower(), weight
