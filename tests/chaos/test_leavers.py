"""People leave while the server is killed and somebody else holds the warehouse's file; and whether a loss is found."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chaos.leavers import Departures, Exodus, departures

SEED = 7
"""Always the same, so that nobody's change is refused for another one's luck; `make chaos` takes another each time."""


def test_whoever_is_told_so_is_in_the_table(tmp_path: Path) -> None:
    found = departures(Exodus("sqlite", kills=2), SEED, tmp_path)
    assert list(found.problems()) == [], f"seed {SEED}"
    assert found.kills == 2


def test_a_loss_is_found() -> None:
    found = Departures(acknowledged={"person-0-0", "person-0-1"}, written={"person-0-1", "somebody"})
    assert [problem.partition(" ")[0] for problem in found.problems()] == ["1", "1"]
    assert list(Departures().problems()) == ["nobody was unsubscribed"]
