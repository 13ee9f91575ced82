"""The catalog loads an adapter when it is used, and a driver when there is something to ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from connect.warehouses import catalog

DRIVERS = {
    "bigquery": "google.cloud.bigquery",
    "duckdb": "duckdb",
    "mssql": "pymssql",
    "mysql": "pymysql",
    "postgresql": "psycopg",
    "redshift": "psycopg",
    "snowflake": "snowflake.connector",
    "sqlalchemy": "sqlalchemy",
}
LOADING = """
import sys
from connect.warehouses.catalog import load
assert load(sys.argv[1]).Settings.model_json_schema()
print(sys.argv[2] in sys.modules)
__import__(sys.argv[2])
print(sys.argv[2] in sys.modules)
"""


def test_every_adapter_has_its_driver_here() -> None:
    assert set(DRIVERS) == set(catalog.ADAPTERS)


@pytest.mark.parametrize(("name", "driver"), DRIVERS.items())
def test_an_adapter_and_its_settings_load_without_the_driver(name: str, driver: str) -> None:
    program = [sys.executable, "-c", LOADING, name, driver]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout.split() == ["False", "True"]
