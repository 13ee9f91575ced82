"""A run that is killed at each stage leaves nothing of anybody: in files, in a server's pages and write-ahead log.

Beside it, what the ledger keeps of an ended run: on SQLite nothing; on PostgreSQL its tables are empty, and what their
pages and the write-ahead log held before is the server's to reuse (docs/guarantees.md says so).
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.testing.canaries import Canaries
from connect.testing.postgres import NoServer, PostgresServer
from connect.testing.smtp import SmtpServer
from tests import processes
from tests.stories.no_contact_data_at_rest.house import House

STAGED = str(Path(__file__).with_name("staged.py"))
PAGE = 8192
FEW = ("sent", "retried", "throttled", "failed", "unknown", "skipped", "invalid", "newline", "nowhere", "duplicate")
"""Roles that make less than a hundred deliveries: of more in doubt, a person would be asked first."""


class Places:
    """What a server has written since it was looked at before: only that is searched, for a cluster is large."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._before = dict(self._read())

    def written(self) -> Iterator[tuple[str, bytes]]:
        """(file, what of it is new), with a page before and after it."""
        for name, now in self._read():
            before = self._before.get(name, b"")
            pages = range(0, len(now), PAGE)
            new = [at for at in pages if now[at : at + PAGE] != before[at : at + PAGE]]
            if new:
                yield name, now[max(0, new[0] - PAGE) : new[-1] + 2 * PAGE]

    def _read(self) -> Iterator[tuple[str, bytes]]:
        for folder in self._folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield str(path), path.read_bytes()


class Ledger:
    """Where the ledger of a house is, and what is there beside its project's folder."""

    def __init__(self, url: str, places: Places | None, asks: Any) -> None:
        self.url, self._places, self._asks = url, places, asks

    def found(self, canaries: Canaries) -> set[Any]:
        hits: set[Any] = set()
        for name, data in self._places.written() if self._places else ():
            hits |= canaries.search(name, data.replace(bytes(64), b"\0"))
        return hits

    def written(self) -> bytes:
        """All that was written beside the project's folder."""
        return b"".join(data for _, data in self._places.written()) if self._places else b""

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        answer: list[tuple[Any, ...]] = self._asks(question)
        return answer


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer | None]:
    """A server that keeps its log as people's servers do."""
    try:
        server = PostgresServer("fsync=on", "full_page_writes=on")
    except NoServer:
        yield None
        return
    with server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: Any, tmp_path: Path, cluster: PostgresServer | None) -> Iterator[Ledger]:
    if request.param == "sqlite":
        file = tmp_path / "project" / ".connect" / "state.db"

        def ask(question: str) -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                return connection.execute(question).fetchall()

        yield Ledger(f"sqlite:///{file}", None, ask)
        return
    if cluster is None:
        pytest.skip("there is no PostgreSQL for tests here")
    import psycopg

    def ask_server(question: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"host={cluster.folder} dbname={name} user=postgres") as connection:
            return connection.execute(question.encode()).fetchall()

    name = cluster.create()
    cluster.sql("CHECKPOINT")
    yield Ledger(cluster.url(name), Places(cluster.folder), ask_server)
    cluster.drop(name)


@pytest.fixture
def house(tmp_path: Path, ledger: Ledger) -> Iterator[House]:
    with SmtpServer() as server:
        house = House.with_smtp(tmp_path, server)
        project = house.project / "connect.yml"
        project.write_text(project.read_text() + f"state: {ledger.url}\n")
        house.people()
        house.campaign("letter", sql=f"select * from people where role in {FEW}", push=True, snapshot=True)
        yield house


def killed(house: House, stage: str) -> None:
    """A run that ends at this stage, with everything it said kept for the search."""
    told = {**house.environment, "STAGE": stage}
    done = processes.run(STAGED, "run", "letter", "--yes", "--debug", folder=house.project, environment=told)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    house.said += [(f"killed when {stage}: out", done.stdout), (f"killed when {stage}: err", done.stderr)]


NEAR_THE_AIR = {"claimed": False, "intents": True, "air": True, "outcomes": None, "finishing": False}
"""Whether deliveries are, at each stage; None where it depends on who was first."""


@pytest.mark.parametrize("stage", NEAR_THE_AIR)
def test_nothing_of_anybody_is_left(house: House, ledger: Ledger, stage: str) -> None:
    killed(house, stage)

    assert house.found() == set()
    assert ledger.found(house.canaries) == set()
    ((state, salt, secret),) = ledger.ask("select state, salt, secret from runs")
    assert (state, bool(salt), bool(secret)) == ("running", True, True)
    ((near,),) = ledger.ask("select count(*) from intents")
    assert NEAR_THE_AIR[stage] in (None, near > 0)
    assert copies(house) == (stage != "claimed")  # of the audience, in the user's own warehouse

    # It goes on, and when it has ended there is nothing that says who it was about, not even under a key.
    reasons = house.reasons("letter")
    assert reasons["sent"] + reasons["unknown in_doubt"] >= 11
    assert house.found() == set()
    assert ledger.found(house.canaries) == set()
    assert ledger.ask("select salt, secret from runs") == [(None, None)]
    assert ledger.ask("select count(*) from intents") == [(0,)]
    assert copies(house) == 0


def copies(house: House) -> int:
    with duckdb.connect(str(house.project / "shop.duckdb"), read_only=True) as warehouse:
        counted = "select count(*) from information_schema.tables where table_name like 'connect_audience_%'"
        return int(warehouse.execute(counted).fetchall()[0][0])


def test_of_the_last_killed_nothing_under_a_key_is_left_in_the_tables(house: House, ledger: Ledger) -> None:
    """SQLite overwrites, and cuts off its log. PostgreSQL gives back the pages, and keeps its log for a while."""
    killed(house, "air")
    keys = [bytes(packed)[:16] for (packed,) in ledger.ask("select keys from intents")]
    assert keys
    ((salt, secret),) = ledger.ask("select salt, secret from runs")
    house.reasons("letter")

    if ledger.url.startswith("sqlite"):
        kept = b"".join(path.read_bytes() for path in (house.project / ".connect").iterdir())
        assert [each for each in (bytes(salt), bytes(secret), *keys) if each in kept] == []
    else:
        assert ledger.ask("select pg_relation_size('intents')") == [(0,)]
        assert b"a secret for the canaries" not in ledger.written()  # with which what the log keeps could be opened


def test_the_search_sees_what_a_server_has_written(ledger: Ledger, cluster: PostgresServer | None) -> None:
    if cluster is None or ledger.url.startswith("sqlite"):
        pytest.skip("it is about the server")
    canaries = Canaries()
    canaries.add("email", "Kanarie-01zQ7@Vogelhaus.example")
    assert ledger.found(canaries) == set()
    name = ledger.url.partition("?")[0].rpartition("/")[2]
    cluster.sql("CREATE TABLE seed (cell text)", name)
    cluster.sql("INSERT INTO seed VALUES ('Kanarie-01zQ7@Vogelhaus.example')", name)
    cluster.sql("DELETE FROM seed", name)
    cluster.sql("CHECKPOINT", name)
    places = {hit.place.rpartition("/data/")[2].partition("/")[0] for hit in ledger.found(canaries)}
    assert places == {"base", "pg_wal"}  # a row that was deleted, and the log of it
