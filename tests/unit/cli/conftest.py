"""A project in a folder, whose campaigns have triggers of every kind, and the command line over it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connect.cli.main import app
from connect.cli.terminal import failing
from connect.clock import SystemClock
from connect.ledger.store import Ledger

CONNECT = """\
name: club
timezone: Europe/London
secret: ${CONNECT_SECRET}
mode: live
providers:
  outbox: {type: outbox}
channels: {email: outbox}
unsubscribe: {url: "https://club.example/off?t={{ url.token }}"}
"""
CAMPAIGN = """\
status: {status}
trigger: {trigger}
audience:
  people: [{{id: 1, email: ann@mail.example}}, {{id: 2, email: bob@mail.example}}]
  limits: {{max: 100}}
message:
  content:
    - {{channel: email, from: a@mail.example, subject: Hello, text: "Hi {{{{ user.id }}}}"}}
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Club:
    """A project, and what commands say about it."""

    def __init__(self, root: Path, run: Callable[..., Ended]) -> None:
        self.root, self.connect = root, run
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(CONNECT)

    def campaign(self, name: str, trigger: str, status: str = "live") -> Path:
        file = self.root / "campaigns" / f"{name}.yml"
        file.write_text(CAMPAIGN.format(status=status, trigger=trigger))
        return file

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        url = f"sqlite:///{self.root}/.connect/state.db"
        with closing(Ledger.open(url, project="club", target="default", clock=SystemClock())) as ledger:
            yield ledger


@pytest.fixture
def club(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Club:
    monkeypatch.setenv("CONNECT_SECRET", "a-secret-of-the-club-0123456789")
    monkeypatch.delenv("CONNECT_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["connect", *arguments])
        capsys.readouterr()
        code = failing(app)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return Club(tmp_path, run)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)
