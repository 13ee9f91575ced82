"""Segments: named queries that give ids, and which of them an audience has to be in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from connect.project import files, suggest
from connect.project.nodes import Block, Items, Node, Scalar
from connect.project.reading import Reading, Written, reading, refuse
from connect.project.text import Text, TextKind
from connect.project.types import WORD_SCHEMA


class Segment(BaseModel):
    """A query that gives ids, with the name of its file: stored with a run, which so does not depend on the file."""

    model_config = ConfigDict(frozen=True)

    name: str
    sql: Text


def segment_names(root: Path) -> tuple[str, ...]:
    """The names of the project's segments, sorted."""
    return tuple(sorted(path.stem for path in (root / files.SEGMENTS).glob("*.sql") if path.is_file()))


def load_segment(root: Path, name: str, named: Scalar | None = None) -> Segment:
    """The segment of this name; raises what a field raises. `named` is where somebody named it."""
    place = named.place if named is not None else None
    if name not in segment_names(root):
        hint = suggest.hint(name, segment_names(root)) or "segments are the .sql files in segments/"
        raise refuse("unknown-segment", f"there is no segment `{name}`", hint, place)
    return Segment(name=name, sql=files.read_text(root, files.SEGMENTS, f"{name}.sql", place))


def _segments(value: Any, info: ValidationInfo) -> Any:
    """One name, or a list of names, with the queries in their files."""
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Block | Items):
        return value
    return tuple(_segment(node, context) for node in (value if isinstance(value, Items) else [value]))


def _segment(node: Node, context: Reading) -> Segment:
    if not isinstance(node, Scalar) or node.is_null:
        raise refuse("wrong-type", "a segment is named by the name of its file", "such as `lapsed`", node.place)
    found = load_segment(context.root, str(node), node)
    context.found(TextKind.segment, found.sql)
    return found


_NAMES = {"anyOf": [WORD_SCHEMA, {"type": "array", "items": WORD_SCHEMA, "minItems": 1}]}
Named = Annotated[tuple[Segment, ...], BeforeValidator(_segments), WithJsonSchema(_NAMES)]
"""One segment, or several."""


class Segments(Written):
    """In which segments a person has to be."""

    section: ClassVar[str] = "audience.segments"

    any: Named = Field((), description="in at least one of these")
    all: Named = Field((), description="in each of these")
    none: Named = Field((), description="in none of these")

    @property
    def each(self) -> Iterator[Segment]:
        """Every one of them, as often as it is named."""
        yield from (*self.any, *self.all, *self.none)

    @property
    def words(self) -> str:
        """`any of a, b; all of c; none of d`."""
        groups = {"any of": self.any, "all of": self.all, "none of": self.none}
        told = {word: ", ".join(segment.name for segment in group) for word, group in groups.items()}
        return "; ".join(f"{word} {names}" for word, names in told.items() if names)

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        names = {key: _written(tree.get(key)) for key in ("any", "all", "none")}
        if not any(len(node) for node in tree.values()):
            said, hint = "`segments` names no segment", "such as `segments: {all: [lapsed], none: [staff]}`"
            reading.report("bad-value", said, hint, node=tree)
        for name in names["none"]:
            if name in names["all"] or names["any"] == [name]:
                said = f"`{name}` must be in no segment that people have to be in: nobody would be left"
                reading.report("bad-value", said, "take one of them out", node=name)
        return tree


def _written(node: Node | None) -> list[Scalar]:
    return [each for each in (node if isinstance(node, Items) else [node]) if isinstance(each, Scalar)]
