"""Where each read of the audience is billed, one is told before anything is sent; and a limit is kept: on BigQuery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import bigquery
from connect.testing.warehouse_rigs.bigquery import BigQueryRig

ROWS = 3


@pytest.fixture
def billed(shop: Any, tmp_path: Path) -> Iterator[Any]:
    """The shop, with its tables in BigQuery."""
    try:
        context = bigquery.bigquery(tmp_path)
        with context as rig:
            people = ", ".join(f"('id-{n:05}', 'anna{n:05}@mail.example', 'Anna{n:05}')" for n in range(1, ROWS + 1))
            rig.execute(
                "create table people (id varchar(50), email varchar(50), first_name varchar(50))",
                f"insert into people values {people}",
                "create table opt_outs (id varchar(50), address varchar(50), status varchar(50))",
                "insert into opt_outs values (null, 'anna00002@mail.example', 'unsubscribed')",
            )
            _in_bigquery(shop, rig)
            yield shop
    except NoServer as why:
        pytest.skip(str(why))


def _in_bigquery(shop: Any, rig: BigQueryRig, **more: str) -> None:
    """connect.yml with this dataset as the source."""
    settings = rig.settings(bigquery.account("connect", True))
    key = settings.pop("credentials")
    shop.write("key.json", key)
    shop.configure(more=_LIVE)
    written = (shop.root / "connect.yml").read_text()
    source = json.dumps({"type": "bigquery", **settings, "credentials_file": "key.json", **more})
    shop.write("connect.yml", written.replace('{url: "duckdb:///shop.duckdb"}', source))
    shop.cells |= {"anna00001", "Anna00001", "PRIVATE KEY"}


_LIVE = """
subscriptions:
  sql: select id, address, status from opt_outs
unsubscribe: {url: "https://shop.example/leave?t={{ url.token }}"}
"""


def test_it_is_told_by_validate_and_before_a_run(billed: Any) -> None:
    checked = billed.connect("validate")
    assert checked.code == 0, checked.err
    assert "10.5 MB billed for each read" in checked.out
    ended = billed.run("hello", "--json")
    assert ended.code == 0, ended.err
    assert "10.5 MB for one read" in ended.err
    assert ended.counts == {("email", "sent", ""): 2, ("email", "skipped", "unsubscribed"): 1}
    assert billed.addresses() == ["anna00001@mail.example", "anna00003@mail.example"]


def test_many_reads_are_warned_of(billed: Any) -> None:
    campaign = (billed.root / "campaigns/hello.yml").read_text()
    billed.campaign(campaign + "policy: {batches: {count: 8, every: 1h}}\n")
    ended = billed.connect("run", "hello")  # and nobody says yes
    assert [problem.code for problem in ended.problems] == ["many-billed-reads", "not-confirmed"]
    assert "about 8 times" in ended.problems[0].message
    assert "83.9 MB: about 8 reads of 10.5 MB" in ended.err
    billed.nothing_happened()


def test_what_is_dearer_than_allowed_is_refused(billed: Any) -> None:
    written = (billed.root / "connect.yml").read_text()
    billed.write("connect.yml", written.replace('"key.json"', '"key.json", "maximum_bytes_billed": "1MB"'))
    ended = billed.run()
    assert (ended.code, ended.error.code) == (2, "query-cost")
    assert "`maximum_bytes_billed`" in ended.error.message
    billed.nothing_happened()


def test_a_mistake_in_the_query_is_the_users(billed: Any) -> None:
    billed.campaign(sql="sql: select id, emial from people")
    ended = billed.connect("validate")
    assert (ended.code, ended.error.code) == (2, "sql-error")
    assert "emial" in ended.error.message


def test_a_key_that_nobody_knows_lets_nobody_in(billed: Any) -> None:
    key = json.loads((billed.root / "key.json").read_text())
    billed.write("key.json", json.dumps({**key, "client_email": "nobody@contract.iam.gserviceaccount.com"}))
    ended = billed.run()
    assert (ended.code, ended.error.code) == (3, "warehouse-unreachable")
    billed.write("key.json", "no key at all")
    assert billed.run().error.code == "bad-credentials"


def test_a_snapshot_is_billed_once(billed: Any) -> None:
    campaign = (billed.root / "campaigns/hello.yml").read_text()
    more = "policy: {batches: {count: 8, every: 1s}}\n"
    billed.campaign(campaign.replace("  limits:", "  snapshot: true\n  limits:") + more)
    ended = billed.run("hello", "--json")
    assert ended.code == 0, ended.err
    assert "10.5 MB for one read" in ended.err
    assert "many-billed-reads" not in ended.err
    assert billed.addresses() == ["anna00001@mail.example", "anna00003@mail.example"]
