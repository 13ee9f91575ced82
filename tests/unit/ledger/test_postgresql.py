"""A PostgreSQL database that can not be a ledger says why and what to do, and never the password of its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection

from connect.clock import SystemClock
from connect.errors import ConnectError, UserError
from connect.ledger import postgresql
from connect.ledger.place import place_of
from connect.ledger.store import Ledger
from connect.testing.postgres import NoServer, PostgresServer, shared_server

SECRET = "hunter22"


@pytest.fixture
def server() -> PostgresServer:
    try:
        return shared_server()
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def empty(server: PostgresServer) -> Iterator[str]:
    """The name of a database that holds nothing."""
    name = server.create()
    yield name
    server.drop(name)


def open_at(url: str) -> Ledger:
    return Ledger.open(url, project="acme", target="dev", clock=SystemClock())


def refused(url: str) -> str:
    """The code of the problem and what is said of it."""
    with pytest.raises(ConnectError) as error:
        open_at(url)
    assert SECRET not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_it_is_made_in_an_empty_database(server, empty, scheme):
    with closing(open_at(server.url(empty).replace("postgresql+psycopg", scheme))) as ledger:
        assert ledger.runs() == []
    with closing(open_at(server.url(empty))) as again:
        assert "fsync" in again.check(), "the server of the tests does not sync, and doctor should tell"


def test_a_server_that_can_not_be_reached():
    said = refused(f"postgresql://connect:{SECRET}@127.0.0.1:1/ledger")
    assert "error[ledger-unavailable]: the ledger in PostgreSQL (ledger on 127.0.0.1) can not be reached" in said


def test_a_database_that_does_not_exist(server):
    assert "there is no such database" in refused(server.url("nowhere").replace("postgres@", f"postgres:{SECRET}@"))


def test_a_user_that_does_not_exist(server, empty):
    said = refused(server.url(empty).replace("postgres@", f"nobody:{SECRET}@"))
    assert "error[ledger-unavailable]" in said


def test_a_database_of_somebody_else_gets_a_schema_of_its_own(server, empty):
    server.sql("CREATE TABLE customers (id int)", empty)
    said = refused(server.url(empty))
    assert "error[ledger-not-a-ledger]" in said
    assert "search_path" in said
    in_schema = f"{server.url(empty)}&options=-csearch_path%3Dconnect"
    assert "CREATE SCHEMA connect" in refused(in_schema)
    server.sql("CREATE SCHEMA connect", empty)
    with closing(open_at(in_schema)) as ledger:
        assert ledger.runs() == []
    beside = f"{server.url(empty)}&options=-csearch_path%3Dconnect,public"
    with closing(open_at(beside)) as ledger:
        assert ledger.size() > 0
    assert "error[ledger-not-a-ledger]" in refused(server.url(empty))


def test_a_user_without_rights(server, empty):
    server.sql("CREATE ROLE visitor LOGIN", empty)
    assert "may not be used by this user" in refused(server.url(empty).replace("postgres@", "visitor@"))
    server.sql("DROP ROLE visitor")


def test_a_standby_can_not_be_written(server, empty):
    def write(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("DELETE FROM meta")

    with closing(open_at(server.url(empty))) as ledger, pytest.raises(ConnectError, match="primary server"):
        ledger.transact(write)


def test_without_its_driver_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(postgresql, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"connect-campaigns\[postgresql\]") as error:
        place_of(f"postgresql://connect:{SECRET}@host/ledger")
    assert error.value.problems[0].code == "missing-extra"


@pytest.mark.parametrize("wrong", ["postgresql://connect:{}@host:port/x", "postgresql+asyncpg://connect:{}@host/x"])
def test_a_url_that_is_wrong_is_not_repeated(wrong):
    assert "error[ledger-url]" in refused(wrong.format(SECRET))


def test_neither_its_name_nor_its_repr_tell_the_password():
    place = place_of(f"postgresql://connect:{SECRET}@host/ledger")
    assert str(place) == "the ledger in PostgreSQL (ledger on host)"
    assert SECRET not in repr(place)
