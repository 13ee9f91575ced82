"""The layers hold: each package imports only from those above it, and adapters see only their own interface."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "connect"

# From the top of the design to the bottom: each may import from those before it.
LAYERS = (
    ("errors", "vocabulary", "clock", "identity", "redact"),
    ("project",),
    ("liquid",),
    ("channels",),
    ("warehouses",),
    ("ledger",),
    ("providers",),
    ("reports",),
    ("schedule.clocks", "schedule.due"),
    ("pipeline",),
    ("executors",),
    ("schedule",),
    ("wiring",),
    ("server",),
    ("cli",),
    ("testing",),
)
FOUNDATION = set(LAYERS[0])

# Drivers and SDKs, each at home in one place.
AT_HOME = {
    "duckdb": ("warehouses/duckdb", "testing/warehouse_rigs/duckdb.py"),
    "boto3": ("providers/aws", "providers/ses", "providers/sns"),
    "botocore": ("providers/aws", "providers/ses", "providers/sns", "testing/"),
    "google": ("providers/fcm", "warehouses/bigquery", "warehouses/sheet", "testing/warehouse_rigs/bigquery.py"),
    "googleapiclient": ("testing/",),
    "jwt": ("providers/vonage", "testing/"),
    "granian": ("testing/",),
    "dns": ("pipeline/domains.py",),
    "pyreqwest": ("providers/http", "warehouses/sheet"),
    "aiosmtpd": ("testing/smtp.py",),
    "jsonschema": ("pipeline/parameters.py", "testing/"),
    "referencing": ("pipeline/parameters.py",),
    "fastapi": ("server/", "cli/serving.py"),
    "starlette": ("server/",),
    "uvicorn": ("server/", "cli/serving.py"),
    "prometheus_client": ("server/",),
    "opentelemetry": ("executors/telemetry.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "alembic": ("ledger/",),
    "psycopg": ("ledger/postgresql.py", "warehouses/postgresql", "testing/postgres.py"),
    "pymssql": ("warehouses/mssql",),
    "pymysql": ("warehouses/mysql", "testing/mariadb.py"),
    "snowflake": ("warehouses/snowflake",),
    "keyring": ("project/",),
    "ruamel": ("project/",),
    "croniter": ("project/", "schedule/"),
    "liquid": ("liquid/",),
    "sqlglot": ("warehouses/", "testing/warehouses.py", "testing/warehouse_rigs/bigquery.py"),
    "phonenumbers": ("channels/",),
    "email_validator": ("channels/",),
    "inscriptis": ("channels/",),
}

FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> int:
    """The number of the layer that a module such as `connect.ledger.store` belongs to; the longest name wins."""
    name = module.removeprefix("connect.")
    matches = [
        (len(part), number)
        for number, parts in enumerate(LAYERS)
        for part in parts
        if name == part or name.startswith(part + ".")
    ]
    assert matches, f"{module} belongs to no layer"
    return max(matches)[1]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            for alias in node.names:  # `from connect.pipeline import gates` names a module
                inside = PACKAGE.parent / (module + "." + alias.name).replace(".", "/")
                yield f"{module}.{alias.name}" if inside.with_suffix(".py").exists() else module


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_only_from_above(file: Path) -> None:
    module = module_of(file)
    if module == "connect":
        assert not [name for name in imports(file) if name.startswith("connect")]
        return
    for name in imports(file):
        if name.startswith("connect."):
            assert layer_of(name) <= layer_of(module), f"{module} imports {name}, which is below it"


SHARED = ("api", "aws", "events", "replays", "signatures", "postgresql", "duckdb", "files", "tables", "values")
"""What adapters have in common beside their interface: the way to an API, AWS's sign-in, reported events; rows for
tables of ours; Redshift speaks like PostgreSQL, and files and sheets are read through DuckDB."""


SEAM = {"__init__", "interface", "catalog", "query", "window", "wrapping", "looking", "membership", "roll"} | {
    *("mentions", "tables", "traps", "audience", "destination", "history", "counting", "conversions", "tokens"),
}
"""What is beside the adapters, and no adapter."""


@pytest.mark.parametrize("kind", ["providers", "warehouses"])
def test_adapters_see_only_their_interface(kind: str) -> None:
    for file in sorted((PACKAGE / kind).glob("*.py")):
        if file.stem in SEAM:
            continue
        for name in imports(file):
            if not name.startswith("connect."):
                continue
            part = name.removeprefix("connect.")
            own = f"{kind}.{file.stem.split('_')[0]}"  # smtp may be smtp.py, smtp_replies.py, ...
            allowed = part.split(".")[0] in FOUNDATION | {"channels"} or part.startswith(
                (f"{kind}.interface", f"{kind}.http", *(f"{kind}.{name}" for name in SHARED), own)
            )
            assert allowed, f"{kind}/{file.name} imports {name}: an adapter sees its interface and the foundation"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_drivers_stay_at_home(file: Path) -> None:
    where = file.relative_to(PACKAGE).as_posix()
    for name in imports(file):
        homes = AT_HOME.get(name.split(".")[0])
        assert not homes or where.startswith(homes), f"{where} imports {name}, which belongs in {homes}"


def adapter_names() -> set[str]:
    from connect.providers import catalog as providers
    from connect.warehouses import catalog as warehouses

    return set(providers.names()) | set(warehouses.names())


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.parent.name in ("pipeline", "ledger", "reports", "cli", "schedule")],
    ids=module_of,
)
def test_nobody_branches_on_an_adapters_name(file: Path) -> None:
    own = {"postgresql"} if file.parent.name == "ledger" else set()  # which is also where a ledger can be
    names = adapter_names() - own
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Compare):
            words = {
                part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
            assert not words & names, f"{file}:{node.lineno} branches on {words & names}"


def test_nothing_comes_from_modules_named_for_leftovers() -> None:
    banned = {"utils", "helpers", "common", "manager", "misc", "base"}
    assert not [file for file in FILES if file.stem in banned]
