"""A shop whose deliveries are written back, on an engine whose file or server is real."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.testing import warehouse_rigs
from connect.testing.postgres import NoServer
from connect.warehouses.interface import Query

T = timedelta(seconds=30)
PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
mode: live
test_recipient: {{email: staff@shop.example}}
sources:
  shop: {{url: "{url}"}}
providers: {providers}
channels: {{email: mail, sms: texts, push: phones}}
subscriptions: {{sql: "select id, status from opt_outs"}}
unsubscribe: {{url: "https://shop.example/leave"}}
"""
MEMORY = {name: {"type": "memory"} for name in ("mail", "texts", "phones")}
CAMPAIGN = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 100000}
message:
  content: CONTENT
policy: POLICY
"""
EMAIL = {"channel": "email", "from": "Shop <hello@shop.example>", "subject": "Hello", "text": "Good day"}
SMS = {"channel": "sms", "body": "Good day"}
PUSH = {"channel": "push", "title": "Hello", "body": "Good day"}
DEVICES = '[{"type": "push", "address": "token-of-%s-1"}, {"type": "push", "address": "token-of-%s-2"}]'
WIDTHS = "id varchar(20), email varchar(99), phone_number varchar(20), channels varchar(400)"
Row = tuple[str | None, ...]


def _literal(cell: str | None) -> str:
    return "null" if cell is None else "'" + cell + "'"


class Home:
    """A warehouse with people in it, and the table of what they were sent."""

    def __init__(self, shop: Any, rig: Any, url: str) -> None:
        self.shop, self.rig, self.url = shop, rig, url
        self.change(f"create table people ({WIDTHS})", "create table opt_outs (id varchar(20), status varchar(20))")
        self.configure()
        self.campaign(EMAIL)

    def configure(self, destination: str = "destination: {}", **accounts: object) -> None:
        text = PROJECT.format(url=self.url, providers=json.dumps(MEMORY | accounts))
        self.shop.write("connect.yml", f"{text}{destination}\n")

    def campaign(self, *content: object, name: str = "hello", **policy: object) -> None:
        text = CAMPAIGN.replace("CONTENT", json.dumps(content)).replace("POLICY", json.dumps(policy))
        self.shop.write(f"campaigns/{name}.yml", text)

    def change(self, *statements: str) -> None:
        """Something that somebody does in the warehouse."""
        self.rig.warehouse.write([Query(statement, {}) for statement in statements], T)

    def ask(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.rig.warehouse.rows(Query(sql, {}), T)
        return rows

    def init(self) -> None:
        assert self.shop.connect("destination", "init", "--yes").code == 0

    def people(self, *rows: Row) -> None:
        cells = (f"({', '.join(map(_literal, row))})" for row in rows)
        self.change(f"insert into people values {', '.join(cells)}")
        self.shop.cells |= {cell for row in rows for cell in row if cell and len(cell) > 6}

    def crowd(self, count: int) -> None:
        self.people(*(self.person(number) for number in range(count)))

    def person(self, number: int) -> Row:
        who = f"{number:05}"
        return (f"id-{who}", f"anna{who}@mail.example", f"+6141{number:07}", DEVICES.replace("%s", who))

    def run_id(self) -> str:
        runs: list[dict[str, str]] = self.shop.connect("runs", "list", "--json").json
        return runs[0]["id"]

    def written(self, run: str = "") -> Counter[tuple[str, str, str]]:
        """(channel, outcome, reason) → deliveries, as the table says."""
        where = f" where run = '{run}'" if run else ""
        rows = self.ask(f"select channel, outcome, reason, deliveries from connect_deliveries{where}")
        found: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            found[row["channel"], row["outcome"], row["reason"] or ""] += row["deliveries"]
        return found

    def each_once(self) -> None:
        """No two rows are of one message."""
        (row,) = self.ask(
            "select count(*) as n, count(distinct message_key) as keys from connect_deliveries where outcome = 'sent'"
        )
        assert row["n"] == row["keys"]


def _home(name: str, shop: Any, folder: Path, stack: ExitStack) -> Home:
    try:
        rig: Any = stack.enter_context(warehouse_rigs.warehouse_rig(name, folder))
    except NoServer as why:
        pytest.skip(str(why))
    return Home(shop, rig, rig.url if name == "postgresql" else f"duckdb:///{folder}/contract.duckdb")


@pytest.fixture(params=["duckdb", "postgresql"])
def home(request: pytest.FixtureRequest, shop: Any, tmp_path: Path) -> Iterator[Home]:
    with ExitStack() as stack:
        yield _home(request.param, shop, tmp_path, stack)


@pytest.fixture
def file(shop: Any, tmp_path: Path) -> Iterator[Home]:
    """DuckDB, which a writer has for itself."""
    with ExitStack() as stack:
        yield _home("duckdb", shop, tmp_path, stack)


@pytest.fixture
def contents() -> dict[str, dict[str, str]]:
    return {"email": dict(EMAIL), "sms": dict(SMS), "push": dict(PUSH)}
