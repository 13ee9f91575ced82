"""The project's own queries about people: one person by id, and everyone."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from connect.project.audience import SourceName, with_sql_file
from connect.project.content import Sql
from connect.project.nodes import Block, Node, Scalar, is_null
from connect.project.reading import Reading, Written


class PeopleQuery(Written):
    """A query about people, in one warehouse."""

    also: ClassVar[frozenset[str]] = frozenset({"sql_file"})

    source: SourceName = Field("", description="the warehouse; the project's first where it is left out")
    sql: Sql = Field(description="one SELECT")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if "sql" in tree and "sql_file" in tree:
            reading.report("bad-value", f"`{cls.section}` has both `sql` and `sql_file`", "give one", node=tree)
        return with_sql_file(tree)


class Everyone(PeopleQuery):
    """Everyone, with the columns that an audience of segments alone has."""

    section: ClassVar[str] = "everyone"


class Profile(PeopleQuery):
    """What is known of one person: a query that binds `:id`."""

    section: ClassVar[str] = "profile"


def spelled_out(node: Node | None) -> Node | None:
    """`key: select …` as `key: {sql: select …}`."""
    if not isinstance(node, Scalar) or is_null(node):
        return node
    made = Block(node.place)
    made.put("sql", node, node.place)
    return made


EveryoneField = Annotated[Everyone, BeforeValidator(spelled_out)]
ProfileField = Annotated[Profile, BeforeValidator(spelled_out)]
