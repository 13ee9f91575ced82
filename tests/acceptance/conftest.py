"""The installed command as real processes, over a warehouse on disk and a mail server that counts."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.testing.smtp import SmtpServer
from tests import processes

CONCURRENCY = 4
WINDOW = 2 * CONCURRENCY

PROJECT = """\
name: acme
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  shop: {{url: "duckdb:///shop.duckdb"}}
providers:
  mail:
    type: smtp
    host: localhost
    port: {port}
    username: {username}
    password: ${{SMTP_PASSWORD}}
    ca_file: {ca_file}
    local_hostname: sender.example
    concurrency: {concurrency}
    timeout: 10m
channels: {{email: mail}}
unsubscribe: {{url: "https://acme.example/off?t={{{{ url.token }}}}"}}
"""

CAMPAIGN = """\
status: live
trigger: {{type: immediate}}
audience:
  sql: select id, email, first_name, subscribed from people
  limits: {{max: 100000}}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "{subject}"
      text: "Dear {{{{ user.first_name }}}}, there is news."
policy: {{in_doubt: {in_doubt}}}
"""


class Shop:
    """A project in a folder, whose e-mails go to a server in this process."""

    def __init__(self, root: Path, server: SmtpServer) -> None:
        self.root, self.server = root, server
        (root / "campaigns").mkdir(parents=True)
        (root / "tmp").mkdir()
        (root / "connect.yml").write_text(
            PROJECT.format(port=server.port, username=server.username, ca_file=server.ca_file, concurrency=CONCURRENCY)
        )
        self.environment = {
            **os.environ,
            "CONNECT_SECRET": "a secret that is only for tests",
            "SMTP_PASSWORD": server.password,
            "TMPDIR": str(root / "tmp"),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        self._started: list[subprocess.Popen[str]] = []

    def people(self, count: int) -> Shop:
        self.sql(
            "create or replace table people as select i as id, 'person-' || i || '@mail.example' as email, "
            f"'Person ' || i as first_name, true as subscribed from range(1, {count + 1}) people(i)"
        )
        return self

    def sql(self, statement: str) -> None:
        with duckdb.connect(str(self.root / "shop.duckdb")) as connection:
            connection.execute(statement)

    def campaign(self, *, subject: str = "News", in_doubt: str = "skip") -> Shop:
        text = CAMPAIGN.format(subject=subject, in_doubt=in_doubt)
        (self.root / "campaigns" / "news.yml").write_text(text)
        return self

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        told = {**self.environment, **environment}
        process = processes.start(
            processes.COMMAND, *arguments, "--project", str(self.root), folder=Path.cwd(), environment=told, text=True
        )
        self._started.append(process)
        return process

    def connect(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def finish(self, *arguments: str) -> dict[str, Any]:
        """Run to the end, and return the report."""
        done = self.connect("run", "news", "--yes", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["runs"][0]["state"] == "completed"
        assert report["deliveries"] == sum(report["outcomes"].values())
        return report

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.connect("runs", "list", "--json").stdout)
        return found

    def reached(self) -> Counter[str]:
        """How often the server took a message to each address."""
        return Counter(message.recipients[0] for message in self.server.messages)

    def subjects(self) -> set[str]:
        return {
            str(message_from_bytes(message.content, policy=policy.default)["Subject"])
            for message in self.server.messages
        }

    def until_reached(self, count: int, process: subprocess.Popen[str]) -> None:
        """Wait until the server took so many, while the process is alive."""
        while len(self.server.messages) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)  # two processes share no event

    def suspend(self, process: subprocess.Popen[str]) -> None:
        """Make it stand still, but not in the middle of a write to the ledger: nobody could take over from that."""
        processes.suspend(process)
        while not self.ledger_is_free():
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            processes.suspend(process)

    def ledger_is_free(self) -> bool:
        """Whether somebody could write to it."""
        with closing(sqlite3.connect(self.root / ".connect" / "state.db", timeout=0, isolation_level=None)) as ledger:
            try:
                ledger.execute("begin immediate")
            except sqlite3.OperationalError:
                return False
            return True

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()


def tallied(report: dict[str, Any]) -> dict[str, int]:
    """`outcome: reason` → how many."""
    return {f"{tally['outcome']}: {tally['reason']}".removesuffix(": "): tally["count"] for tally in report["tallies"]}


@pytest.fixture
def counts() -> Callable[[dict[str, Any]], dict[str, int]]:
    return tallied


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, server: SmtpServer) -> Iterator[Shop]:
    shop = Shop(tmp_path / "acme", server)
    yield shop
    shop.close()


@pytest.fixture
def window() -> int:
    """Deliveries that a kill may leave in doubt."""
    return WINDOW
