"""Who did what a campaign is for: a query of the user's, asked when a report is."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from connect.project.audience import SourceName, with_sql_file
from connect.project.content import ConversionsSql
from connect.project.nodes import Block
from connect.project.reading import Reading, Written
from connect.project.types import Duration, between


class Conversions(Written):
    section: ClassVar[str] = "conversions"
    also: ClassVar[frozenset[str]] = frozenset({"sql_file"})

    source: SourceName = Field("", description="the warehouse, which is that of `destination`")
    sql: ConversionsSql = Field(description="gives `id`, `at` and optionally `value`; may bind :since and :until")
    within: Annotated[Duration, between(timedelta(minutes=1), timedelta(days=365))] = Field(
        timedelta(days=7), description="how long after a delivery it counts"
    )

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if "sql" in tree and "sql_file" in tree:
            reading.report("bad-value", "`conversions` has both `sql` and `sql_file`", "give one", node=tree)
        return with_sql_file(tree)
