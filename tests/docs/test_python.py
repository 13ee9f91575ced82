"""The Python on the pages works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connect.identity import KeyRing, unsubscribe_token
from connect.providers.interface import Account, Status
from connect.redact import Secret
from connect.testing import an_sms
from docs import markdown

DOCS = markdown.ROOT / "docs"


def python(page: str, heading: str, number: int = 0) -> str:
    return [block.text for block in markdown.blocks(DOCS / page, heading) if block.language == "python"][number]


def run(text: str, scope: dict[str, object]) -> None:
    """As a file of its own: without this file's `from __future__`."""
    exec(compile(text, "a page", "exec", dont_inherit=True), scope)


def test_a_page_opens_unsubscribe_tokens_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECT_SECRET", "a secret of many letters")
    ring = KeyRing((Secret("a secret of many letters"),))
    claims = {"address": "ada@example.com", "channel": "email", "id": "1", "topic": "offers"}
    scope: dict[str, object] = {"token": unsubscribe_token(ring, bytes(16), claims)}
    text = python("reference/connect-yml.md", "unsubscribe")
    run(text, scope)
    assert scope["person"] == claims
    assert f"# {claims}".replace("'", '"') in text


async def test_the_provider_of_the_guide_is_one(tmp_path: Path) -> None:
    scope: dict[str, object] = {"__name__": "pigeon"}
    run(python("contributing.md", "A provider"), scope)
    pigeon: type = scope["Pigeon"]  # type: ignore[assignment]
    settings = pigeon.Settings(api_key=Secret("a secret"))  # type: ignore[attr-defined]
    provider = pigeon(Account("pigeon", settings, tmp_path, concurrency=1))
    await provider.open()
    receipts = await asyncio.wait_for(provider.send([an_sms()]), 5)
    assert [receipt.status for receipt in receipts] == [Status.accepted]
    assert await provider.check()
    await provider.close()


def test_the_contract_of_the_guide_is_the_one_that_is_shipped() -> None:
    scope: dict[str, object] = {"__name__": "pigeon"}
    run(python("contributing.md", "A provider", 1), scope)
    assert "TestPigeon" in scope
