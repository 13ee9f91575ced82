"""The shop in a warehouse of the user's choice: a project of its own that reads from there, and the tables.

The campaigns, templates and everything else are the demo's own files. Only the audiences differ, because every
engine has SQL of its own: those of PostgreSQL and Snowflake are in `audiences/` beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
from ruamel.yaml import YAML

from connect import wiring
from connect.errors import UserError
from connect.warehouses import catalog
from connect.warehouses.interface import Query, Warehouse

AUDIENCES = Path(__file__).parent / "audiences"
COPIED = ("connect.yml", "campaigns", "templates", "audiences", ".env")
MARK = "juniper_and_salt_demo"
"""A table that says that the others are the demo's, and may be made anew."""

_T = timedelta(minutes=5)
_TYPES = {"TINYINT": "smallint", "DOUBLE": "double precision"}
_ROWS = 250


def project(root: Path, source: str) -> Path:
    """A copy of the demo's project that reads from this source: a URL, or the name of one in connect.yml."""
    entry, secret = _entry(root, source)
    engine = catalog.type_of(entry["url"]) if "url" in entry else str(entry.get("type"))
    if not (AUDIENCES / engine).is_dir():
        known = ", ".join(sorted(folder.name for folder in AUDIENCES.iterdir()))
        raise UserError.of("unknown-warehouse", f"the demo has no audiences for `{engine}`", f"it has: {known}")
    folder = root / ".demo" / engine
    shutil.rmtree(folder, ignore_errors=True)
    for name in COPIED:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        folder.mkdir(parents=True, exist_ok=True)
        copy(root / name, folder / name)
    shutil.copytree(AUDIENCES / engine, folder / "audiences", dirs_exist_ok=True)
    _point(folder, entry, secret)
    return folder


def _entry(root: Path, source: str) -> tuple[dict[str, Any], str]:
    """What stands under `sources`, and the password that the URL had."""
    if "://" not in source:
        sources = YAML(typ="safe").load((root / "connect.yml").read_text())["sources"]
        if source not in sources:
            raise UserError.of("unknown-source", f"connect.yml has no source `{source}`", "add it, or give a URL")
        return _absolute(dict(sources[source]), root), ""
    secret = urlsplit(source).password or ""
    if not secret or secret.startswith("${"):
        return {"url": source}, ""
    return {"url": source.replace(f":{secret}@", ":${SHOP_PASSWORD}@", 1)}, unquote(secret)


def _absolute(entry: dict[str, Any], root: Path) -> dict[str, Any]:
    """Files stay where they are."""
    files = {name: str((root / Path(path).expanduser()).resolve()) for name, path in entry.items() if "_file" in name}
    return {**entry, **files}


def _point(folder: Path, entry: dict[str, Any], secret: str) -> None:
    """Have the project read from there."""
    file = folder / "connect.yml"
    own = "  shop:\n    url: duckdb:///shop.duckdb\n"
    file.write_text(file.read_text().replace(own, f"  shop: {json.dumps(entry)}\n"))
    if secret:
        with (folder / ".env").open("a") as lines:
            lines.write(f"SHOP_PASSWORD={secret}\n")


# The tables


def fill(folder: Path, file: Path) -> None:
    """Every table of a DuckDB file, made anew in the warehouse of the project, with its rows."""
    warehouse = wiring.open_warehouse(wiring.open_project(folder, None, None, os.environ), "shop")
    with duckdb.connect(str(file), read_only=True) as shop:
        tables = [name for (name,) in shop.execute("select table_name from duckdb_tables() order by 1").fetchall()]
        _make_room(warehouse, tables)
        _write(warehouse, [f"create table {MARK} (made integer)"])
        for table in tables:
            columns = shop.execute(f"describe {table}").fetchall()
            made = ", ".join(f"{name} {_type(kind)}" for name, kind, *_ in columns)
            _write(warehouse, [f"create table {table} ({made})"])
            rows = shop.execute(f"select * from {table}").fetchall()
            warehouse.write(list(_inserts(warehouse, table, rows)), _T)


def _type(kind: str) -> str:
    return _TYPES.get(kind, kind.lower())


def _make_room(warehouse: Warehouse, tables: Sequence[str]) -> None:
    """Remove what an earlier demo made, and nothing else."""
    ours = _is_there(warehouse, MARK)
    theirs = [table for table in tables if not ours and _is_there(warehouse, table)]
    if theirs:
        hint = "give the demo a database or a schema of its own"
        raise UserError.of("not-ours", f"there is a table `{theirs[0]}` that the demo did not make", hint)
    _write(warehouse, [f"drop table if exists {table}" for table in (*tables, MARK)])


def _is_there(warehouse: Warehouse, table: str) -> bool:
    try:
        return bool(warehouse.columns(Query(f"select * from {table}", {}), _T))
    except UserError:
        return False


def _write(warehouse: Warehouse, statements: Sequence[str]) -> None:
    warehouse.write([Query(statement, {}) for statement in statements], _T)


def _inserts(warehouse: Warehouse, table: str, rows: Sequence[Sequence[object]]) -> Iterator[Query]:
    """Statements that add the rows, some hundred at a time, every cell a bound parameter."""
    bind = warehouse.dialect.parameter
    for start in range(0, len(rows), _ROWS):
        cells = {
            f"c{row}_{column}": cell
            for row, values in enumerate(rows[start : start + _ROWS])
            for column, cell in enumerate(values)
        }
        width = len(rows[0])
        names = [bind(name) for name in cells]
        lines = (", ".join(names[at : at + width]) for at in range(0, len(names), width))
        yield Query(f"insert into {table} values " + ",\n".join(f"({line})" for line in lines), cells)
