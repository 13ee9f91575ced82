"""The least that a role of Snowflake needs, as SQL for somebody who may grant it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connect.warehouses.interface import Access
from connect.warehouses.snowflake_settings import SnowflakeSettings

READER = "connect_reader"
"""What the role is called where the settings do not say."""


def grants(access: Access, settings: SnowflakeSettings) -> Sequence[str]:
    return list(_grants(access, settings)) if access != Access() else []


def _grants(access: Access, settings: SnowflakeSettings) -> Iterator[str]:
    given = settings.named()
    role, database = given.get("role") or READER, given.get("database")
    if compute := given.get("warehouse"):
        yield f"grant usage on warehouse {compute} to role {role}"
    else:
        yield f"-- grant usage on a warehouse to role {role}: the settings name none"
    if database:
        yield f"grant usage on database {database} to role {role}"
    default = given.get("schema") or "public"
    schemas = dict.fromkeys(schema or default for schema in access.schemas(default))
    yield from (f"grant usage on schema {_within(schema, database)} to role {role}" for schema in schemas)
    for table in access.reads:
        yield f"grant select on {_table(table, default, database)} to role {role}"
    for table in access.adds:
        yield f"grant select, insert on table {_table(table, default, database)} to role {role}"
    for schema in dict.fromkeys(schema or default for schema in access.makes):
        yield f"grant create table on schema {_within(schema, database)} to role {role}"


def _within(schema: str, database: str | None) -> str:
    return schema if "." in schema or not database else f"{database}.{schema}"


def _table(name: str, default: str, database: str | None) -> str:
    schema, _, table = name.rpartition(".")
    return f"{_within(schema or default, database)}.{table}"
