"""Which columns of an audience a run has no use for: they stay in the warehouse.

A query may be `select *` over a hundred columns, of which a message prints three. The others would be read, carried and
held for nothing; and what is nowhere can not leak.
"""

from __future__ import annotations

from collections.abc import Iterable

from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.pipeline import lint
from connect.project.campaign import Campaign
from connect.project.text import Text
from connect.project.trigger import Event
from connect.warehouses.history import once_columns
from connect.warehouses.wrapping import Wrapping, key_columns

_BY_NAME = frozenset(
    ("id", "email", "subscribed", "locale", "timezone", "region_code", "channels", "device_token", "platform")
)
"""Columns that mean something to us, whatever the content asks for."""
_OF_THE_ROW = frozenset(("size", "first", "last"))
"""What Liquid answers of a row as a whole, where it has no such column."""


def unread(wrapping: Wrapping, campaign: Campaign, library: Library, page: Text | None, phone: str) -> frozenset[str]:
    """The names of these columns: none where a template may need whole rows.

    page: the project's own page to unsubscribe on. phone: the column of the numbers that tell where people are.
    """
    library = library.of_events if isinstance(campaign.trigger, Event) else library
    texts = [*lint.contents(campaign), *([(page, False)] if page else [])]
    read = _read_by(library.compile(text, escape=escape) for text, escape in texts)
    audience = wrapping.audience
    if read is None or any(name not in {column.name for column in audience.columns} for name in read & _OF_THE_ROW):
        return frozenset()
    once = once_columns(audience, wrapping.history) if wrapping.history else ()
    columns = (*key_columns(audience), *once)
    named = (*read, *wrapping.optouts.addresses.values(), *(column.name for column in columns), phone)
    kept = _BY_NAME | {name.casefold() for name in named}
    return frozenset(column.name for column in audience.columns if column.name.casefold() not in kept)


def _read_by(templates: Iterable[Template]) -> frozenset[str] | None:
    """The columns that they may read, None where that may be all."""
    read: set[str] = set()
    for template in templates:
        if template.columns is None:
            return None
        read |= template.columns
    return frozenset(read)
