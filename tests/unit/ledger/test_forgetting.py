"""Nothing of a run's keys and secrets is on the disk once it has ended, and the ledger does not grow with sends."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from connect.ledger.commits import Commits
from connect.ledger.owner import Owner
from connect.ledger.records import Intent, Slice
from connect.ledger.store import Ledger
from connect.vocabulary import Channel, Outcome, RunState

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])
"""PostgreSQL keeps deleted rows in its own files and logs for a time, which are not ours to search."""

SENT = (Channel.email, "", Outcome.sent, "")
SALT, SECRET = random.Random(1).randbytes(48), random.Random(2).randbytes(64)


@pytest.fixture
def slice(ledger, a_run) -> Slice:
    run = ledger.create_run(a_run(salt=SALT, secret=SECRET))
    return ledger.claim_slice(run.id, owner=Owner.here(), lease=timedelta(minutes=1))


def keys_of(number: int, count: int) -> list[bytes]:
    source = random.Random(number)
    return [source.randbytes(16) for _ in range(count)]


def intents_of(keys: list[bytes]) -> list[Intent]:
    return [Intent(key, number, Channel.email, "smtp", number // 50) for number, key in enumerate(keys)]


def on_disk(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def found_in(folder: Path, planted: list[bytes]) -> list[tuple[str, bytes]]:
    """Whole values and their halves: a page that was moved may hold a part."""
    parts = {part for value in planted for part in (value[: len(value) // 2], value[len(value) // 2 :])}
    return [(name, part) for name, data in on_disk(folder).items() for part in parts if part in data]


async def sweep(ledger: Ledger, slice: Slice, batches: int, leave: int = 0) -> list[bytes]:
    """Release and pass batches of deliveries; the last `leave` batches stay in the air. Returns every key."""
    commits, everything = Commits(ledger, slice, linger=0), []
    for number in range(batches):
        keys = keys_of(number, 500)
        everything += keys
        await commits.intend(intents_of(keys))
        await commits.settle([(key, Outcome.sent, "") for key in keys[::2]])
        if number < batches - leave:
            await commits.advance(f"{number:032x}", {SENT: len(keys)}, keys)
    await commits.close()
    return everything


@pytest.mark.parametrize("state", [RunState.completed, RunState.cancelled])
async def test_no_byte_of_an_ended_run_is_left(ledger, slice, tmp_path, state):
    folder = tmp_path / ".connect"
    keys = await sweep(ledger, slice, batches=6, leave=3)
    planted = [SALT, SECRET, *keys[-500:]]
    assert len({part for _, part in found_in(folder, planted)}) == 2 * len(planted), "the search must be able to find"
    ledger.finish(slice.run_id, state, slice=slice)
    assert set(on_disk(folder)) >= {"state.db", "state.db-wal"}
    assert found_in(folder, [SALT, SECRET, *keys]) == []
    assert (ledger.run(slice.run_id).salt, ledger.run(slice.run_id).secret) == (None, None)


async def test_no_byte_is_left_while_another_run_goes_on(ledger, slice, tmp_path, a_run):
    other = ledger.create_run(a_run(campaign="welcome"))
    theirs = Commits(ledger, ledger.claim_slice(other.id, owner=Owner.here(), lease=timedelta(minutes=1)))
    keys = await sweep(ledger, slice, batches=4, leave=2)
    await theirs.intend(intents_of(keys_of(1000, 300)))
    ledger.finish(slice.run_id, RunState.completed)
    assert found_in(tmp_path / ".connect", [SALT, SECRET, *keys]) == []
    await theirs.advance("1", {SENT: 300}, keys_of(1000, 300))
    await theirs.close()


async def test_a_ledger_that_was_killed_before_it_forgot_forgets_when_it_is_closed(
    ledger, slice, tmp_path, monkeypatch
):
    keys = await sweep(ledger, slice, batches=2)
    monkeypatch.setattr(type(ledger._place), "forget", lambda *_: None)
    ledger.finish(slice.run_id, RunState.completed)
    ledger.close()
    assert found_in(tmp_path / ".connect", [SALT, SECRET, *keys]) == []


async def test_the_ledger_does_not_grow_with_what_has_passed(ledger, slice, tmp_path):
    def size() -> int:
        return sum(len(data) for name, data in on_disk(tmp_path / ".connect").items() if name != "state.db-shm")

    await sweep(ledger, slice, batches=20)
    early = size()
    slice = ledger.renew(slice, timedelta(minutes=1))
    commits = Commits(ledger, slice, linger=0)
    for number in range(100):
        keys = keys_of(number, 500)
        await commits.intend(intents_of(keys))
        await commits.advance(f"f{number:031x}", {SENT: 500}, keys)
    await commits.close()
    checkpointed = 5_000_000  # SQLite starts the write-ahead log again every 1,000 pages
    assert early < checkpointed + 500_000
    assert size() < checkpointed + 500_000
    ledger.finish(slice.run_id, RunState.completed)
    assert size() < 500_000
