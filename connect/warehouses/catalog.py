"""Which warehouses there are: a name → where its adapter lives, loaded when it is used and not before."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import cast

from connect.errors import UserError
from connect.warehouses.interface import Warehouse

ADAPTERS = {
    "bigquery": "connect.warehouses.bigquery:BigQuery",
    "duckdb": "connect.warehouses.duckdb:DuckDB",
    "mssql": "connect.warehouses.mssql:MSSQL",
    "mysql": "connect.warehouses.mysql:MySQL",
    "postgresql": "connect.warehouses.postgresql:PostgreSQL",
    "redshift": "connect.warehouses.redshift:Redshift",
    "snowflake": "connect.warehouses.snowflake:Snowflake",
    "sqlalchemy": "connect.warehouses.generic:Generic",
}
"""Connect's own adapters. Others come from packages, through the entry point group below."""

ALIASES = {"mariadb": "mysql"}
"""Other names of an adapter."""

GROUP = "connect.warehouses"


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """Every type that `sources:` may name here, sorted."""
    return sorted({*ADAPTERS, *ALIASES, *_installed()})


def load(name: str) -> type[Warehouse]:
    """The adapter of this name. Raises UserError when there is none."""
    name = ALIASES.get(name, name)
    if name in ADAPTERS:
        module, _, attribute = ADAPTERS[name].partition(":")
        return cast(type[Warehouse], getattr(import_module(module), attribute))
    if name in _installed():
        return cast(type[Warehouse], _installed()[name].load())
    near = get_close_matches(name, names(), n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(names())}"
    raise UserError.of("unknown-warehouse", f"there is no warehouse of type `{name}`", hint)


def type_of(url: str) -> str:
    """The warehouse type behind a SQLAlchemy URL: `duckdb:///shop.duckdb` and `duckdb+driver://…` are `duckdb`.

    One for which SQLAlchemy has a dialect here, and Connect no adapter, is `sqlalchemy`.
    """
    scheme = url.partition(":")[0].lower()
    engine = scheme.partition("+")[0]
    return "sqlalchemy" if engine not in names() and _has_dialect(scheme, engine) else engine


def _has_dialect(scheme: str, engine: str) -> bool:
    """Whether SQLAlchemy, or a package beside it, knows this engine; nothing of either is loaded."""
    known = {point.name for point in entry_points(group="sqlalchemy.dialects")}
    own = engine.isidentifier() and find_spec(f"sqlalchemy.dialects.{engine}") is not None
    return own or bool(known & {engine, scheme.replace("+", ".")})
