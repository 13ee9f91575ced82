"""An audience and its segments, held against the warehouse: who is left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from connect.pipeline.mistakes import placed_in
from connect.project.audience import Audience as Described
from connect.project.segments import Segment
from connect.warehouses import query
from connect.warehouses.interface import Warehouse
from connect.warehouses.membership import Members, Membership, members, narrowed
from connect.warehouses.wrapping import Audience

Values = Mapping[str, object]


def in_segments(audience: Audience, described: Described, warehouse: Warehouse, values: Values) -> Audience:
    """The audience, narrowed to its segments. Raises UserError at the place in the segment's file that is wrong."""
    segments = described.segments
    if segments is None:
        return audience

    def asked(named: tuple[Segment, ...]) -> list[Members]:
        return [members_of(segment, warehouse, values, described.timeout) for segment in named]

    membership = Membership(asked(segments.any), asked(segments.all), asked(segments.none))
    return narrowed(audience, membership, warehouse.dialect)


def members_of(segment: Segment, warehouse: Warehouse, values: Values, timeout: timedelta) -> Members:
    """Who is in a segment, as a query. Raises UserError at the place in its file that is wrong."""
    known = {name: value for name, value in values.items() if name in query.KNOWN}
    asked = query.bound(segment.sql, warehouse.dialect, known)
    with placed_in(segment.sql, segment.sql.file, warehouse.dialect):
        return members(asked, warehouse.columns(asked, timeout), warehouse.dialect)
