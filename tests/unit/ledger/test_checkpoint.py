"""A checkpoint moves what was committed to its place, and nobody waits for it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from connect.ledger.tables import RUNS


def runs_in(file: Path, folder: Path) -> int:
    """In the file by itself, without its write-ahead log."""
    alone = shutil.copy(file, folder / "alone.db")
    with closing(sqlite3.connect(alone)) as connection:
        return int(connection.execute("select count(*) from runs").fetchone()[0])


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_was_committed_is_moved_while_somebody_writes(ledger, rig, a_run, tmp_path):
    ledger.checkpoint()
    ledger.create_run(a_run())
    file = Path(rig.url.removeprefix("sqlite:///"))
    assert runs_in(file, tmp_path) == 0
    with ledger.write():
        moving = threading.Thread(target=ledger.checkpoint)
        moving.start()
        moving.join()
    assert runs_in(file, tmp_path) == 1


def test_nothing_is_lost_by_it(ledger, a_run):
    ledger.create_run(a_run())
    ledger.checkpoint()
    with ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(RUNS)).scalar_one() == 1
