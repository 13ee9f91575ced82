"""Where the history of deliveries and events is written: tables in the user's own warehouse."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from connect.project.audience import SourceName
from connect.project.reading import Written, refuse
from connect.project.types import Word
from connect.vocabulary import Personal

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}")


def _table(value: str) -> str:
    if not _TABLE.fullmatch(value):
        hint = "letters, digits and _, with its schema before a dot: marketing.connect_deliveries"
        raise refuse("bad-value", f"`{value}` is not the name of a table", hint)
    return value


TableName = Annotated[Word, AfterValidator(_table)]


class Destination(Written):
    """Off where it is left out."""

    section: ClassVar[str] = "destination"

    source: SourceName = Field("", description="the warehouse; the project's first where it is left out")
    deliveries: TableName = Field("connect_deliveries", description="the table of deliveries")
    events: TableName = Field("connect_events", description="the table of events that providers report")
    include: tuple[Personal, ...] = Field(
        (Personal.id,), description="what is written about people: `id`, `address`, both or neither"
    )
