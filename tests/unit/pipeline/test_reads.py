"""How often a run will read its audience is known beforehand, as far as one can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connect.pipeline.reads import Bill, in_words, reads, warnings
from connect.project.types import Rate
from connect.warehouses.interface import Capabilities

HOLDS = Capabilities(timedelta(hours=12), enforces_read_only=True, holds_reads=True)
T = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_who_is_not_waited_for_is_read_in_one_pass() -> None:
    assert reads(HOLDS, T, 10_000_000, [None]) == 1
    assert reads(HOLDS, T, 0, [Rate(1, SECOND)]) == 1


@pytest.mark.parametrize(
    ("rows", "rate", "expected"),
    [
        (9_000, Rate(10, SECOND), 1),  # a quarter of an hour
        (9_001, Rate(10, SECOND), 2),  # then opt-outs are asked again, each time
        (18_001, Rate(10, SECOND), 3),
        (90_000 + 12 * 1024, Rate(100, SECOND), 2),
        (1_000_000, Rate(100, SECOND), 1 + 75),
    ],
)
def test_a_slow_account_makes_it_many(rows: int, rate: Rate, expected: int) -> None:
    assert reads(HOLDS, T, rows, [None, rate, Rate(1_000_000, SECOND)]) == expected


def test_a_read_ends_before_its_time_out() -> None:
    assert reads(HOLDS, timedelta(seconds=100), 801, [Rate(10, SECOND)]) == 2


def test_what_can_not_be_held_is_read_in_parts() -> None:
    assert reads(replace(HOLDS, holds_reads=False), T, 12 * 1024 * 3, []) == 3


def test_only_many_billed_reads_are_warned_of() -> None:
    assert [warnings(bill) for bill in (None, Bill(10, 5), Bill(0, 100))] == [[], [], []]
    (found,) = warnings(Bill(10, 6))
    assert (found.code, found.severity) == ("many-billed-reads", "warning")
    assert "snapshot: true" in found.hint
    assert len(warnings(Bill(10, 1, per_zone=True))) == 1


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_234, "1.2 kB"),
        (10_485_760, "10.5 MB"),
        (123_456_789, "123 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**18, "5000 PB"),
    ],
)
def test_sizes_are_told_as_people_say_them(size: int, words: str) -> None:
    assert in_words(size) == words
