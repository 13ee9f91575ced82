"""The demo's campaigns over a copy of the shop in PostgreSQL: the same report, number for number, as on DuckDB."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from connect.testing.postgres import NoServer, shared_server

ROOT = Path(__file__).resolve().parents[3]
DEMO = ("connect.yml", "campaigns", "templates", "audiences")
CAMPAIGNS = ("points_expiring", "arriving_today", "order_review", "welcome_back")

sys.path.insert(0, str(ROOT))
from examples.shop import build as shop  # noqa: E402
from tests import processes  # noqa: E402

# The demo's audiences are in DuckDB's SQL: these are their twins.
TWINS = {
    "arriving_today": """
        with phones as (
            select account, json_agg(json_build_object('type', 'push', 'address', token, 'platform', platform)
                                     order by token) as channels
            from devices group by account
        )
        select people.id, parcels.order_id, people.email, people.phone_number, phones.channels, people.first_name,
               people.locale, people.timezone, parcels.jars, parcels.from_hour, parcels.to_hour
        from parcels
        join people on people.account = parcels.account
        left join phones on phones.account = parcels.account
        where parcels.arrives_on = :fire_date
    """,
    "delivered_orders": """
        with bought as (
            select i.order_id,
                   json_agg(json_build_object('number', p.id, 'name', w.name, 'quantity', i.quantity,
                                              'paper', p.paper, 'ink', p.ink) order by p.id) as items
            from order_items as i
            join products as p on p.id = i.product_id
            join product_words as w on w.product_id = p.id and w.language = 'en'
            group by i.order_id
        )
        select people.id, orders.id as order_id, people.email, people.phone_number, people.first_name, people.locale,
               people.timezone, orders.currency, orders.total, orders.delivered_on, orders.packed_by, bought.items
        from orders
        join people on people.account = orders.account
        join bought on bought.order_id = orders.id
        where orders.delivered_on between :fire_date - :oldest and :fire_date - :newest
    """,
    "welcome_back": """
        with history as (
            select account, count(*) as orders, max(ordered_at) as last_ordered_at from orders group by account
        ),
        speakers as (
            select distinct account, currency,
                   case when left(locale, 2) in ('fr', 'de') then left(locale, 2) else 'en' end as language
            from people
        ),
        ranked as (
            select orders.account, i.product_id, sum(i.quantity) as quantity,
                   row_number() over (partition by orders.account
                                      order by sum(i.quantity) desc, i.product_id) as place
            from order_items as i
            join orders on orders.id = i.order_id
            group by orders.account, i.product_id
        ),
        bought as (select account, product_id, quantity from ranked where place <= 3),
        favourites as (
            select bought.account,
                   json_agg(json_build_object('number', p.id, 'name', w.name, 'note', w.note, 'price', prices.price,
                                              'paper', p.paper, 'ink', p.ink)
                            order by bought.quantity desc, p.id) as products
            from bought
            join speakers using (account)
            join products as p on p.id = bought.product_id
            join product_words as w on w.product_id = p.id and w.language = speakers.language
            join prices on prices.product_id = p.id and prices.currency = speakers.currency
            group by bought.account
        ),
        viewed as (
            select distinct on (events.account) events.account, w.name as product
            from events
            join speakers using (account)
            join product_words as w on w.product_id = events.product_id and w.language = speakers.language
            where events.happened_at < :fire_time
            order by events.account, events.happened_at desc
        )
        select people.id, people.email, people.first_name, people.locale, people.currency, people.timezone,
               history.orders, history.last_ordered_at, viewed.product as last_viewed,
               favourites.products as favourites
        from people
        join history using (account)
        join favourites using (account)
        left join viewed using (account)
        where cast(history.last_ordered_at as date) between :fire_date - :longest and :fire_date - :shortest
    """,
}

_TYPES = {"VARCHAR": "text", "TINYINT": "smallint", "DOUBLE": "double precision"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Campaign → report: on DuckDB, and on PostgreSQL."""
    try:
        server = shared_server()
    except NoServer as why:
        pytest.skip(str(why))
    folder = tmp_path_factory.mktemp("shops")
    on_duckdb, on_postgresql = _project(folder / "duckdb"), _project(folder / "postgresql")
    shop.build(on_duckdb / "shop.duckdb", datetime.now(UTC))
    name = server.create()
    try:
        url = server.url(name).replace("+psycopg", "")
        _copy(on_duckdb / "shop.duckdb", url)
        _write_twins(on_postgresql, url)
        yield _run(on_duckdb), _run(on_postgresql)
    finally:
        server.drop(name)


def _project(folder: Path) -> Path:
    folder.mkdir()
    for name in DEMO:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / ".env").write_text("CONNECT_SECRET=a-secret-of-the-shop-0123456789\n")
    return folder


def _write_twins(folder: Path, url: str) -> None:
    for audience, sql in TWINS.items():
        (folder / "audiences" / f"{audience}.sql").write_text(sql)
    file = folder / "connect.yml"
    file.write_text(file.read_text().replace("duckdb:///shop.duckdb", url))


def _copy(file: Path, url: str) -> None:
    """Every table of the shop, with its types."""
    with duckdb.connect(str(file), read_only=True) as source, psycopg.connect(url) as target:
        for (table,) in source.execute("select table_name from information_schema.tables").fetchall():
            columns = source.execute(f"describe {table}").fetchall()
            made = ", ".join(f"{name} {_type(kind)}" for name, kind, *_ in columns)
            target.execute(f"create table {table} ({made})".encode())
            with target.cursor().copy(f"copy {table} from stdin".encode()) as copy:
                for row in source.execute(f"select * from {table}").fetchall():
                    copy.write_row(row)


def _type(kind: str) -> str:
    return _TYPES.get(kind) or re.sub(r"^DECIMAL", "numeric", kind)


def _run(folder: Path) -> dict[str, Any]:
    for campaign in CAMPAIGNS:
        ended = _connect(folder, "run", campaign, "--yes")
        assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    shown = _connect(folder, "report", "--json")
    assert shown.returncode == 0, shown.stderr
    return {report["campaign"]: report for report in json.loads(shown.stdout)}


def _connect(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECT_")}
    return processes.run(processes.COMMAND, *arguments, folder=folder, environment=environment, text=True)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_the_report_is_the_same_number_for_number(
    reports: tuple[dict[str, Any], dict[str, Any]], campaign: str
) -> None:
    on_duckdb, on_postgresql = (both[campaign] for both in reports)
    assert on_postgresql["deliveries"] == on_duckdb["deliveries"] > 0
    assert on_postgresql["outcomes"] == on_duckdb["outcomes"]
    assert _tallies(on_postgresql) == _tallies(on_duckdb)


def _tallies(report: dict[str, Any]) -> list[str]:
    return sorted(json.dumps(tally, sort_keys=True) for tally in report["tallies"])


def test_a_mistake_is_shown_at_its_place_in_the_file(tmp_path: Path) -> None:
    try:
        server = shared_server()
    except NoServer as why:
        pytest.skip(str(why))
    folder = _project(tmp_path / "shop")
    _write_twins(folder, server.url("postgres").replace("+psycopg", ""))
    (folder / "audiences" / "arriving_today.sql").write_text(
        "select 1 as id,\n  :fire_date as day, oid2\nfrom pg_class;\n"
    )
    shown = _connect(folder, "validate", "arriving_today")
    assert shown.returncode == 2
    assert "audiences/arriving_today.sql:2:22: error[sql-error]" in shown.stderr + shown.stdout
    assert 'column "oid2" does not exist' in shown.stderr + shown.stdout
