"""What every fault inside must come to: a state with a reason that `connect runs show` tells, and then going on."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import pytest

Shop = Any
Check = Callable[..., None]


def _addresses(shop: Shop) -> set[str]:
    return {address for (address,) in shop.sql("select email from people")}


@pytest.fixture
def crowd(shop: Shop) -> int:
    """A few thousand people, at once: more calls than a window holds."""
    count = 5000
    shop.campaign(limits="limits: {max: 9000}")
    with duckdb.connect(shop.root / "shop.duckdb") as warehouse:
        warehouse.execute(
            "create or replace table people as select 'id-' || i as id, 'anna' || i || '@mail.example' as email, "
            f"'Anna' || i as first_name, null::text as phone_number from range(10001, {10001 + count}) people(i)"
        )
    shop.cells |= {"@mail.example"}
    return count


@pytest.fixture
def shows() -> Check:
    """The only run is in this state, for this reason, with the way on."""

    def check(shop: Shop, state: str, reason: str, *, failed: int = 0) -> None:
        (run,) = shop.connect("runs", "list", "--json").json
        shown = shop.connect("runs", "show", run["id"])
        assert shown.code == 0
        assert run["state"] == state
        assert re.search(rf"{state}: .*{reason}", shown.out), shown.out
        assert "`connect run hello` goes on" in shown.out
        outcomes = shop.connect("runs", "show", run["id"], "--json").json["outcomes"]
        assert outcomes["failed"] == failed

    return check


@pytest.fixture
def goes_on() -> Check:
    """The cause is gone: `connect run` ends the same run, everybody is counted once, and who is not in doubt heard."""

    def check(shop: Shop, heard: Callable[[], Counter[str]], *, unknown: int = 0) -> None:
        (before,) = shop.connect("runs", "list", "--json").json
        ended = shop.run("hello", "--json")
        everyone = _addresses(shop)
        (run,) = shop.connect("runs", "list", "--json").json
        assert (run["id"], run["state"]) == (before["id"], "completed")
        outcomes = ended.json["outcomes"]
        assert outcomes == {
            "sent": len(everyone) - unknown,
            "skipped": 0,
            "refused": 0,
            "failed": 0,
            "unknown": unknown,
        }
        reached = heard()
        assert set(reached) <= everyone
        assert set(reached.values()) == {1}
        assert len(everyone) - unknown <= len(reached)

    return check


@pytest.fixture
def in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes ten minutes is over after one and a half seconds, and is tried as often."""
    short = {"RETRY_FOR": timedelta(seconds=1.5), "_FIRST_WAIT": 0.01, "_LONGEST_WAIT": 0.02}
    pipeline = [module for name, module in sys.modules.items() if name.startswith("connect.pipeline.")]
    for name, value in short.items():
        places = [module for module in pipeline if hasattr(module, name)]
        assert places, f"nothing is called {name} any more"
        for module in places:
            monkeypatch.setattr(module, name, value)
