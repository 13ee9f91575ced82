"""What the language has and this version does not: refused by name, never ignored, never called unknown."""

from __future__ import annotations

from typing import Final

from connect.errors import Location, Problem

KEYS: Final[dict[str, frozenset[str]]] = {
    "connect": frozenset({"feeds"}),
    "campaign": frozenset({"experiment"}),
    "email": frozenset({"mjml", "inline_css"}),
    "policy": frozenset({"approval"}),
}
"""Section → its keys."""

VALUES: Final[dict[str, frozenset[str]]] = {}
"""Key → its values, where one key says what a mapping is."""


def not_yet(what: str, place: Location | None) -> Problem:
    return Problem("not-yet-supported", f"{what} is not supported by this version", location=place)
