"""The server tells endpoints for as long as it runs, and what waits when it stops; its log names nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connect.pipeline.happening import Happening
from connect.testing.api import Answer, ApiServer
from connect.testing.serving import Served, served
from connect.vocabulary import Channel, HappeningType

PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
webhooks: {{crm: {{url: "{url}", signing_secret: "${{SIGNING}}", allow_private: true}}}}
"""
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def opened(number: int) -> Happening:
    address = f"canary-{number}@example.com"
    return Happening(HappeningType.opened, AT, "weekly", "run", Channel.email, f"{number:032x}", address=address)


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[Served]]:
    monkeypatch.setenv("CONNECT_SECRET", "a secret of this test")
    monkeypatch.setenv("SIGNING", "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz")

    def serve(url: str) -> AbstractContextManager[Served]:
        (tmp_path / "connect.yml").write_text(PROJECT.format(url=url))
        return served(tmp_path)

    return serve


@pytest.fixture
def endpoint() -> Iterator[ApiServer]:
    with ApiServer(lambda call: Answer(204)) as server:
        yield server


def ids(endpoint: ApiServer) -> set[str]:
    return {call.json["data"]["message"] for call in endpoint.calls}


def test_what_waits_when_it_stops_is_told(
    serving: Callable[[str], AbstractContextManager[Served]], endpoint: ApiServer
) -> None:
    with serving(endpoint.url) as server:
        server.site.herald.tell([opened(number) for number in range(100)])
    assert ids(endpoint) == {f"{number:032x}" for number in range(100)}


def test_another_endpoint_is_told_when_the_files_are_read_again(
    serving: Callable[[str], AbstractContextManager[Served]], endpoint: ApiServer, tmp_path: Path
) -> None:
    with serving("https://nobody.invalid/") as server:
        (tmp_path / "connect.yml").write_text(PROJECT.format(url=endpoint.url))
        server.site.house.reload()
        server.site.herald.tell([opened(1)])
    assert ids(endpoint) == {f"{1:032x}"}


def test_what_is_dropped_is_in_the_log_without_anybody(
    serving: Callable[[str], AbstractContextManager[Served]], capfd: pytest.CaptureFixture[str]
) -> None:
    with ApiServer(lambda call: Answer(410, b"canary-of-the-answer")) as gone, serving(gone.url) as server:
        server.site.herald.tell([opened(number) for number in range(50)])
    said = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in said.splitlines() if "webhook-dropped" in line]
    assert sum(line["dropped"] for line in lines) == 50
    assert {line["webhook"] for line in lines} == {"crm"}
    assert "canary" not in said
