"""As many people as `limits.max` says, with several phones each: however often the run stops, it is not too many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connect.providers import memory
from connect.providers.interface import Receipt, Status

PEOPLE, STOPS = 600, 12


def test_a_run_that_stops_again_and_again_comes_to_its_end(
    house: Any, contents: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.Memory, "capabilities", replace(memory.Memory.capabilities, max_batch=10))
    house.configure(providers={"phones": {"type": "memory", "concurrency": 1}})
    house.campaign(contents["push"])
    campaign = house.shop.root / "campaigns" / "hello.yml"
    campaign.write_text(campaign.read_text().replace("max: 10000", f"max: {PEOPLE}"))
    house.crowd(PEOPLE, devices=2)
    stops = 0

    def stop(outgoing: Any, attempt: int) -> Receipt | None:
        return Receipt(Status.config) if memory.counts("phones").messages > stops * 2 * PEOPLE // STOPS else None

    memory.script("phones", stop)
    while (ended := house.run()).code == 3:
        assert ended.error.code == "provider-config"
        stops += 1

    assert stops > STOPS // 2
    assert len(house.tokens()) == len(set(house.tokens())) == 2 * PEOPLE
