"""What becomes of dead devices where nothing can take them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.errors import OutsideError
from connect.pipeline.books import Settlement
from connect.pipeline.devices import Dead, tokens_of
from connect.pipeline.subscriptions import writable
from connect.project.project import Project
from connect.vocabulary import Channel, Outcome
from connect.warehouses.interface import Warehouse

CONNECT = """
name: shop
{secret}
sources: {{shop: {{url: "duckdb:///shop.duckdb"}}}}
subscriptions: {{write: connect_opt_outs}}
"""
DEAD = Settlement(0, 0, Channel.push, b"k" * 16, Outcome.failed, "unregistered", "phones", "a-token-of-nobody")


def away(project: Project, source: str) -> Warehouse:
    raise OutsideError.of("warehouse-missing", "it is away", "")


def house(root: Path, secret: str) -> Project:
    (root / "connect.yml").write_text(CONNECT.format(secret=secret))
    return wiring.open_project(root, None, None, {"CONNECT_SECRET": "a secret of this test"})


def opened(project: Project) -> Any:
    return closing(wiring.open_ledger(project, SystemClock()))


async def test_they_are_held_where_the_warehouse_is_away(tmp_path: Path) -> None:
    project = house(tmp_path, "secret: ${CONNECT_SECRET}")
    with opened(project) as ledger:
        dead = Dead(project, writable(project), ledger, away)
        dead.heard([DEAD, DEAD._replace(address=""), DEAD._replace(reason="bad_device_token")])
        await dead.written()
        assert ledger.held_count() == 1


async def test_they_are_lost_and_counted_where_there_is_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = house(tmp_path, "")
    with opened(project) as ledger:
        dead = Dead(project, writable(project), ledger, away)
        dead.heard([DEAD, DEAD._replace(address="another-token")])
        await dead.written()
        assert ledger.held_count() == 0
    (line,) = caplog.messages
    assert line.startswith("dead-devices-lost: 2 devices")
    assert "token" not in line


def test_every_device_of_rows_is_asked_about() -> None:
    several = '[{"type": "push", "address": "a"}, {"type": "email", "address": "b"}, {"type": "push", "address": "C"}]'
    columns = {"id": [1, 2, 3], "channels": [several, None, "broken"], "device_token": [None, " d ", ""]}
    assert list(tokens_of(columns)) == ["a", "C", "d"]
    assert list(tokens_of({"id": [1]})) == []
