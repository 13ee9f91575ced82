"""Parameters and recipients are in memory, and sealed where they must wait: never at rest in clear, nor answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connect.pipeline.parameters import opened
from connect.testing.canaries import Canaries

WORDS = ("Zephyrine-Quillfeather", "zq.canary@unlikely-example.com", "order-Canary-77213")


def searched(root: Path, said: str) -> set[Any]:
    """Every canary in what the server wrote and said. The warehouse is the user's own."""
    canaries = Canaries()
    for number, word in enumerate(WORDS):
        canaries.add(f"word {number}", word)
    found = canaries.search_files([root], without=[root / "shop.duckdb"])
    return found | canaries.search("what was said", said.encode())


def test_parameters_wait_sealed_and_are_gone_when_the_run_ends(
    shop: Any, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    called = shop.trigger("order_shipped", {"parameters": {"order": WORDS[2]}}, Idempotency_Key="canary-1")
    ledger = shop.served.site.ledger
    waiting = ledger.run(called.body["run"]["id"])
    assert opened(shop.served.site.project.secret, waiting.parameters, waiting.id)["order"] == WORDS[2]
    told = json.dumps([called.body, shop.ask("GET", f"/runs/{waiting.id}").body])
    assert searched(root, "".join(capfd.readouterr()) + told) == set()

    shop.take_up()

    ended = ledger.run(waiting.id)
    assert (ended.state.value, ended.parameters) == ("completed", None)
    assert searched(root, "".join(capfd.readouterr())) == set()


def test_recipients_are_kept_nowhere(shop: Any, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    person = {"id": WORDS[2], "email": WORDS[1], "name": WORDS[0], "total": 3}
    answers = [
        shop.trigger("delayed", {"parameters": {"days": 2}, "recipients": [person]}, Idempotency_Key="canary-2"),
        shop.trigger("delayed", {"parameters": {"days": 99}, "recipients": [person]}),
        shop.trigger("delayed", {"parameters": {"days": 2}, "recipients": [{**person, "id": ["x"]}]}),
        shop.trigger("delayed", {"parameters": {WORDS[2]: WORDS[1]}}),
        shop.ask("POST", "/messages/receipt", {"recipients": [person]}),
        shop.ask("POST", "/messages/receipt", {"recipients": [person, {"name": WORDS[0]}]}),
        shop.ask("POST", "/messages/receipt", raw=json.dumps({"recipients": [person]})[:-3].encode()),
        shop.ask("POST", f"/messages/{WORDS[2]}", {"recipients": [person]}),
        shop.ask("GET", f"/campaigns/{WORDS[2]}"),
    ]
    assert [each.status for each in answers[:1]] == [200]
    assert {to for to, _, _ in shop.sent()} == {WORDS[1]}
    told = json.dumps([shop.ask("GET", "/runs").body, *(each.body for each in answers)])
    assert searched(root, "".join(capfd.readouterr()) + told) == set()
