"""Devices, numbers, URLs and what is said to them are in no file, also of a run that died in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from connect.providers import memory
from connect.testing.canaries import Canaries

PEOPLE = 5


@pytest.mark.parametrize("dies", [False, True], ids=["ended", "died"])
def test_what_was_written_down_names_nobody(house: Any, contents: Any, dies: bool) -> None:
    http = {**contents["http"], "url": "https://hook.example/of/{{ user.first_name }}"}
    push = {**contents["push"], "data": {"who": "{{ user.email }}"}, "url": "acme://people/{{ user.first_name }}"}
    house.campaign(contents["email"], contents["sms"], push, http)
    house.crowd(PEOPLE)

    def crash(outgoing: Any, attempt: int) -> None:
        raise RuntimeError(repr(outgoing))

    for account in ("phones", "hook", "texts") if dies else ():
        memory.script(account, crash)

    said = house.run("--debug")

    assert said.code == (3 if dies else 0)
    assert house.shop.ledger == [("live", "hello", "paused" if dies else "completed")]
    canaries = Canaries()
    for number in range(1, PEOPLE + 1):
        who = f"{number:05}"
        canaries.add("device", house.token(number))
        canaries.add("number", f"+6141{number:07}")
        canaries.add("address", f"anna{who}@mail.example")
        canaries.add("url", f"https://hook.example/of/Anna{who}")
        canaries.add("opened", f"acme://people/Anna{who}")
    root = house.shop.root
    assert (root / ".connect/state.db").stat().st_size
    assert canaries.search_files([root], without=[root / "shop.duckdb"]) == set()
    assert canaries.search("output", (said.out + said.err).encode()) == set()
