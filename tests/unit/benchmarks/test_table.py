"""The table of the last run is put into its page by one command."""

from __future__ import annotations

import pytest

from benchmarks import table
from benchmarks.machine import machine
from benchmarks.sizes import QUICK

DOCUMENT = {
    "machine": machine(),
    "size": vars(QUICK),
    "rows": [
        {"name": "slow", "value": 240.0, "unit": "msg/s", "ratio_to": "", "ratio": 1.0},
        {"name": "fast", "value": 12345.6, "unit": "msg/s", "ratio_to": "slow", "ratio": 51.44},
    ],
}


def test_the_page_has_room_for_it() -> None:
    page = table.PAGE.read_text("utf-8")
    once = table.refreshed(page, DOCUMENT)
    assert "| `fast` | 12,346 | msg/s | 51.44 | `slow` |" in once
    assert "| `slow` | 240 | msg/s | | |" in once
    assert "10,000 people" in once
    assert table.refreshed(once, DOCUMENT) == once
    assert once.partition(table.BEGIN)[0] == page.partition(table.BEGIN)[0]


def test_a_page_without_room_is_left_alone() -> None:
    with pytest.raises(ValueError, match="stands between"):
        table.refreshed("# A page", DOCUMENT)
