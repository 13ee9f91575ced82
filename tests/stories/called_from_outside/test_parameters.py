"""Parameters of a call in the audience's SQL, on two engines: bound by their type, never pasted, null where absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.providers import memory
from connect.testing.postgres import NoServer, shared_server
from connect.testing.serving import served
from tests.stories.called_from_outside.conftest import SECRET, Shop, write

TABLE = "create table people (id varchar(9), email varchar(99), plan varchar(9), visits integer)"
ROWS = "insert into people values ('1', 'one@x.example', 'free', 3), ('2', 'two@x.example', 'paid', 9)"
CAMPAIGN = """\
status: live
trigger:
  type: api
  parameters:
    type: object
    properties:
      plan: {type: [string, "null"]}
      least: {type: integer, default: 0}
      words: {type: object, additionalProperties: true}
audience:
  params: {most: 100}
  sql: |
    select id, email from people
    where (cast(:plan as varchar(99)) is null or plan = :plan) and visits between :least and :most
  limits: {max: 10}
message:
  transactional: true
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "{{ params.words.greeting | default: 'Hello' }}"
      text: "{{ params.plan }} {{ params.least }} {{ params.most }}"
"""
PROJECT = """\
name: parcels
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  shop: {{url: "{url}"}}
providers: {{outbox: {{type: memory}}}}
channels: {{email: outbox}}
"""


@pytest.fixture(params=["duckdb", "postgresql"])
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    monkeypatch.setenv("CONNECT_SECRET", SECRET)
    memory.reset()
    if request.param == "duckdb":
        with duckdb.connect(str(tmp_path / "people.duckdb")) as database:
            database.execute(TABLE)
            database.execute(ROWS)
        yield from _served(tmp_path, keys, "duckdb:///people.duckdb")
    else:
        yield from _in_postgresql(tmp_path, keys)


def _in_postgresql(root: Path, keys: dict[str, str]) -> Iterator[Shop]:
    try:
        server = shared_server()
    except NoServer as missing:
        pytest.skip(str(missing))
    name = server.create()
    server.sql(TABLE, name)
    server.sql(ROWS, name)
    yield from _served(root, keys, server.url(name))
    server.drop(name)


def _served(root: Path, keys: dict[str, str], url: str) -> Iterator[Shop]:
    write(root, keys, PROJECT.format(url=url))
    (root / "campaigns" / "by_plan.yml").write_text(CAMPAIGN)
    with served(root) as server:
        yield Shop(server, keys)


def test_they_are_bound(shop: Any) -> None:
    def reached(parameters: dict[str, Any]) -> list[tuple[str, str, str]]:
        memory.reset()
        assert shop.trigger("by_plan", {"parameters": parameters}).status == 202
        shop.take_up()
        found: list[tuple[str, str, str]] = shop.sent()
        return found

    one, two = "one@x.example", "two@x.example"
    assert reached({"plan": "paid"}) == [(two, "Hello", "paid 0 100")]
    assert reached({"least": 5, "words": {"greeting": "Ho"}}) == [(two, "Ho", "5 100")]
    assert [to for to, _, _ in reached({})] == [one, two]
    assert reached({"plan": "free' or '1' = '1"}) == []
