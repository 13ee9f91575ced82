"""Several processes send on every channel: the numbers add up as those of one do."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as tests/acceptance/test_workers.py")


def test_every_device_of_everybody_is_counted_once(house: Any, contents: Any) -> None:
    house.campaign(contents["email"], contents["push"])
    house.crowd(120, devices=3)

    ended = house.report("--workers", "2")

    assert ended.code == 0, ended.err
    assert ended.counts == {("email", "sent", ""): 120, ("push", "sent", ""): 360}
