"""The parts of a text message in words: how many, and which character makes it so many."""

from __future__ import annotations

from connect.channels.segments import encoding, first_outside, segments


def segments_in_words(text: str, count: int | None = None) -> str:
    """`2 segments (UCS-2, because of “’”)`; `count` is how many were sent, where that is known."""
    count = segments(text) if count is None else count
    return f"{count:,} segment{'' if count == 1 else 's'} ({encoding(text)}{_because(first_outside(text))})"


def _because(outside: str) -> str:
    """What can not be seen is named by its number."""
    if not outside:
        return ""
    seen = outside.isprintable() and not outside.isspace()
    return f", because of “{outside}”" if seen else f", because of U+{ord(outside):04X}"
