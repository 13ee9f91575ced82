"""bqemulator: BigQuery's REST and gRPC interfaces and much of its SQL, over DuckDB.

It needs two extensions of DuckDB, which it would fetch from where tests can not reach: they come from the package
index instead, and into the folder of the service, which is `HOME` for it. `bqemulator_server.py` beside this file is
what runs there.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.services import environment

REQUIREMENTS = (
    "bqemulator==1.4.0",
    "duckdb==1.5.5",
    "duckdb-extensions",
    "duckdb-extension-avro==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "numpy",
    "pandas",
    "sqlglot[c]",
)
"""A query is parsed a dozen times on its way: sqlglot's compiled parser takes a fifth of the time."""

_EXTENSIONS = 'from duckdb_extensions import import_extension; [import_extension(name) for name in ("spatial", "avro")]'


def make(folder: Path) -> None:
    environment.make(folder, REQUIREMENTS, _with_extensions)


def _with_extensions(python: Path) -> None:
    home = {**os.environ, "HOME": str(python.parent.parent)}
    subprocess.run([str(python), "-c", _EXTENSIONS], env=home, check=True, stdout=subprocess.DEVNULL)
