"""The least that a user of MySQL or MariaDB needs, as SQL for somebody who may grant it."""

from __future__ import annotations

from collections.abc import Iterator

from connect.warehouses.interface import Access
from connect.warehouses.mysql_dialect import quote

READER = "connect_reader"
"""What the user is called where the settings do not say."""


def grants(access: Access, user: str, database: str) -> Iterator[str]:
    """`%`: the user from whichever machine. A grant is for one table."""
    whom = f"'{user.replace(chr(39), chr(39) * 2)}'@'%'"
    for table in access.reads:
        yield f"grant select on {_named(table, database)} to {whom}"
    for table in access.adds:
        yield f"grant select, insert on {_named(table, database)} to {whom}"
    for schema in access.makes:
        place = schema or (quote(database) if database else "")
        yield f"grant create, drop, select, insert on {place + '.' if place else ''}* to {whom}"


def _named(table: str, database: str) -> str:
    return table if "." in table or not database else f"{quote(database)}.{table}"
