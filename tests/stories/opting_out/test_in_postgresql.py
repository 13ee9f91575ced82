"""Opt-outs in PostgreSQL, by a user who may do what `connect doctor --grants` says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from connect.testing.postgres import NoServer, PostgresServer, shared_server

PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  shop: {{type: postgresql, host: "{host}", database: {database}, user: {user}}}
providers:
  mail: {{type: memory}}
  texts: {{type: memory}}
channels: {{email: mail, sms: texts}}
subscriptions: {{write: marketing.connect_opt_outs}}
unsubscribe: {{url: "https://shop.example/leave"}}
"""
PEOPLE = """
create table people as
select 'id-' || n as id, 'Anna' || n || '@mail.example' as email, '+6141000000' || n as phone_number,
       'Anna' as first_name
from generate_series(1, 9) as g(n)
"""

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def server() -> Iterator[tuple[PostgresServer, str, str]]:
    """A server, a database on it, and a user who may sign in."""
    try:
        server = shared_server()
    except NoServer as why:
        pytest.skip(str(why))
    database = server.create_in_unicode()
    user = f"connect_of_{database}"
    server.sql(f"create role {user} login")
    server.sql(f"revoke connect on database {database} from public")
    yield server, database, user
    server.sql(f"drop owned by {user}", database)
    server.drop(database)
    server.sql(f"drop role {user}")


@pytest.fixture
def sql(server: tuple[PostgresServer, str, str]) -> Sql:
    """What the owner of everything sees."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        url = server[0].url(server[1]).replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            return connection.execute(query).fetchall()

    return ask


def test_with_no_more_privilege_than_doctor_says(shop: Any, server: tuple[PostgresServer, str, str], sql: Sql) -> None:
    """The statements of `init` and the grants are run by the owner; then the user does all the rest."""
    postgres, database, user = server
    shop.write("connect.yml", PROJECT.format(host=postgres.folder, database=database, user=user))
    postgres.sql("create schema marketing", database)
    postgres.sql(PEOPLE, database)
    asked = shop.connect("subscriptions", "init")
    assert (asked.code, asked.error.code) == (2, "not-confirmed")
    for statement in filter(str.strip, asked.out.split(";\n")):
        postgres.sql(statement, database)
    grants = shop.connect("doctor", "--grants", "--json").json["grants"]["shop"]
    for statement in grants["read"]:
        postgres.sql(statement, database)

    refused = shop.connect("subscriptions", "unsubscribe", "id-1")
    assert (refused.code, refused.error.code) == (2, "warehouse-privilege")
    assert sql("select count(*) from marketing.connect_opt_outs") == [(0,)]

    for statement in grants["write"]:
        postgres.sql(statement, database)
    told = shop.connect("doctor", "--json")
    assert [one["ok"] for one in told.json["checks"]] == [True] * len(told.json["checks"])
    assert shop.connect("subscriptions", "unsubscribe", "id-1").code == 0
    assert shop.connect("subscriptions", "unsubscribe", "ANNA2@mail.example", "--topic", "sales").code == 0
    shop.write("leavers.csv", "address,status,at\nanna3@mail.example,bounced,2026-01-01\n+61410000004,,2026-01-01\n")
    for _ in range(2):
        assert shop.connect("subscriptions", "import", "leavers.csv", "--yes").code == 0
    assert sql("select count(*) from marketing.connect_opt_outs") == [(4,)]

    counts = shop.run("hello", "--json").counts
    assert counts == {
        ("email", "sent", ""): 7,
        ("email", "skipped", "unsubscribed"): 1,
        ("email", "skipped", "bounced"): 1,
    }
    told = shop.connect("subscriptions", "show", "anna2@mail.example", "--json").json
    assert {(one["channel"], one["topic"]): one["reason"] for one in told["verdicts"]} == {
        ("email", None): None,
        ("email", "sales"): "unsubscribed",
    }
    assert shop.connect("subscriptions", "resubscribe", "anna3@mail.example", "--bounced").code == 0
    assert shop.run("hello", "--again", "--json").counts["email", "sent", ""] == 8


def test_init_by_a_user_who_may(shop: Any, server: tuple[PostgresServer, str, str], sql: Sql) -> None:
    postgres, database, user = server
    shop.write("connect.yml", PROJECT.format(host=postgres.folder, database=database, user=user))
    postgres.sql("create schema marketing", database)
    postgres.sql(f"grant connect on database {database} to {user}", database)
    refused = shop.connect("subscriptions", "init", "--yes")
    assert (refused.code, refused.error.code) == (2, "warehouse-privilege")
    postgres.sql(f"grant usage, create on schema marketing to {user}", database)
    for _ in range(2):
        assert shop.connect("subscriptions", "init", "--yes").code == 0
    assert shop.connect("subscriptions", "unsubscribe", "id-1").code == 0
    assert sql("select id, status from marketing.connect_opt_outs") == [("id-1", "unsubscribed")]
