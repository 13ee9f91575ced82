"""The nearest right thing, for hints."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was most likely meant, whatever its case; None when none is near."""
    by_fold = {candidate.casefold(): candidate for candidate in candidates}
    found = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def hint(word: str, candidates: Iterable[str]) -> str:
    """`did you mean …?`, or the whole choice when it is short, or nothing."""
    known = sorted(candidates)
    if meant := nearest(word, known):
        return f"did you mean `{meant}`?"
    if 0 < len(known) <= 12:
        return "known: " + ", ".join(f"`{name}`" for name in known)
    return ""
