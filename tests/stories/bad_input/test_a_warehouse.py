"""A warehouse in the way: outside trouble, which nothing is lost by."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.warehouses.duckdb import DuckDB

HOLDS = """
import duckdb, sys
warehouse = duckdb.connect(sys.argv[1])
print("holding", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_for_writing(path: Path) -> Iterator[int]:
    """Another process that writes to the file, by its number."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "holding\n"
        yield process.pid
        process.communicate()


def test_a_file_that_somebody_writes_to(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuckDB, "patience", timedelta(0))
    shop.people(3)

    with held_for_writing(shop.root / "shop.duckdb") as process:
        ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "warehouse-locked")
    assert f"is being written to by process {process}" in ended.error.message
    assert ended.error.hint == f"wait until process {process} is done, or stop it"
    shop.nothing_happened()

    later = shop.run("hello", "--json")

    assert later.code == 0
    assert later.counts == {("email", "sent", ""): shop.number("select count(*) from people")}


def test_a_file_that_is_not_there(shop: Any) -> None:
    (shop.root / "shop.duckdb").unlink()

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "warehouse-missing")
    assert "shop.duckdb" in ended.error.message
    assert ended.error.hint == "check `url` in connect.yml; it is relative to the project's folder"
    assert not (shop.root / "shop.duckdb").exists()
    shop.nothing_happened()


def test_a_file_that_is_something_else(shop: Any) -> None:
    shop.write("shop.duckdb", "id,email\n1,anna@mail.example\n")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "warehouse-unreadable")
    assert "anna@mail.example" not in ended.err
    shop.nothing_happened()


def test_validate_says_so_too_and_goes_on_with_the_other_campaigns(shop: Any) -> None:
    (shop.root / "shop.duckdb").unlink()
    shop.campaign(file="other", subject='subject: "{{ user.first_name | upcse }}"')

    ended = shop.connect("validate")

    assert ended.code == 2
    assert sorted(error.code for error in ended.errors) == [
        "unknown-filter",
        "warehouse-missing",
    ]


def test_a_query_that_takes_too_long(shop: Any) -> None:
    shop.people(3)
    shop.campaign(
        sql="timeout: 1s\n  sql: select a.* from people a, range(10000000) b, range(10000000) c where hash(b, c) = 1"
    )

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "query-timeout")
    assert "raise `audience.timeout`" in ended.error.hint
    shop.nothing_happened()
