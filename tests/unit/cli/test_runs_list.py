"""`connect runs list`: fire times that were skipped one after the other are one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connect.cli.tables import folded
from connect.ledger.records import RunRecord
from connect.vocabulary import Mode, RunState

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
LATER, OLD = "missed: a later one has come", "missed: older than 6h"


def run(hours: int, state: RunState, campaign: str = "weekly", reason: str = "", mode: Mode = Mode.live) -> RunRecord:
    at = NINE + timedelta(hours=hours)
    name = f"{campaign}-{hours}"
    return RunRecord(name, "prod", mode, campaign, at, False, state, reason, "", "", None, None, None, at, at, 0)


def counts(*newest_first: RunRecord) -> list[tuple[str, int]]:
    """(the run that a line stands for, how many skipped ones are in it)"""
    return [(line.run.id, len(line.skipped)) for line in folded(newest_first)]


def test_neighbours_are_one_line_that_stands_where_the_newest_does() -> None:
    found = counts(
        run(5, RunState.completed),
        run(4, RunState.skipped),
        run(3, RunState.skipped),
        run(2, RunState.skipped),
        run(1, RunState.completed),
        run(0, RunState.skipped),
    )
    assert found == [("weekly-5", 0), ("weekly-4", 3), ("weekly-1", 0), ("weekly-0", 1)]


def test_other_campaigns_and_modes_between_them_do_not_part_them() -> None:
    found = counts(
        run(3, RunState.skipped),
        run(3, RunState.skipped, "other"),
        run(2, RunState.completed, mode=Mode.test),
        run(2, RunState.skipped),
        run(1, RunState.skipped, "other"),
    )
    assert found == [("weekly-3", 2), ("other-3", 2), ("weekly-2", 0)]


def test_whatever_order_they_were_written_in_the_last_stands_for_all() -> None:
    assert counts(run(1, RunState.skipped), run(2, RunState.skipped), run(0, RunState.skipped)) == [("weekly-2", 3)]


def test_a_line_tells_how_many_when_and_why() -> None:
    (line,) = folded(
        [
            run(3, RunState.skipped, reason=LATER),
            run(2, RunState.skipped, reason=OLD),
            run(0, RunState.skipped, reason=OLD),
        ]
    )
    assert "×3" in line.state
    assert line.explained == (
        "weekly 3 fire times from 2026-11-20 09:00:00 UTC to 2026-11-20 12:00:00 UTC [dim]skipped[/]: "
        f"{OLD} (2); {LATER} (1)"
    )


def test_one_alone_is_a_run_like_others() -> None:
    (line,) = folded([run(0, RunState.skipped, reason=OLD)])
    assert "×" not in line.state
    assert line.explained == f"weekly-0 [dim]skipped[/]: {OLD}"
