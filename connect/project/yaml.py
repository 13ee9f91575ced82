"""Read YAML 1.2 as text with places: nothing is guessed, nothing is silently dropped.

Built on ruamel.yaml's events rather than its composer: only events tell an explicit tag from an implied one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connect.errors import Location, Problem
from connect.project.folding import block_marks, marks
from connect.project.nodes import Block, Items, Node, Scalar, Spot

QUOTE = "quote this value, or write it below a `|`"
_DEEPEST = 40
_MOST_NODES = 200_000
_NEEDS_QUOTES = re.compile(r"""(?:^\s*(?:-\s+)?|[:\-,\[]\s+)(?:[\w"'-]+:\s+)?(\{[{%]|\$\{|[*@%`&!])""")


@dataclass(frozen=True, slots=True)
class Read:
    """A file's top mapping (empty where it could not be read) and what is wrong with it as YAML."""

    top: Block
    problems: tuple[Problem, ...]


def read(file: str, source: str) -> Read:
    """Read one YAML file; `file` is the name that places show."""
    reader = _Reader(file, source)
    try:
        top = reader.document()
    except _Stop as stop:
        return Read(Block(), (*reader.problems, stop.problem))
    return Read(top, tuple(reader.problems))


class _Stop(Exception):
    """The file can not be read any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


_PEOPLE = re.compile(r"""\s*(?:.*[{,\s])?["']?people["']?\s*:""")


def _people(lines: list[str]) -> frozenset[int]:
    """The lines that belong to `people`: their cells must not be shown, not even in an error."""
    found: set[int] = set()
    depth = -1
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        item = indent == depth and line.lstrip().startswith("-")  # a list may stand as far left as its key
        if line.strip() and indent <= depth and not item:
            depth = -1
        if depth < 0 and _PEOPLE.match(line):
            depth = indent
        if depth >= 0:
            found.add(number)
    return frozenset(found)


class _Reader:
    def __init__(self, file: str, source: str) -> None:
        self.file, self.source = file, source
        self.lines = source.split("\n")
        self.hidden = _people(self.lines)
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0
        self.events = self._events()

    # Events of the parser: their marks count lines and columns from 0, and point into `source` with `index`.

    def _events(self) -> Iterator[Any]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            yield from YAML(typ="safe", pure=True).parse(self.source)
        except MarkedYAMLError as error:
            raise _Stop(self._syntax(error)) from None
        except YAMLError as error:  # a character that YAML does not allow, such as NUL
            offset = min(getattr(error, "position", 0) or 0, len(self.source))
            line = self.source.count("\n", 0, offset)
            place = self.at(line, offset - (self.source.rfind("\n", 0, offset) + 1))
            raise _Stop(Problem("yaml-syntax", "a character that YAML does not allow", location=place)) from None

    def _syntax(self, error: Any) -> Problem:
        mark = error.problem_mark or error.context_mark
        if error.context_mark and mark.line >= len(self.lines) - 1 and not "".join(self.lines[mark.line :]).strip():
            mark = error.context_mark  # the end of the file says little: show what was never closed
        line, column = (mark.line, mark.column) if mark else (0, 0)
        said = " ".join(part for part in (error.context, error.problem) if part)
        return Problem("yaml-syntax", f"not YAML: {said}", self._syntax_hint(line, column), self.at(line, column))

    def _syntax_hint(self, line: int, column: int) -> str:
        text = self.lines[line] if line < len(self.lines) else ""
        if "\t" in text[: len(text) - len(text.lstrip())]:
            return "indent with spaces: YAML does not allow tabs"
        if (
            "${" in text[: column + 1]
            or _NEEDS_QUOTES.search(text[: column + 2])
            or re.search(r"\S+:\s+.*:(\s|$)", text)
        ):
            return QUOTE
        return ""

    def at(self, line: int, column: int) -> Location:
        text = self.lines[line].rstrip("\r") if line < len(self.lines) else ""
        return Location(self.file, line + 1, column + 1, "" if line in self.hidden else text)

    # Events → nodes

    def document(self) -> Block:
        top: Node = Block()
        documents = 0
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise _Stop(self._problem("yaml-syntax", "a second document", event, "one file holds one document"))
            elif name not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                top = self.node(event, "", None, 0)
        if isinstance(top, Scalar) and top.is_null:
            return Block(Location(self.file, 1, 1))
        if not isinstance(top, Block):
            raise _Stop(Problem("wrong-type", "the file must be a mapping of keys", location=self.at(0, 0)))
        top.place = top.place or Location(self.file, 1, 1, self.lines[0])
        return top

    def node(self, event: Any, path: str, key_place: Location | None, depth: int) -> Node:
        before = self.count
        self.count += 1
        if type(event).__name__ == "AliasEvent":
            return self.alias(event)
        if event.tag is not None:
            self._report("yaml-tag", f"a tag (`{event.tag}`)", event, "leave it out: fields say what their values are")
        made: Node
        if depth > _DEEPEST:
            raise _Stop(self._problem("yaml-syntax", "nested too deeply", event))
        if type(event).__name__ == "ScalarEvent":
            made = self.scalar(event)
        elif type(event).__name__ == "SequenceStartEvent":
            made = self.items(event, path, key_place, depth)
        else:
            made = self.block(event, path, key_place, depth)
        if event.anchor:
            self.anchors[event.anchor] = (made, self.count - before)
        return made

    def alias(self, event: Any) -> Node:
        """The anchor's node, with the anchor's place. An alias inside its own anchor is not known yet: refused."""
        if event.anchor not in self.anchors:
            raise _Stop(self._problem("yaml-syntax", f"`*{event.anchor}` refers to nothing", event, QUOTE))
        made, size = self.anchors[event.anchor]
        self.count += size
        if self.count > _MOST_NODES:
            raise _Stop(self._problem("yaml-syntax", "aliases that multiply into too much", event))
        return made

    def items(self, event: Any, path: str, key_place: Location | None, depth: int) -> Items:
        made = Items(key_place or self._place(event))
        for inner in self.events:
            if type(inner).__name__ == "SequenceEndEvent":
                break
            made.append(self.node(inner, path, None, depth + 1))
        return made

    def block(self, event: Any, path: str, key_place: Location | None, depth: int) -> Block:
        made = Block(key_place or self._place(event), path)
        for inner in self.events:
            if type(inner).__name__ == "MappingEndEvent":
                break
            key = self.key(inner, event)
            place = self._place(inner)
            value = self.node(next(self.events), made.key_path(key), place, depth + 1)
            if key in made:
                first = made.key_places[key].line
                self._report("duplicate-key", f"`{key}` is given twice (first in line {first})", inner)
            elif key == "<<" and inner.style is None:
                self._report("merge-key", "merge keys (`<<`) are not read", inner, "write the keys out")
            else:
                made.put(key, value, place)
        return made

    def key(self, event: Any, parent: Any) -> str:
        if type(event).__name__ == "ScalarEvent" and event.tag is None:
            return str(event.value)
        if type(event).__name__ == "MappingStartEvent" and event.flow_style:
            raise _Stop(self._problem("yaml-quotes", "`{{` without quotes is not Liquid but YAML", parent, QUOTE))
        raise _Stop(self._problem("yaml-syntax", "a key must be a word", event))

    def scalar(self, event: Any) -> Scalar:
        plain = event.style is None or event.style == ""
        made = Scalar(event.value, self._place(event), plain)
        made.spot = self._spot(event)
        rest = self.lines[event.end_mark.line][event.end_mark.column :] if plain and event.value else ""
        made.commented = bool(re.match(r"[ \t]+#", rest))
        return made

    def _spot(self, event: Any) -> Spot:
        """Where the text begins: here, behind a quote, or on the line after `|` or `>`."""
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        if event.anchor or event.tag:  # the mark points at `&name` or `!tag`
            column += len((re.match(r"(?:[&!]\S*\s+)*", self.lines[line][column:]) or [""])[0])
        if event.style in ("|", ">"):
            indent = self._block_indent(line + 1, event.value)
            if event.style == "|":  # line for line as in the file
                return Spot(line + 2, indent + 1, indent)
            folded = block_marks(self.lines[line + 1 : end.line + 1], line + 2, indent, event.value)
            return Spot(line + 2, indent + 1, indent, folded, self._shown(line + 1, end.line))
        quote = event.style or ""
        column += len(quote)
        raw = self.source[start.index + column - start.column : end.index - len(quote)]
        shifts = "\n" in raw or (quote and quote in raw) or "\\" in raw
        found = marks(raw, line + 1, column + 1, event.value, quote) if shifts else ()
        return Spot(line + 1, column + 1, 0, found, self._shown(line, end.line))

    def _shown(self, first: int, last: int) -> tuple[str, ...]:
        return tuple(self.at(line, 0).text for line in range(first, last + 1))

    def _block_indent(self, line: int, value: str) -> int:
        """How far a block scalar is indented: what its first line has more than its value (`|2` included)."""
        first = next((text for text in value.split("\n") if text.strip()), "")
        raw = next((text.rstrip("\r") for text in self.lines[line:] if text.strip()), "")
        own = len(first) - len(first.lstrip(" "))
        return len(raw) - len(raw.lstrip(" ")) - own if first else 0

    def _place(self, event: Any) -> Location:
        return self.at(event.start_mark.line, event.start_mark.column)

    def _problem(self, code: str, message: str, event: Any, hint: str = "") -> Problem:
        return Problem(code, message, hint, self._place(event))

    def _report(self, code: str, message: str, event: Any, hint: str = "") -> None:
        self.problems.append(self._problem(code, message, event, hint))
