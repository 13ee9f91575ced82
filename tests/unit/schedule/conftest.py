"""A small project on disk, whose campaigns each test writes as it needs, and the house that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connect import wiring
from connect.project.campaigns import load_campaigns
from connect.schedule.house import House

CONNECT = """\
name: club
timezone: UTC
secret: ${CONNECT_SECRET}
mode: live
providers:
  memory: {type: memory}
channels: {email: memory}
"""
CAMPAIGN = """\
status: {status}
trigger: {trigger}
audience: {{people: [{{id: 1, email: ann@mail.example}}]}}
message:
  content:
    - {{channel: email, from: a@mail.example, subject: {subject}, text: "Hi"}}
"""
DAILY = '{type: recurring, cron: "0 9 * * *"}'


class Club:
    """A project in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "campaigns").mkdir(parents=True)
        self.write("connect.yml", CONNECT)

    def write(self, name: str, text: str) -> Path:
        (self.root / name).write_text(text)
        return self.root / name

    def campaign(self, name: str, trigger: str = DAILY, *, status: str = "live", subject: str = "Hello") -> Path:
        return self.write(f"campaigns/{name}.yml", CAMPAIGN.format(status=status, trigger=trigger, subject=subject))

    def remove(self, name: str) -> None:
        (self.root / f"campaigns/{name}.yml").unlink()

    def house(self) -> House:
        def load():
            project = wiring.open_project(self.root, None, None, {"CONNECT_SECRET": "a-secret-of-the-club-0123456789"})
            return project, load_campaigns(project)

        return House(load)


@pytest.fixture
def new_club() -> Callable[[Path], Club]:
    return Club


@pytest.fixture
def club(tmp_path: Path) -> Club:
    return Club(tmp_path / "club")
