"""The least that a user of PostgreSQL needs, as SQL for somebody who may grant it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from connect.warehouses.interface import Access

READER = "connect_reader"
"""What the user is called where the settings do not say."""

_PUBLIC = "public"
"""The schema of what names none, as long as nobody changes `search_path`."""


def grants(access: Access, user: str, database: str, connecting: bool) -> Sequence[str]:
    return [*_grants(access, _name(user), _name(database) if connecting and database else "")]


def _grants(access: Access, user: str, database: str) -> Iterator[str]:
    schemas = ", ".join(access.schemas(_PUBLIC))
    if schemas and database:
        yield f"grant connect on database {database} to {user}"
    if schemas:
        yield f"grant usage on schema {schemas} to {user}"
    if access.reads:
        yield f"grant select on {', '.join(access.reads)} to {user}"
    if access.adds:
        yield f"grant select, insert on {', '.join(access.adds)} to {user}"
    if access.makes:
        yield f"grant create on schema {', '.join(schema or _PUBLIC for schema in access.makes)} to {user}"


def _name(text: str) -> str:
    return text if re.fullmatch(r"[a-z_][a-z0-9_]*", text) else '"' + text.replace('"', '""') + '"'
