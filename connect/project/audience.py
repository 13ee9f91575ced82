"""Who a campaign is for."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from connect.project import suggest
from connect.project.content import Sql, text_of
from connect.project.nodes import Block, Node, Scalar, SqlFile, scalar
from connect.project.reading import Reading, Written, reading, refuse
from connect.project.segments import Segments
from connect.project.text import Text
from connect.project.types import WORD_SCHEMA, Count, Duration, Share, Values, Words


def _clock(value: object) -> object:
    if isinstance(value, Scalar):
        if value != "warehouse":
            raise refuse("bad-value", f"`clock` can not be `{value.written}`", "the only value is `warehouse`")
        return True
    return value


def _source(value: object, info: ValidationInfo) -> object:
    context = reading(info)
    if context is not None and isinstance(value, Scalar) and value not in context.sources:
        hint = suggest.hint(value, context.sources)
        raise refuse("unknown-source", f"there is no source `{value.written}` in connect.yml", hint)
    return str(value) if isinstance(value, Scalar) else value


SourceName = Annotated[str, BeforeValidator(_source), WithJsonSchema(WORD_SCHEMA)]


def _key(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) < len(value):
        raise refuse("bad-value", "`key` names one column or several different ones")
    return value


def _rows(value: Any) -> Any:
    if isinstance(value, list) and not value:
        raise refuse("bad-value", "this list is empty")
    return value


def _place(value: object) -> object:
    """The name of what holds the people, with the place where it is written."""
    if isinstance(value, Scalar):
        return text_of(value)
    return Text(source=value) if isinstance(value, str) else value


PlaceName = Annotated[Text, BeforeValidator(_place), WithJsonSchema(WORD_SCHEMA)]


_SHEET = re.compile(r"https://docs\.google\.com/spreadsheets/(u/\d+/)?d/[A-Za-z0-9_-]{10,}")


def _sheet(value: object) -> object:
    if isinstance(value, Scalar) and not _SHEET.match(value):
        hint = "copy it from the browser: https://docs.google.com/spreadsheets/d/…/edit#gid=0"
        raise refuse("bad-url", "this is not the address of a Google Sheet", hint)
    return _place(value)


SheetAddress = Annotated[Text, BeforeValidator(_sheet), WithJsonSchema(WORD_SCHEMA)]


class Limits(Written):
    """A run outside them does not start."""

    min: Count | None = Field(None, description="at least this many rows")
    max: Count | None = Field(None, description="at most this many rows; a run that reads past it pauses")
    max_change: Share | None = Field(None, description="against the last completed live run, such as 50%")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        least, most = tree.get("min"), tree.get("max")
        if _number(least) > _number(most) >= 0:
            reading.report("bad-value", "`limits.min` is above `limits.max`", node=least)
        return tree


def _number(node: Node | None) -> int:
    return int(node) if isinstance(node, Scalar) and node.isascii() and node.isdigit() else -1


KINDS = ("sql", "sql_file", "csv", "parquet", "sheet", "people")
"""The keys that say where the people are, of which an audience has one."""
FILES = ("csv", "parquet", "sheet")


class Audience(Written):
    section: ClassVar[str] = "audience"
    also: ClassVar[frozenset[str]] = frozenset({"sql_file"})

    source: SourceName = Field("", description="the warehouse; the project's first where it is left out")
    sql: Sql | None = Field(None, description="one SELECT; may bind :fire_time, :fire_date and `params`")
    csv: PlaceName | None = Field(
        None, description="a CSV file, or several: `lists/*.csv`; its first line is the header"
    )
    parquet: PlaceName | None = Field(None, description="a Parquet file, or several")
    sheet: SheetAddress | None = Field(None, repr=False, description="the address of a Google Sheet, from the browser")
    people: Annotated[tuple[Values, ...], BeforeValidator(_rows)] | None = Field(
        None, repr=False, description="a literal list of people, for trying things out"
    )
    segments: Segments | None = Field(None, description="only who is in these; alone, of `everyone` in connect.yml")
    params: Values = Field({}, description="values that the query binds by name")
    key: Annotated[Words, AfterValidator(_key)] = Field(("id",), description="the columns that tell people apart")
    timeout: Duration = Field(timedelta(minutes=10), description="how long the query may take")
    snapshot: bool = Field(
        False, description="copy it into a table of the warehouse first, and read that while the run lasts"
    )
    limits: Limits = Limits()
    clock_warehouse: Annotated[bool, BeforeValidator(_clock), WithJsonSchema({"const": "warehouse"})] = Field(
        False, alias="clock", description="`warehouse`: now() and its like in the query are meant"
    )

    @property
    def written(self) -> Text | None:
        """What says where the people are, at its place; None where they are written out."""
        return self.sql or self.file

    @property
    def file(self) -> Text | None:
        """The file that the people are in, where they are in no warehouse."""
        return self.csv or self.parquet or self.sheet

    @property
    def goes_anywhere(self) -> bool:
        """Nothing of a warehouse is asked for them: they can be put into any, where their opt-outs are."""
        return self.people is not None and self.segments is None

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        given = [key for key in KINDS if key in tree]
        if not given and "segments" in tree:
            reading.report("no-everyone", *_NO_EVERYONE, node=tree.get("segments"))
        elif len(given) != 1:
            none = f"none of {', '.join(f'`{key}`' for key in KINDS[:-1])} and `{KINDS[-1]}`"
            said = f"both `{given[0]}` and `{given[1]}`" if given else none
            place = tree.key_places.get(given[1]) if given else None
            reading.report("one-audience", f"the audience has {said}", "give exactly one", node=tree, place=place)
        if "people" in tree and scalar(wish := tree.get("snapshot")) == "true":
            reading.report("bad-value", "`snapshot` is for a query, and `people` is a list", "leave it out", node=wish)
        if "segments" in tree and given and given[0] in FILES:
            said = f"segments are in a warehouse, and can not be looked up for the people of `{given[0]}`"
            hint = "load the file into the warehouse, and write `sql`"
            reading.report("bad-value", said, hint, place=tree.key_places.get("segments"))
        made = with_sql_file(tree)
        if ("sql" in made or "segments" in made) and not reading.sources:
            reading.report("no-source", "connect.yml names no source to ask", "add one under `sources`", node=tree)
        return made


_NO_EVERYONE = (
    "an audience of segments alone takes people from `everyone` in connect.yml, which is not there",
    "add `everyone: select id, email, … from …` to connect.yml, or `sql` beside `segments`",
)


def with_sql_file(tree: Block) -> Block:
    """The mapping with `sql_file: name` in the place of `sql`."""
    name = tree.get("sql_file")
    if name is None:
        return tree
    made = tree.without("sql_file", "sql")
    stand_in: Node = name
    if isinstance(name, Scalar):
        stand_in = SqlFile(str(name), name.place)
    made.put("sql", stand_in, tree.key_places.get("sql_file"))
    return made
