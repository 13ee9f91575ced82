"""A real database for each warehouse of the catalog, for the contract suite and for stories.

with warehouse_rig("postgresql", tmp_path) as rig:
    rig.execute("create table people (id integer)")
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import cast

from connect.testing.warehouses import WarehouseRig

_RIGS = {
    "bigquery": "connect.testing.warehouse_rigs.bigquery:bigquery",
    "duckdb": "connect.testing.warehouse_rigs.duckdb:duckdb",
    "mysql": "connect.testing.warehouse_rigs.mysql:mysql",
    "postgresql": "connect.testing.warehouse_rigs.postgresql:postgresql",
    "redshift": "connect.testing.warehouse_rigs.postgresql:redshift",
    "snowflake": "connect.testing.warehouse_rigs.snowflake:snowflake",
    "sqlalchemy": "connect.testing.warehouse_rigs.generic:sqlalchemy",
}
"""Engine → what makes an empty database of it in a folder, as a context."""


def names() -> list[str]:
    return sorted(_RIGS)


def warehouse_rig(name: str, folder: Path) -> AbstractContextManager[WarehouseRig]:
    """An empty database of this engine; `folder` is for its files. Raises NoServer where there is none to be had."""
    module, _, attribute = _RIGS[name].partition(":")
    return cast(AbstractContextManager[WarehouseRig], getattr(import_module(module), attribute)(folder))
