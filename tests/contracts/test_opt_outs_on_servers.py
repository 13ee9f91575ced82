"""Unsubscribing with a warehouse and a ledger in PostgreSQL, also while somebody locks the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from connect.testing.postgres import NoServer, shared_server
from tests.unit.server.test_unsubscribe import CONNECT, TOPICS, WHO, ask, drained, post, served_house, ticked


@pytest.fixture
def url() -> Iterator[str]:
    try:
        server = shared_server()
    except NoServer as why:
        pytest.skip(str(why))
    database = server.create_in_unicode()
    server.sql("create schema ledger", database)
    yield server.url(database).replace("+psycopg", "")
    server.drop(database)


@contextmanager
def table_locked(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("lock table connect_opt_outs in access exclusive mode")
        yield
        connection.rollback()


def test_written_held_and_drained(tmp_path: Path, url: str) -> None:
    state = url.replace("postgresql://", "postgresql+psycopg://") + "&options=-csearch_path%3Dledger"
    connect = CONNECT.replace("duckdb:///shop.duckdb", url) + f'state: "{state}"\n'
    with served_house(tmp_path, TOPICS, connect=connect) as (house, server):
        token = house.token()
        assert post(server, token, ("List-Unsubscribe", "One-Click")).status == 200
        drained(server)
        assert house.rows() == [(*WHO, "offers", "unsubscribed", "one_click")]
        with table_locked(url):
            assert post(server, token, ("do", "all")).status == 200
            assert server.site.ledger.held_count() == 1
        drained(server)
        assert [row[3:5] for row in house.rows()] == [("offers", "unsubscribed"), (None, "unsubscribed")]
        both = [("shown", "offers"), ("shown", "news"), ("topic", "offers"), ("topic", "news")]
        post(server, token, ("do", "save"), *both)
        drained(server)
        assert ticked(ask(server, "GET", token)) == {"offers": True, "news": True}
