"""`audience.snapshot`: a run reads a copy of its audience, which is there as long as the run lasts, and no longer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import memory
from connect.testing import warehouse_rigs
from connect.testing.postgres import NoServer
from connect.warehouses.interface import Query
from connect.warehouses.postgresql import PostgreSQL
from tests import processes

T = timedelta(seconds=30)
PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  shop: {{url: "{url}"{more}}}
providers:
  mail: {{type: memory}}
  texts: {{type: memory}}
channels: {{email: mail, sms: texts}}
subscriptions:
  sql: select id, status from opt_outs
unsubscribe: {{url: "https://shop.example/leave"}}
"""
HELLO = """
status: live
trigger: {{type: immediate}}
audience:
  sql: select id, email, first_name from people where id <> 'nobody'
  limits: {{max: 1000}}
  snapshot: true
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Hello {{{{ user.first_name }}}}"
      text: Good day
{more}
"""
_COPIES = "select table_schema, table_name from information_schema.tables where table_name like 'connect_audience_%'"
_KILLED = """
import os, signal, sys
from connect.cli.main import main
from connect.pipeline.snapshot import Snapshot
when, name = sys.argv.pop(1).split(" ")
real = getattr(Snapshot, name)


def killed(*arguments, **named):
    if when == "behind":
        real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(Snapshot, name, killed)
main()
"""


class Engine:
    """A warehouse with people in it, and a project over it."""

    def __init__(self, shop: Any, rig: Any, url: str) -> None:
        self.shop, self.rig, self.url = shop, rig, url
        self.change(
            "create table people (id varchar(20), email varchar(99), first_name varchar(20))",
            "create table opt_outs (id varchar(20), status varchar(20))",
        )
        cells = (f"('id-{n:05}', 'anna{n:05}@mail.example', 'Anna{n:05}')" for n in range(40))
        self.change(f"insert into people values {', '.join(cells)}")
        shop.cells |= {f"anna{n:05}" for n in range(40)}
        self.project()
        shop.write("campaigns/hello.yml", HELLO.format(more=""))

    def project(self, url: str = "", more: str = "") -> None:
        self.shop.write("connect.yml", PROJECT.format(url=url or self.url, more=more))

    def change(self, *statements: str) -> None:
        """Something that somebody does in the warehouse, also while a run reads it."""
        self.rig.warehouse.write([Query(statement, {}) for statement in statements], T)

    @property
    def copies(self) -> list[tuple[object, object]]:
        """(schema, table) of every copy of an audience that is there."""
        return [tuple(row.values()) for row in self.rig.warehouse.rows(Query(_COPIES, {}), T)]

    def everybody(self) -> list[str]:
        return [f"anna{n:05}@mail.example" for n in range(40)]

    def killed(self, when: str, *command: str) -> None:
        """A command that is killed before, or behind, what a snapshot does."""
        program = self.shop.root / "killed.py"
        program.write_text(_KILLED)
        command = command or ("run", "hello", "--yes")
        done = processes.run(str(program), when, *command, folder=self.shop.root, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr

    def copied_run(self) -> str:
        """The run whose copy is there."""
        ((_, table),) = self.copies
        return str(table).rpartition("_")[2]

    def run_id(self) -> str:
        runs: list[dict[str, str]] = self.shop.connect("runs", "list", "--json").json
        return runs[0]["id"]


def engine_of(name: str, shop: Any, folder: Path, stack: ExitStack) -> Engine:
    try:
        rig: Any = stack.enter_context(warehouse_rigs.warehouse_rig(name, folder))
    except NoServer as why:
        pytest.skip(str(why))
    return Engine(shop, rig, rig.url if name == "postgresql" else f"duckdb:///{folder}/contract.duckdb")


@pytest.fixture(params=["duckdb", "postgresql"])
def engine(request: pytest.FixtureRequest, shop: Any, tmp_path: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        yield engine_of(request.param, shop, tmp_path, stack)


@pytest.fixture
def file(shop: Any, tmp_path: Path) -> Iterator[Engine]:
    """DuckDB, where who reads keeps out who writes."""
    with ExitStack() as stack:
        yield engine_of("duckdb", shop, tmp_path, stack)


@pytest.fixture
def server(shop: Any, tmp_path: Path) -> Iterator[Engine]:
    """PostgreSQL, which has users, and readers who are in nobody's way."""
    with ExitStack() as stack:
        yield engine_of("postgresql", shop, tmp_path, stack)


def once(do: Callable[[], None]) -> None:
    """Do this when the first message is in the air."""
    done: list[bool] = []

    async def first(outgoing: object, attempt: int) -> None:
        if not done:
            done.append(True)
            await asyncio.to_thread(do)

    memory.script("mail", first)


def connect_beside(shop: Any, *arguments: str) -> None:
    """Another process, while a run works."""
    processes.run(processes.COMMAND, *arguments, folder=shop.root).check_returncode()


def test_people_who_change_meanwhile_are_as_they_were(engine: Engine, shop: Any) -> None:
    """A run in two parts: the second one reads what the first one read. Opt-outs are not copied."""
    engine.change("create schema drafts")
    engine.project(more=", scratch: drafts")
    shop.write("campaigns/hello.yml", HELLO.format(more="policy: {batches: {count: 2, every: 1s}}"))
    seen: list[object] = []

    def everything_changes() -> None:
        seen.extend(engine.copies)
        engine.change(
            "delete from people where id < 'id-00020'",
            "update people set email = 'other@mail.example'",
            "insert into people values ('id-00099', 'new@mail.example', 'New')",
            "insert into opt_outs select id, 'unsubscribed' from people",
            "alter table people add column later varchar(9)",
        )

    once(everything_changes)
    ended = shop.run("hello", "--json")
    assert ended.code == 0, ended.err
    assert seen == [("drafts", f"connect_audience_{engine.run_id()}")]
    counts = ended.counts
    assert set(counts) == {("email", "sent", ""), ("email", "skipped", "unsubscribed")}
    assert counts.total() == 40
    assert set(shop.addresses()) <= set(engine.everybody())
    assert counts[("email", "skipped", "unsubscribed")] > 0
    assert engine.copies == []


def test_what_is_going_to_happen_is_said(file: Engine, shop: Any) -> None:
    said = " ".join(shop.run().err.split())
    assert "the audience is copied to connect_audience_<run> of `shop`, and dropped when the run ends" in said
    assert f"copying the audience to connect_audience_{file.run_id()}" in said
    assert shop.addresses() == file.everybody()


def test_killed_before_the_copy_it_makes_one(file: Engine, shop: Any) -> None:
    file.killed("before make")
    assert file.copies == []
    assert shop.run("hello", "--json").counts == {("email", "sent", ""): 40}
    assert file.copies == []


def test_killed_behind_the_copy_it_reads_it(engine: Engine, shop: Any) -> None:
    engine.killed("behind make")
    assert len(engine.copies) == 1
    engine.change("drop table people")  # which nobody needs any more
    ended = shop.run("hello", "--json")
    assert ended.counts == {("email", "sent", ""): 40}
    assert shop.addresses() == engine.everybody()
    assert engine.copies == []


def test_a_run_that_is_cancelled_drops_its_copy(file: Engine, shop: Any) -> None:
    file.killed("behind make")
    assert len(file.copies) == 1
    assert shop.connect("runs", "cancel", file.run_id()).code == 0
    assert file.copies == []


def test_a_run_that_is_cancelled_while_it_works(server: Engine, shop: Any) -> None:
    once(lambda: connect_beside(shop, "runs", "cancel", server.copied_run()))
    shop.run()
    assert [state for _, _, state in shop.ledger] == ["cancelled"]
    assert server.copies == []


def test_a_run_that_fails_drops_its_copy(file: Engine, shop: Any) -> None:
    async def fails(outgoing: object, attempt: int) -> None:
        raise RunTrouble(Disposition.fail, Problem("no-more", "the account is closed for good"))

    memory.script("mail", fails)
    assert shop.run().code == 3
    assert [state for _, _, state in shop.ledger] == ["failed"]
    assert file.copies == []


def test_a_run_that_is_paused_keeps_it(engine: Engine, shop: Any) -> None:
    shop.write("campaigns/hello.yml", HELLO.format(more="policy: {batches: {count: 2, every: 1s}}"))
    once(lambda: connect_beside(shop, "runs", "pause", engine.copied_run()))
    ended = shop.run()
    assert shop.ledger == [("live", "hello", "paused")], ended.err
    assert len(engine.copies) == 1
    engine.change("delete from people")
    assert shop.run().code == 0
    assert shop.addresses() == engine.everybody()
    assert engine.copies == []


def test_prune_drops_what_ended_runs_have_left(server: Engine, shop: Any) -> None:
    server.killed("before drop")  # it has ended, and nobody has cleared up
    shop.write("campaigns/later.yml", HELLO.format(more=""))
    server.killed("behind make", "run", "later", "--yes")
    before = server.copies
    assert len(before) == 2
    assert shop.connect("runs", "prune").code == 0
    assert server.copies == [("public", f"connect_audience_{server.run_id()}")]
    assert server.copies[0] in before
    shop.run("later")
    assert shop.addresses() == server.everybody()


def test_a_copy_that_can_not_be_dropped_is_told(server: Engine, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgreSQL, "patience", timedelta(seconds=0.1))
    with ExitStack() as held:

        def read() -> None:
            ((_, table),) = server.copies
            batches = held.enter_context(server.rig.warehouse.read(Query(f"select * from {table}", {}), T, 1))
            next(batches)

        once(read)
        ended = shop.run()
        assert (ended.code, ended.error.code) == (3, "snapshot-left")
    assert [state for _, _, state in shop.ledger] == ["completed"]
    assert len(server.copies) == 1
    assert shop.connect("runs", "prune").code == 0
    assert server.copies == []


def test_who_may_not_write_is_told_what_to_grant(server: Engine, shop: Any) -> None:
    server.rig.reader()
    server.project(server.url.replace("postgres@", "a_reader@"))
    ended = shop.run()
    assert (ended.code, ended.error.code) == (2, "warehouse-privilege")
    assert "grant usage, create on schema public to the_user" in ended.error.hint
    assert shop.addresses() == []
    server.change("grant usage, create on schema public to a_reader")
    assert shop.run().code == 0
    assert shop.addresses() == server.everybody()


def test_doctor_says_what_to_grant_for_it(server: Engine, shop: Any) -> None:
    server.project(more=", scratch: drafts")
    said = " ".join(shop.connect("doctor", "--grants").out.split())
    assert "create on schema drafts" in said.replace('"', "")


def test_a_list_of_people_is_not_copied(shop: Any) -> None:
    text = (shop.root / "campaigns/hello.yml").read_text()
    people = "people: [{id: a, email: a@mail.example}]\n  snapshot: true"
    shop.write("campaigns/hello.yml", text.replace("sql: select * from people", people))
    ended = shop.connect("validate")
    assert ended.error.code == "bad-value"
    assert "snapshot" in ended.error.message
