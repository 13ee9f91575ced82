"""An opt-out that waits for the warehouse is on disk as its sealed token only, and nothing is said about anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect.testing.canaries import Canaries
from tests.unit.pipeline.test_desk import locked
from tests.unit.server.test_unsubscribe import TOPICS, ask, drained, post, served_house

WHO, ADDRESS = "Kunde-77zQ9-Wintergoldhaehnchen", "Kanarie-held-77zQ9@vogelhaus.example"


def test_held_and_drained(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    canaries = Canaries()
    canaries.add("id", WHO)
    canaries.add("address", ADDRESS)
    with served_house(tmp_path, TOPICS) as (house, server):
        token = house.token(id=WHO, address=ADDRESS)
        ask(server, "GET", token)
        with locked(server.site.project):
            answers = [post(server, token, ("do", what)) for what in ("leave", "all")]
            ask(server, "GET", token)
            assert server.site.ledger.held_count() == 2
            assert found(canaries, tmp_path) == set()
        drained(server)
        answers.append(post(server, token, ("do", "back"), ("of", "offers")))
        answers.append(ask(server, "GET", token[:-4] + "AAAA"))
        drained(server)
        assert found(canaries, tmp_path) == set()
        assert {row[0] for row in house.rows()} == {WHO}
    assert found(canaries, tmp_path) == set()
    said = "".join([*capfd.readouterr(), *(answer.html for answer in answers)])
    assert canaries.search("what is said", said.encode()) == set()


def found(canaries: Canaries, folder: Path) -> set[object]:
    """In everything on disk but the user's own warehouse."""
    return set(canaries.search_files([folder], folder.glob("shop.duckdb*")))
