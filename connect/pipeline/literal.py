"""What a template says to everybody: its text without Liquid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from connect.liquid.library import Library
from connect.project.text import Text

_COMMENT = r"\{%-?\s*comment\b.*?\{%-?\s*endcomment\s*-?%\}"
_LIQUID = re.compile(rf"{_COMMENT}|(?P<output>\{{\{{.*?\}}\}})|\{{%-?\s*(?P<tag>\w+).*?%\}}", re.DOTALL)
_BRANCHING = frozenset({"if", "unless", "case", "for"})
_ELSE = frozenset({"else", "elsif", "when"})

OUTPUT = "\0"
"""Stands for each character of a `{{ … }}`."""


@dataclass(frozen=True)
class Literal:
    """One text as it is written."""

    text: Text

    @cached_property
    def blanked(self) -> str:
        """As long as the source, so that offsets are the same: `{{ … }}` as OUTPUT, tags and comments as spaces."""
        return _LIQUID.sub(_blank, self.text.source)

    @cached_property
    def longest(self) -> str:
        """What is printed besides values, along the branches that print most. Loops count once."""
        return _longest(self.text.source)


def literals(text: Text, library: Library) -> list[Literal]:
    """A text, and every template that it reaches."""
    parts = [library.part(name) for name in sorted(library.used(text))]
    return [Literal(text), *(Literal(part.text) for part in parts if part is not None)]


def _blank(found: re.Match[str]) -> str:
    return (OUTPUT if found["output"] else " ") * len(found[0])


def _longest(source: str) -> str:
    blocks: list[list[list[str]]] = [[[]]]  # the blocks around; of each its branches; of each the pieces
    at = 0
    for found in _LIQUID.finditer(source):
        blocks[-1][-1].append(source[at : found.start()])
        at = found.end()
        tag = found["tag"] or ""
        if tag in _BRANCHING:
            blocks.append([[]])
        elif tag in _ELSE and len(blocks) > 1:
            blocks[-1].append([])
        elif tag.removeprefix("end") in _BRANCHING and tag.startswith("end") and len(blocks) > 1:
            branches = ["".join(pieces) for pieces in blocks.pop()]
            blocks[-1][-1].append(max(branches, key=len))
    blocks[-1][-1].append(source[at:])
    return "".join("".join(pieces) for branches in blocks for pieces in branches)
