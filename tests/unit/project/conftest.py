"""A small project on disk, which each test changes as it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from connect.errors import Problem, UserError
from connect.project.campaigns import Loaded, load_campaign
from connect.project.load import load_project
from connect.project.project import Project
from connect.project.settings import Adapters
from connect.redact import Secret
from connect.vocabulary import Mode

CONNECT = """
name: shop
timezone: Australia/Sydney
secret: ${CONNECT_SECRET}
sources:
  shop: {url: "duckdb:///shop.duckdb"}
  events: {type: duckdb, path: events.duckdb}
providers:
  box: {type: outbox}
  relay:
    type: smtp
    host: smtp.example
    password: ${SMTP_PASSWORD}
    concurrency: 4
    timeout: 10s
channels:
  email: box
  sms: box
"""

CAMPAIGN = """
trigger:
  type: immediate
audience:
  sql: select id, email from people
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "Hello {{ user.name }}"
      text: Good day
"""

ENVIRONMENT = {"CONNECT_SECRET": "0123456789abcdef", "SMTP_PASSWORD": "hunter2-hunter2"}


class DuckDBSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    path: str = ""
    threads: int | None = None


class OutboxSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = "outbox"


class SmtpSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Secret | None = None
    verify: bool = True
    idle: timedelta = timedelta(seconds=30)


ADAPTERS = Adapters(
    providers={"outbox": lambda: OutboxSettings, "smtp": lambda: SmtpSettings},
    sources={"duckdb": lambda: DuckDBSettings},
)


class Folder:
    """The project's folder and short ways to write it and to read it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("connect.yml", CONNECT)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    def project(
        self,
        target: str | None = None,
        mode: Mode | None = None,
        environment: Mapping[str, str] = ENVIRONMENT,
        adapters: Adapters = ADAPTERS,
    ) -> Project:
        return load_project(self.root, target=target, mode=mode, environment=environment, adapters=adapters)

    def project_problems(self, text: str, **arguments: object) -> list[Problem]:
        self.write("connect.yml", text)
        with pytest.raises(UserError) as caught:
            self.project(**arguments)  # type: ignore[arg-type]
        return list(caught.value.problems)

    def campaign(self, text: str = CAMPAIGN, name: str = "hello") -> Loaded:
        self.write(f"campaigns/{name}.yml", text)
        return load_campaign(self.project(), name)

    def problem(self, text: str) -> Problem:
        loaded = self.campaign(text)
        assert [problem.code for problem in loaded.problems][1:] == [], loaded.problems
        assert loaded.campaign is None
        return loaded.problems[0]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def campaign_text() -> Callable[..., str]:
    """The campaign above with some of its lines replaced."""

    def made(**changes: str) -> str:
        text = CAMPAIGN
        for old, new in changes.items():
            assert old in _PARTS, old
            text = text.replace(_PARTS[old], new.strip("\n") + "\n" if new else "")
        return text

    return made


_PARTS = {
    "trigger": "trigger:\n  type: immediate\n",
    "audience": "audience:\n  sql: select id, email from people\n",
    "sender": "      from: Acme <hello@acme.example>\n",
    "subject": '      subject: "Hello {{ user.name }}"\n',
    "body": "      text: Good day\n",
}
