"""`scripted.py`, killed by itself at a stage of the run: what it has written by then is what a crash leaves.

A stage is reached when what the ledger has committed says so; `finishing` is what is about to be committed.
"""

from __future__ import annotations

import os
import runpy
import signal
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from connect.channels.message import Outgoing
from connect.providers import memory

STAGE = os.environ["STAGE"]
REACHED = {
    "claimed": "select count(*) from slices where owner <> ''",
    "intents": "select count(*) from intents",
    "outcomes": "select count(*) from tallies where outcome = 'sent'",
    "finishing": "select count(*) from runs where salt is null",
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def reached(connection: Any) -> bool:
    """Whether this connection sees that the stage is there; nothing is there before the tables are."""
    cursor = connection.cursor()
    try:
        cursor.execute(REACHED[STAGE])
        return bool(cursor.fetchone()[0])
    except Exception:  # noqa: BLE001 - whatever the driver says of a table that is not there
        return False
    finally:
        cursor.close()


def commit(dialect: DefaultDialect, connection: Any) -> None:
    if STAGE == "finishing" and reached(connection):
        die()
    do_commit(dialect, connection)
    if STAGE in REACHED and reached(connection):
        die()
    connection.rollback()


async def in_the_air(outgoing: Outgoing, attempt: int) -> None:
    die()


do_commit = DefaultDialect.do_commit
DefaultDialect.do_commit = commit
if STAGE == "air":
    script = memory.script
    memory.script = lambda account, function: script(account, in_the_air)
runpy.run_path(str(Path(__file__).with_name("scripted.py")), run_name="__main__")
