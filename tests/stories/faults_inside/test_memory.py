"""Memory runs out: in a provider's library, while a message is rendered, and for real in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connect.liquid import filters
from connect.providers import memory

LIMITED = str(Path(__file__).with_name("limited.py"))


def test_a_provider_that_runs_out_of_memory_pauses_the_run(shop: Any, shows: Any, goes_on: Any) -> None:
    shop.people(50)
    doubtful = []

    def exhaust(outgoing: Any, attempt: int) -> None:
        doubtful.append(outgoing.key)
        raise MemoryError

    memory.script("mail", exhaust)

    ended = shop.run()

    assert ended.code == 3
    assert "error[internal]: MemoryError" in ended.err
    assert len(doubtful) == 1
    shows(shop, "paused", "internal error: MemoryError")

    # The call that broke held everybody: nobody can know how far its library had come.
    memory.script("mail", None)
    (run,) = shop.connect("runs", "list", "--json").json
    again = shop.run("hello", "--json")
    assert again.json["outcomes"] == {"sent": 0, "skipped": 0, "refused": 0, "failed": 0, "unknown": 50}
    assert shop.connect("runs", "list", "--json").json[0]["id"] == run["id"]


def test_rendering_that_runs_out_of_memory_pauses_the_run_and_refuses_nobody(
    shop: Any, shows: Any, goes_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.people(20)
    shop.campaign(subject='subject: "Hello {{ user.first_name | upcase | md5 }}"')

    def exhaust(*_: object, **__: object) -> Any:
        raise MemoryError

    with monkeypatch.context() as scarce:
        scarce.setattr(filters, "hashlib", SimpleNamespace(new=exhaust))
        ended = shop.run()

    assert ended.code == 3
    shows(shop, "paused", "internal error: MemoryError")
    goes_on(shop, lambda: Counter(shop.addresses()))


def test_a_process_whose_memory_is_limited_ends_with_a_reason_and_the_run_goes_on(
    shop: Any, crowd: int, shows: Any
) -> None:
    """A real limit (setrlimit(2)), reached in the middle of the run by a real allocation."""
    if resource.getrlimit(resource.RLIMIT_AS)[1] != resource.RLIM_INFINITY:
        pytest.skip("this process may not raise its own limit again")
    process = subprocess.Popen(
        [sys.executable, LIMITED, "run", "hello", "--yes"],
        cwd=shop.root,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    ended = shop.ended(process)

    assert ended.code == 3, ended.err
    assert "MemoryError" in ended.err
    shows(shop, "paused", "internal error: MemoryError")
    again = shop.run("hello", "--json")
    outcomes = again.json["outcomes"]
    assert outcomes["sent"] + outcomes["unknown"] == crowd == again.json["deliveries"]
    assert 500 <= outcomes["unknown"] < crowd  # the call in which it happened, and those that were released beside it
