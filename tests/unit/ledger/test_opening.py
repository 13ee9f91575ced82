"""A ledger is made when it does not exist, migrated when it is behind, and refused when it is somebody else's."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from connect.clock import SystemClock
from connect.errors import ConnectError, OutsideError, UserError
from connect.ledger import schema
from connect.ledger.owner import Owner
from connect.ledger.sqlite import SQLiteFile
from connect.ledger.store import Ledger
from connect.ledger.tables import METADATA, instant
from connect.vocabulary import Mode, Outcome, RunState


def open_at(path: Path | str, project: str = "acme", target: str = "dev") -> Ledger:
    url = path if isinstance(path, str) else f"sqlite:///{path}"
    return Ledger.open(url, project=project, target=target, clock=SystemClock())


def code(error: pytest.ExceptionInfo[ConnectError]) -> str:
    return error.value.problems[0].code


def test_it_is_made_with_its_folder_and_only_for_its_owner(tmp_path):
    path = tmp_path / "new" / ".connect" / "state.db"
    ledger = open_at(path)
    assert ledger.runs() == []
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name
    ledger.close()


def test_what_was_written_is_there_when_it_is_opened_again(url, ledger, a_run):
    run = ledger.create_run(a_run())
    ledger.close()
    again = open_at(url)
    assert again.run(run.id) == run
    again.close()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_commit_survives_the_power_going_and_deleted_bytes_are_overwritten(ledger):
    with ledger.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "temp_store")
        }
    full, on, memory = 2, 1, 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "secure_delete": on,
        "foreign_keys": on,
        "temp_store": memory,
    }


def test_a_ledger_remembers_its_target(url, ledger):
    with pytest.raises(UserError, match="belongs to target 'dev', not to 'prod'") as error:
        open_at(url, target="prod")
    assert code(error) == "ledger-other-target"


def test_a_ledger_remembers_its_project(url, ledger):
    with pytest.raises(UserError, match="belongs to project 'acme', not to 'other'") as error:
        open_at(url, project="other")
    assert code(error) == "ledger-other-target"


def test_a_ledger_of_a_newer_program_is_refused_untouched(url, ledger):
    with ledger.write() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(UserError, match="has schema 9999") as error:
        open_at(url)
    assert code(error) == "ledger-newer"
    assert "upgrade Connect" in str(error.value)


def test_another_sqlite_database_is_not_taken_for_a_ledger(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE runs (id INTEGER)")
    shop.close()
    with pytest.raises(UserError) as error:
        open_at(path)
    assert code(error) == "ledger-not-a-ledger"


def test_another_file_is_not_taken_for_a_ledger(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some notes of mine, and longer than the header of a database would be. " * 20)
    before = path.read_bytes()
    with pytest.raises(UserError) as error:
        open_at(path)
    assert code(error) == "ledger-not-a-ledger"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite://", "ledger-url"),
        ("sqlite:///:memory:", "ledger-url"),
        ("state.db", "ledger-url"),
        ("mysql://host/connect", "ledger-url"),
        ("postgresql+psycopg2://host/connect", "ledger-url"),
    ],
)
def test_urls_that_can_not_be_a_ledger(url, expected):
    with pytest.raises(UserError) as error:
        open_at(url)
    assert code(error) == expected


def test_a_place_that_can_not_be_a_file_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "state.db", tmp_path):
        with pytest.raises(OutsideError, match="must be writable") as error:
            open_at(path)
        assert code(error) == "ledger-unavailable"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_locked_ledger_says_what_to_do(url, ledger, tmp_path, impatient):
    ledger.close()
    browser = sqlite3.connect(tmp_path / ".connect" / "state.db", isolation_level=None)
    browser.execute("PRAGMA locking_mode = EXCLUSIVE")
    browser.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutsideError, match="locked by another process") as error:
        open_at(url)
    assert code(error) == "ledger-unavailable"
    browser.close()
    open_at(url).close()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_full_disk_says_what_to_do_and_loses_nothing(ledger, a_run):
    run = ledger.create_run(a_run())
    event.listen(ledger._engine, "checkout", lambda driver, *_: driver.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(OutsideError, match="the disk is full") as error:
        ledger.set_state(run.id, RunState.paused, "x" * 200_000)
    assert code(error) == "ledger-unavailable"
    assert ledger.run(run.id) == run


def open_at_once(paths: list[Path]) -> list[Ledger]:
    """Each in a thread of its own, all at one instant."""
    ready, ledgers, errors = threading.Barrier(len(paths)), [], []

    def open_it(path: Path) -> None:
        ready.wait()
        try:
            ledgers.append(open_at(path))
        except Exception as error:  # noqa: BLE001 — told below, by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=open_it, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return ledgers


@pytest.mark.parametrize(
    "names", [["one"] * 6, [f"ledger-{number}" for number in range(8)]], ids=["one", "each its own"]
)
def test_of_many_that_open_ledgers_at_once_each_gets_one_that_works(tmp_path, names):
    ledgers = open_at_once([tmp_path / f"{name}.db" for name in names])
    assert [ledger.runs() for ledger in ledgers] == [[]] * len(names)
    assert {ledger.check().partition(" holds")[0] for ledger in ledgers} == {
        f"the ledger {tmp_path / name}.db" for name in names
    }
    for ledger in ledgers:
        ledger.close()


def test_none_of_those_that_make_a_file_at_one_instant_is_told_that_it_is_locked(tmp_path):
    for number in range(60):
        place, ready, modes = SQLiteFile.of(make_url(f"sqlite:///{tmp_path}/{number}.db")), threading.Barrier(6), []

        def connect(place=place, ready=ready, modes=modes):
            engine = place.engine()
            ready.wait()
            with engine.connect() as connection:
                modes.append(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
            engine.dispose()

        threads = [threading.Thread(target=connect) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert modes == ["wal"] * 6


def test_opening_an_up_to_date_ledger_does_not_import_alembic(url, ledger):
    script = (
        "import sys; from connect.clock import SystemClock; from connect.ledger.store import Ledger\n"
        f"Ledger.open({url!r}, project='acme', target='dev', clock=SystemClock()).close()\n"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_migrations_make_exactly_the_tables(ledger):
    with ledger.read() as connection:
        opts = {"version_table": schema.VERSION_TABLE, "include_name": lambda name, *_: name != "clock"}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, METADATA) == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_migrations_make_tables_without_rowid(ledger):
    with ledger.read() as connection:
        found = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE wr").scalars().all()
    assert set(found) == {"calls", "events", "seen", "tallies"}


def test_the_newest_migration_is_the_schema_that_the_program_knows():
    versions = Path(schema.__file__).with_name("migrations") / "versions"
    assert max(file.name[1:5] for file in versions.glob("v*.py")) == schema.SCHEMA


def test_the_tables_are_not_only_for_sqlite():
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_doctor_hears_what_is_in_it(ledger, a_run):
    assert "holds no runs of target dev" in ledger.check()
    ledger.finish(ledger.create_run(a_run()).id, RunState.completed)
    ledger.create_run(a_run())
    assert "holds 2 runs (1 running, 1 completed) of target dev" in ledger.check()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_doctor_hears_of_damage(url, ledger, a_run, tmp_path):
    for _ in range(20):
        ledger.finish(ledger.create_run(a_run(campaign_json="x" * 5000)).id, RunState.completed)
    ledger.close()
    path = tmp_path / ".connect" / "state.db"
    data = bytearray(path.read_bytes())
    data[-4096 * 3 :] = b"\x99" * (4096 * 3)
    path.write_bytes(data)
    damaged = open_at(url)
    with pytest.raises(OutsideError, match="is damaged") as error:
        damaged.check()
    assert code(error) == "ledger-unavailable"
    damaged.close()


def make_as_of(revision: str, url: str) -> None:
    """A ledger as an older version of the program left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    engine = create_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        config.attributes |= {"connection": connection, "schema": inspect(connection).default_schema_name}
        command.upgrade(config, revision)
        connection.exec_driver_sql("INSERT INTO meta VALUES ('project', 'acme'), ('target', 'dev')")
    engine.dispose()


def test_what_was_near_the_air_before_an_upgrade_is_known_after_it(url, rig):
    if rig.engine == "sqlite":
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    make_as_of("0002", url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs (id, target, mode, campaign, fire_time, manual, state, reason, digest, campaign_json,"
            " started_at, recoveries) VALUES ('r', 'dev', 'live', 'c', 0, true, 'stopped', '', '', '{}', 0, 0)"
        )
        connection.exec_driver_sql(
            "INSERT INTO slices (id, run_id, low, owner, epoch, lease_until) VALUES (7, 'r', '', '', 1, 0)"
        )
        for number in range(250):
            channel, outcome = ("email", "sms")[number % 2], ("failed", "sent", None)[number % 3]
            connection.execute(
                text("INSERT INTO intents VALUES (7, :key, :number, :channel, 'a', :call, 1, 5, :outcome, :reason)"),
                {
                    "key": number.to_bytes(16, "big"),
                    "number": number,
                    "channel": channel,
                    "call": number // 10,
                    "outcome": outcome,
                    "reason": "mailbox_full" if outcome == "failed" else "",
                },
            )
    engine.dispose()
    ledger = open_at(url)
    found = ledger.intents(7)
    assert [(each.key, each.sequence, each.call) for each in found] == [
        (number.to_bytes(16, "big"), number, number // 10) for number in range(250)
    ]
    assert [each.channel.value for each in found[:2]] == ["email", "sms"]
    assert [(each.outcome, each.reason) for each in found[:3]] == [
        (Outcome.failed, "mailbox_full"),
        (Outcome.sent, ""),
        (None, ""),
    ]
    assert {(each.account, each.call_size, each.released_at) for each in found} == {("a", 0, instant(5))}
    ledger.close()


@pytest.mark.parametrize("state", ["running", "paused", "completed"])
def test_a_run_that_was_going_on_before_an_upgrade_goes_on_after_it(url, rig, state):
    if rig.engine == "sqlite":
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    make_as_of("0003", url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs (id, target, mode, campaign, fire_time, manual, state, reason, digest, campaign_json,"
            f" started_at, recoveries) VALUES ('r', 'dev', 'live', 'c', 0, true, '{state}', '', '', '{{}}', 0, 2)"
        )
        connection.exec_driver_sql(
            "INSERT INTO slices (id, run_id, low, cursor, owner, epoch, lease_until)"
            " VALUES (7, 'r', '', '4a', 'elsewhere 1 1', 3, 0)"
        )
    engine.dispose()
    ledger = open_at(url)
    (slice,) = ledger.slices("r")
    assert (slice.cursor, slice.epoch, slice.wave, slice.opens_at, slice.closes_at) == ("4a", 3, "", None, None)
    assert slice.ended is (state == "completed")
    assert [run.id for run in ledger.work(Mode.live)] == (["r"] if state == "running" else [])
    if state != "completed":
        claimed = ledger.claim_slice("r", owner=Owner.here(), lease=timedelta(minutes=1))
        assert (claimed.cursor, claimed.epoch, ledger.run("r").recoveries) == ("4a", 4, 3)
        assert ledger.end_slice(claimed) is True
    assert ledger.run("r").state is RunState.completed
    ledger.close()


GIVEN_OUT = {
    "v0001_first": "b032b528970f",
    "v0002_last_write": "9b429630711f",
    "v0003_bundles": "1765f81e4211",
    "v0004_schedules": "e7d2e286536b",
    "v0005_caps": "4d8b2f1ef34e",
    "v0006_listening": "c5b8c09cbd20",
    "v0007_seen": "b74d8a20d87b",
    "v0008_dropped": "a0968336bc10",
    "v0009_spells": "97bfe9107f4d",
}
"""Migration → the beginning of its file's SHA-256. What comes later is added to these in a release."""


def test_a_migration_that_was_given_out_is_never_changed() -> None:
    """Somebody has a ledger that it made: what is to be otherwise is the next migration's."""
    folder = Path(schema.__file__).with_name("migrations") / "versions"
    assert {name: sha256((folder / f"{name}.py").read_bytes()).hexdigest()[:12] for name in GIVEN_OUT} == GIVEN_OUT
