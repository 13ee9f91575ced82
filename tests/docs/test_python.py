"""The Python on the pages works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from connect.identity import KeyRing, unsubscribe_token
from connect.redact import Secret
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
    claims = {"address": "ada@example.com", "channel": "email", "correlation": "c1.…", "id": "1", "topic": "offers"}
    scope: dict[str, object] = {"token": unsubscribe_token(ring, bytes(16), claims)}
    text = python("reference/connect-yml.md", "unsubscribe")
    run(text, scope)
    assert scope["person"] == claims
    assert f"# {claims}".replace("'", '"') in text


def test_the_provider_of_the_guide_passes_the_contract_of_the_guide(tmp_path: Path) -> None:
    """Its blocks are files, as their first lines say, and pytest runs them."""
    for number in range(2):
        text = python("contributing.md", "A provider", number)
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "."]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^\d\d+ passed", ran.stdout, re.MULTILINE), ran.stdout
