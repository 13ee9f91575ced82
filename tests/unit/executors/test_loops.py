"""How often Python looks for garbage: seldom while a command starts and a run lasts, as before afterwards."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from connect.cli import main
from connect.executors import loops


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.freeze()


def test_what_is_there_already_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "gc", gc)  # other tests do without
    gc.set_threshold(700, 10, 10)
    mine: list[object] = [[]]
    with loops.long_running():
        assert all(one is not mine for one in gc.get_objects())
        assert gc.get_threshold()[0] >= 100_000
    assert any(one is mine for one in gc.get_objects())
    assert gc.get_threshold() == (700, 10, 10)


def test_a_command_starts_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds: list[int] = []
    ended: list[int] = []
    monkeypatch.setattr(main, "failing", lambda app: thresholds.append(gc.get_threshold()[0]) or 0)
    monkeypatch.setattr(os, "_exit", ended.append)
    gc.set_threshold(700, 10, 10)
    main.command()
    assert thresholds == [100_000]
    assert ended == [0]
