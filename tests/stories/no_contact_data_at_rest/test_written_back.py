"""What is written back stands in the user's warehouse, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from connect.testing.postgres import NoServer, shared_server
from connect.testing.smtp import SmtpServer
from tests.stories.no_contact_data_at_rest.house import House
from tests.stories.no_contact_data_at_rest.test_killed_at_each_stage import FEW, killed


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Of so few people that nobody asks whether too many are in doubt."""
    with SmtpServer() as server:
        house = House.with_smtp(tmp_path, server)
        house.people()
        house.campaign("letter", sql=f"select * from people where role in {FEW}")
        yield house


def written(house: House, more: str = "") -> None:
    project = house.project / "connect.yml"
    text = f"{project.read_text()}destination: {{include: [id, address]{more}}}\n"
    project.write_text(text)
    assert house.run("destination", "init", "--yes").returncode == 0


@pytest.mark.parametrize("stage", ["intents", "air", "outcomes"])
def test_killed(house: House, stage: str) -> None:
    written(house)
    killed(house, stage)
    assert house.found() == set()
    reasons = house.reasons("letter")
    assert house.found() == set()
    with duckdb.connect(str(house.project / "shop.duckdb")) as shop:
        assert shop.execute("select sum(deliveries) from connect_deliveries").fetchall() == [(reasons.total(),)]


def test_a_table_that_refuses_names_nobody(house: House) -> None:
    """What PostgreSQL says of a row that it refuses is the row."""
    try:
        server = shared_server()
    except NoServer as why:
        pytest.skip(str(why))
    with server.database() as url:
        project = house.project / "connect.yml"
        there = url.replace("+psycopg", "")
        project.write_text(project.read_text().replace("sources:\n", f'sources:\n  there: {{url: "{there}"}}\n'))
        project.write_text(project.read_text().replace('{sql: "select id', '{source: shop, sql: "select id'))
        file = house.project / "campaigns" / "letter.yml"
        file.write_text(file.read_text().replace("audience:\n", "audience:\n  source: shop\n"))
        written(house, ", source: there")
        database = url.partition("?")[0].rpartition("/")[2]
        server.sql("alter table connect_deliveries add constraint none_sent check (outcome <> 'sent')", database)
        paused = house.run("run", "letter", "--yes")
        assert paused.returncode == 3
        assert b"23514" in paused.stderr  # the server's code of it
        (run,) = json.loads(house.run("runs", "list", "--json").stdout)
        assert run["state"] == "paused"
        house.run("runs", "show", run["id"])
        house.run("doctor")
        assert house.found() == set()
        server.sql("alter table connect_deliveries drop constraint none_sent", database)
        reasons = house.reasons("letter")
        assert server.number("select sum(deliveries) from connect_deliveries", database) == reasons.total()
        assert house.found() == set()


def test_through_every_outcome(tmp_path):
    with SmtpServer() as server:
        house = House.with_smtp(tmp_path, server)
    house.people()
    house.campaign("letter")
    project = house.project / "connect.yml"
    project.write_text(f"{project.read_text()}destination: {{include: [id, address]}}\n")
    assert house.run("destination", "init", "--yes").returncode == 0
    reasons = house.reasons("letter")
    house.run("destination", "show")
    house.run("report", "letter")
    assert house.found() == set()
    with duckdb.connect(str(house.project / "shop.duckdb")) as shop:
        assert shop.execute("select sum(deliveries) from connect_deliveries").fetchall() == [(reasons.total(),)]
        rows = shop.execute("select id, address from connect_deliveries").fetchall()
    assert {"Kunde-01zQ7-Zaunkoenig", "Kanarie-sent-01zQ7@vogelhaus.example"} <= {cell for row in rows for cell in row}
