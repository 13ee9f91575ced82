"""`python -m examples.shop.demo --source …`: the same report, number for number, as on DuckDB."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connect.testing.postgres import NoServer, PostgresServer, shared_server
from connect.testing.warehouse_rigs.snowflake import PASSWORD, USER, SnowflakeRig, snowflake
from examples.shop.build import build
from tests import processes

ROOT = Path(__file__).resolve().parents[3]
DEMO = ("connect.yml", "campaigns", "templates", "audiences", "examples")
CAMPAIGNS = ("points_expiring", "arriving_today", "order_review", "welcome_back")

Reports = dict[str, dict[str, Any]]
"""Campaign → report."""


def _copy(folder: Path) -> Path:
    folder.mkdir()
    for name in DEMO:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def _run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECT_")}
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH", str(ROOT))])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    return processes.run(program, *arguments, folder=folder, environment=environment, text=True)


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, str(folder / "examples" / "shop" / "demo.py"), *arguments)


def _connect(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, processes.COMMAND, *arguments)


def _reports(folder: Path) -> Reports:
    shown = _connect(folder, "report", "--json")
    assert shown.returncode == 0, shown.stderr
    return {report["campaign"]: report for report in json.loads(shown.stdout)}


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """As the demo does it, which `stories/demo` is about."""
    folder = _copy(tmp_path_factory.mktemp("duckdb") / "shop")
    build(folder / "shop.duckdb", datetime.now(UTC))
    (folder / ".env").write_text("CONNECT_SECRET=a secret for the demo on DuckDB\n")
    for campaign in CAMPAIGNS:
        ended = _connect(folder, "run", campaign, "--yes")
        assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return _reports(folder)


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    try:
        return shared_server()
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def on_postgresql(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the demo's project."""
    folder = _copy(tmp_path_factory.mktemp("postgresql") / "shop")
    name = server.create()
    try:
        # The server trusts everybody who may use its socket; a password is none the less kept out of connect.yml.
        url = server.url(name).replace("+psycopg", "").replace("postgres@", "postgres:p%40ss@")
        ended = _demo(folder, "--source", url)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield folder / ".demo" / "postgresql"
    finally:
        server.drop(name)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeRig]:
    try:
        with snowflake(tmp_path_factory.mktemp("snowflake")) as rig:
            assert isinstance(rig, SnowflakeRig)
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def on_snowflake(rig: SnowflakeRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = _copy(tmp_path_factory.mktemp("lab") / "shop")
    line = f"host: 127.0.0.1, port: {rig.service.port}, protocol: http"
    place = f"account: acme, user: {USER}, password: '${{LAB_PASSWORD}}', database: {rig.database}, schema: public"
    file = folder / "connect.yml"
    lab = f"sources:\n  shop:\n    url: duckdb:///shop.duckdb\n  lab: {{type: snowflake, {place}, {line}}}\n"
    file.write_text(file.read_text().replace("sources:\n  shop:\n    url: duckdb:///shop.duckdb\n", lab))
    (folder / ".env").write_text(f"LAB_PASSWORD={PASSWORD}\n")
    ended = _demo(folder, "--source", "lab")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / ".demo" / "snowflake"


@cache
def _reports_of(folder: Path) -> Reports:
    return _reports(folder)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
@pytest.mark.parametrize("elsewhere", ["on_postgresql", "on_snowflake"])
def test_the_report_is_the_same_number_for_number(
    on_duckdb: Reports, elsewhere: str, campaign: str, request: pytest.FixtureRequest
) -> None:
    here, there = on_duckdb[campaign], _reports_of(request.getfixturevalue(elsewhere))[campaign]
    assert there["deliveries"] == here["deliveries"] > 0
    assert there["outcomes"] == here["outcomes"]
    assert _tallies(there) == _tallies(here)


def _tallies(report: dict[str, Any]) -> list[str]:
    return sorted(json.dumps(tally, sort_keys=True) for tally in report["tallies"])


def test_a_password_of_the_url_is_kept_out_of_the_files_of_the_project(on_postgresql: Path) -> None:
    assert "p%40ss" not in (on_postgresql / "connect.yml").read_text()
    assert "SHOP_PASSWORD=p@ss" in (on_postgresql / ".env").read_text()


def test_tables_that_are_not_the_demos_are_left_alone(server: PostgresServer, tmp_path: Path) -> None:
    name = server.create()
    try:
        url = server.url(name).replace("+psycopg", "")
        server.sql("create table orders (id integer)", name)
        ended = _demo(_copy(tmp_path / "shop"), "--source", url)
        assert ended.returncode == 2
        assert "there is a table `orders` that the demo did not make" in ended.stdout
        with psycopg.connect(url) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        assert tables == [("orders",)]
    finally:
        server.drop(name)


def test_a_source_without_audiences_is_told(tmp_path: Path) -> None:
    ended = _demo(_copy(tmp_path / "shop"), "--source", "mysql://user@host/shop")
    assert ended.returncode == 2
    assert "it has: postgresql, snowflake" in ended.stdout


def test_a_mistake_is_shown_at_its_place_in_the_file(on_postgresql: Path) -> None:
    file = on_postgresql / "audiences" / "arriving_today.sql"
    kept = file.read_text()
    try:
        file.write_text("select 1 as id,\n  :fire_date as day, oid2\nfrom pg_class;\n")
        shown = _connect(on_postgresql, "validate", "arriving_today")
    finally:
        file.write_text(kept)
    assert shown.returncode == 2
    assert "audiences/arriving_today.sql:2:22: error[sql-error]" in shown.stderr + shown.stdout
    assert 'column "oid2" does not exist' in shown.stderr + shown.stdout
