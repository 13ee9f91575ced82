"""A list that somebody exported, and opt-outs that are somewhere else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random

import duckdb
import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.errors import OutsideError, UserError
from connect.identity import system_random
from connect.liquid.library import Library
from connect.pipeline.beginning import begin
from connect.pipeline.job import Tools
from connect.pipeline.plan import plan_run
from connect.pipeline.run import execute
from connect.project.campaigns import load_campaign
from connect.project.load import templates
from connect.providers import memory
from connect.vocabulary import RunState
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.duckdb_brought import Shelf
from connect.warehouses.files import Files

PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
mode: live
sources:
  shop: {url: "duckdb:///shop.duckdb"}
  crm: {url: "duckdb:///crm.duckdb"}
providers: {mail: {type: memory}}
channels: {email: mail}
subscriptions: {source: crm, sql: "select id, address, status, topic from listed"}
unsubscribe: {url: "https://acme.example/off?t={{ url.token }}"}
"""
MESSAGE = {
    "topic": "news",
    "content": [{"channel": "email", "from": "a@acme.example", "subject": "News", "text": "Dear {{ user.name }}"}],
}
LISTED = [
    ("00002", None, "unsubscribed", None),
    (None, " Carl@mail.example", "bounced", "offers"),
    ("4", None, "subscribed", None),
    ("5", None, "unsubscribed", "offers"),
    ("00006", None, None, "news"),
]


class House:
    """A project in this process."""

    def __init__(self, root) -> None:
        self.root = root
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(PROJECT)
        names = [(1, "ann"), (2, "bob"), (3, "carl"), (4, "dan"), (5, "eve"), (6, "fay")]
        self.people = [{"id": f"0000{n}", "email": f"{name}@mail.example", "name": name} for n, name in names]
        self.sql("crm", "create table listed (id varchar, address varchar, status varchar, topic varchar)")
        for row in LISTED:
            self.sql("crm", f"insert into listed values {tuple(row)}".replace("None", "null"))

    def sql(self, source: str, statement: str) -> None:
        with duckdb.connect(str(self.root / f"{source}.duckdb")) as connection:
            connection.execute(statement)

    def audience(self, **audience: object) -> None:
        campaign = {"status": "live", "trigger": {"type": "immediate"}, "message": MESSAGE}
        whole = {**campaign, "audience": {"limits": {"max": 1000}, **audience}}
        (self.root / "campaigns" / "news.yml").write_text(json.dumps(whole))

    def csv(self) -> None:
        lines = [",".join(person.values()) for person in self.people]
        (self.root / "people.csv").write_text("\n".join(["id,email,name", *lines]) + "\n")
        self.audience(csv="people.csv")

    async def run(self) -> RunState:
        memory.reset()
        project = wiring.open_project(self.root, None, None, {"CONNECT_SECRET": "a secret that is long enough"})
        loaded = load_campaign(project, "news")
        assert not loaded.problems, loaded.problems
        texts, clock = templates(project.root), SystemClock()
        warehouse, ledger = wiring.open_audience(project, loaded.campaign.audience), wiring.open_ledger(project, clock)
        accounts = wiring.open_accounts(project, ["mail"])
        try:
            plan = plan_run(
                project, loaded, Library(texts), texts, warehouse, ledger, clock, reaches_people=True, again=True
            )
            job = begin(plan, ledger, clock, system_random, accounts)
            return await execute(job, Tools(ledger, clock, Random(3), asyncio.Event()))
        finally:
            warehouse.close()
            ledger.close()

    def reached(self) -> Counter[str]:
        return Counter(outgoing.message.to[0].address.partition("@")[0] for outgoing in memory.sent("mail"))


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


EXPECTED = Counter(["ann", "dan", "eve"])
"""Bob and Fay are off the list, and Carl's address bounced."""


async def test_the_opt_outs_of_another_source_hold_for_a_csv_file(house):
    house.csv()
    assert await house.run() is RunState.completed
    assert house.reached() == EXPECTED


async def test_and_for_parquet(house):
    (house.root / "people.json").write_text(json.dumps(house.people))
    columns, to = "{id: 'varchar', email: 'varchar', name: 'varchar'}", house.root / "people.parquet"
    duckdb.sql(f"copy (from read_json('{house.root}/people.json', columns={columns})) to '{to}'")
    house.audience(parquet="people.parquet")
    assert await house.run() is RunState.completed
    assert house.reached() == EXPECTED


async def test_and_for_people_who_are_written_out(house):
    house.audience(people=house.people)
    assert await house.run() is RunState.completed
    assert house.reached() == EXPECTED


async def test_and_for_a_query_in_duckdb(house):
    house.sql("shop", "create table people (id varchar, email varchar, name varchar)")
    for person in house.people:
        house.sql("shop", f"insert into people values {tuple(person.values())}")
    house.audience(source="shop", sql="select * from people")
    assert await house.run() is RunState.completed
    assert house.reached() == EXPECTED


async def test_opt_outs_that_can_not_be_read_are_nobodys_leave_to_write(house):
    house.csv()
    house.sql("crm", "drop table listed")
    with pytest.raises(UserError):
        await house.run()
    (house.root / "crm.duckdb").unlink()
    with pytest.raises(OutsideError, match="warehouse-missing"):
        await house.run()
    assert not house.reached()


async def test_they_may_also_go_away_while_a_run_is_beginning(house, monkeypatch):
    house.csv()
    real = Files.read

    def read(self, query, timeout, rows):
        assert query.brought
        (house.root / "crm.duckdb").unlink()
        return real(self, query, timeout, rows)

    monkeypatch.setattr(Files, "read", read)
    with pytest.raises(OutsideError, match="warehouse-missing"):
        await house.run()
    assert not house.reached()


async def test_more_of_them_than_there_is_room_for_stop_the_run(house, monkeypatch):
    house.csv()
    monkeypatch.setattr(Shelf, "__init__", _small(Shelf.__init__))
    with pytest.raises(OutsideError, match="optouts-too-many"):
        await house.run()
    assert not house.reached()


def _small(made):
    return lambda self: made(self, most=50)


async def test_they_are_asked_once_for_many_reads(house, monkeypatch):
    house.csv()
    asked = []
    real = DuckDB.read

    def read(self, query, timeout, rows):
        asked.append(query.brought)
        return real(self, query, timeout, rows)

    monkeypatch.setattr(DuckDB, "read", read)
    lines = [f"9{n},p{n}@mail.example,{str(n).zfill(8) * 2_500}" for n in range(4_000)]
    with (house.root / "people.csv").open("a") as file:
        file.write("\n".join(lines))
    house.audience(csv="people.csv", limits={"max": 100_000})
    assert await house.run() is RunState.completed
    assert sum(house.reached().values()) == 4_003
    assert sum(1 for brought in asked if brought) > 1
    assert sum(1 for brought in asked if not brought) == 1


@pytest.mark.parametrize("content", ["Ann,Annson\nBob,Bobson\n", "name,plan\nAnn,pro\n"])
async def test_a_file_without_a_header_shows_nobody(house, content):
    (house.root / "people.csv").write_text(content)
    house.audience(csv="people.csv")
    with pytest.raises(UserError) as raised:
        await house.run()
    (problem,) = raised.value.problems
    assert (problem.code, problem.location.file) == ("missing-column", "campaigns/news.yml")
    assert "Ann" not in str(raised.value)
