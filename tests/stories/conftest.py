"""A small shop on disk: a DuckDB file, connect.yml, campaigns, and the command line over them.

Whatever a command prints is searched for the cells of the shop's tables: not one of them may be in it.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import pytest

from connect.channels.message import Email, Sms
from connect.cli.main import main
from connect.providers import memory
from connect.testing.smtp import SmtpServer
from tests import processes

Counts = Counter[tuple[str, str, str]]
"""(channel, outcome, reason) → deliveries."""

SECRET = "a-secret-of-the-shop-0123456789"
PASSWORD = SmtpServer.password

CONNECT = """
name: shop
secret: ${{CONNECT_SECRET}}
mode: {mode}
sources:
  shop: {{url: "duckdb:///shop.duckdb"}}
providers:
  mail: {mail}
  texts: {texts}
channels: {{email: mail, sms: texts}}
"""

LIVE = """
subscriptions:
  sql: select id, address, status from opt_outs
unsubscribe: {url: "https://shop.example/leave?t={{ url.token }}"}
"""

HELLO = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Hello {{ user.first_name }}"
      text: "Good day, {{ user.first_name }}. {{ url.unsubscribe_link }}"
"""


@dataclass(frozen=True)
class Shown:
    """One problem as a person sees it."""

    severity: str
    code: str
    message: str
    place: str
    """`file:line:col`; blank where it is nobody's file."""
    line: str
    under: str
    """The source line from the caret on."""
    hint: str


_SHOWN = re.compile(
    r"^(?:(?P<place>\S+:\d+:\d+): )?(?P<severity>error|warning)\[(?P<code>[a-z-]+)\]: (?P<message>.*)\n"
    r"(?:  \| (?P<line>.*)\n  \| (?P<caret> *\^)\n)?"
    r"(?:  hint: (?P<hint>.*)\n)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problems(self) -> list[Shown]:
        """Every problem that was shown, in order."""
        return [_shown(match) for match in _SHOWN.finditer(self.err)]

    @property
    def errors(self) -> list[Shown]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def error(self) -> Shown:
        """The only error that was shown."""
        (error,) = self.errors
        return error

    @property
    def counts(self) -> Counts:
        """How the deliveries of `run --json` ended. They always add up to the whole."""
        report = self.json
        counts = Counter(
            {(tally["channel"], tally["outcome"], tally["reason"]): tally["count"] for tally in report["tallies"]}
        )
        assert set(report["outcomes"]) == {"sent", "skipped", "refused", "failed", "unknown"}
        assert report["deliveries"] == sum(report["outcomes"].values()) == counts.total()
        return counts


def _shown(match: re.Match[str]) -> Shown:
    found = {name: text or "" for name, text in match.groupdict().items()}
    under = found["line"][len(found["caret"]) - 1 :] if found["caret"] else ""
    return Shown(
        found["severity"], found["code"], found["message"], found["place"], found["line"], under, found["hint"]
    )


class Shop:
    """A project in a folder of its own."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.cells: set[str] = set()
        """What no command may print: the text of the tables."""
        self.write(".env", f"CONNECT_SECRET={SECRET}\nSMTP_PASSWORD={PASSWORD}\n")
        self.configure()
        self.campaign()
        self.table("opt_outs", "id text, address text, status text")

    # Files

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    def configure(
        self, *, mode: str = "live", mail: str = "{type: memory}", texts: str = "{type: memory}", more: str = ""
    ) -> None:
        """Write connect.yml."""
        self.write("connect.yml", CONNECT.format(mode=mode, mail=mail, texts=texts) + more)

    def configure_smtp(self, server: SmtpServer, *, more: str = LIVE, **settings: object) -> None:
        """Write connect.yml with a real mail server, which sends for real."""
        given = {
            "type": "smtp",
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": "${SMTP_PASSWORD}",
            "ca_file": str(server.ca_file),
            "local_hostname": "sender.example",
            "timeout": "5s",
            **settings,
        }
        self.configure(mail=json.dumps(given), more=more)

    def campaign(self, text: str = HELLO, /, *, file: str = "hello", **changes: str) -> None:
        """Write a campaign: the one above, with whole values of keys replaced."""
        for key, value in changes.items():
            text, times = re.subn(rf"(?m)^( *(?:- )?){key}:.*$", lambda found, v=value: found[1] + v, text)
            assert times == 1, key
        self.write(f"campaigns/{file}.yml", text)

    def place(self, text: str, file: str = "campaigns/hello.yml") -> str:
        """`file:line:col` of the first place where this stands in a file."""
        before, found, _ = (self.root / file).read_text().partition(text)
        assert found, text
        return f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    # The warehouse

    def table(self, name: str, columns: str, rows: Sequence[Sequence[object]] = ()) -> None:
        """Make a table, and remember its cells as nobody's business."""
        with duckdb.connect(self.root / "shop.duckdb") as warehouse:
            warehouse.execute(f"create or replace table {name} ({columns})")
            if rows:
                warehouse.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)
        self.cells |= {text for row in rows for cell in row for text in _texts(cell)}

    def people(self, count: int) -> None:
        """A table of people who can all be written to."""
        rows = [(f"id-{n:05}", f"anna{n:05}@mail.example", f"Anna{n:05}", f"+6141{n:07}") for n in range(1, count + 1)]
        self.table("people", "id text, email text, first_name text, phone_number text", rows)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What plain SQL says."""
        with duckdb.connect(self.root / "shop.duckdb", read_only=True) as warehouse:
            return warehouse.execute(query).fetchall()

    def number(self, query: str) -> int:
        ((number,),) = self.sql(query)
        return int(number)

    # The command line

    def connect(self, *arguments: str) -> Ended:
        """Run the installed command in this process."""
        self._monkeypatch.chdir(self.root)
        self._monkeypatch.setattr(sys, "argv", ["connect", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.StringIO())
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        written = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return self._looked_through(Ended(left.value.code, written.out, written.err))

    def run(self, campaign: str = "hello", *options: str) -> Ended:
        return self.connect("run", campaign, "--yes", *options)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run the installed command as a process of its own."""
        return processes.start(processes.COMMAND, *arguments, folder=self.root, text=True)

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=60)
        return self._looked_through(Ended(process.returncode, out, err))

    def _looked_through(self, ended: Ended) -> Ended:
        found = [cell for cell in self.cells if cell in ended.out + ended.err]
        assert not found, f"a cell was printed: {found[0][:80]}"
        assert SECRET not in ended.out + ended.err
        assert PASSWORD not in ended.out + ended.err
        assert "Traceback" not in ended.err
        return ended

    # What came of it

    def sent(self, account: str = "mail") -> list[Email]:
        return [_email(outgoing.message) for outgoing in memory.sent(account)]

    def texts(self) -> list[Sms]:
        messages = [outgoing.message for outgoing in memory.sent("texts")]
        assert all(isinstance(message, Sms) for message in messages)
        return [message for message in messages if isinstance(message, Sms)]

    def addresses(self) -> list[str]:
        """Who the e-mails of the `mail` account went to, sorted."""
        return sorted(mailbox.address for email in self.sent() for mailbox in email.to)

    @property
    def ledger(self) -> list[tuple[str, str, str]]:
        """(mode, campaign, state) of every run that the ledger knows."""
        path = self.root / ".connect/state.db"
        if not path.exists():
            return []
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            found = ledger.execute("select mode, campaign, state from runs order by started_at, id").fetchall()
        ledger.close()
        return found

    def nothing_happened(self) -> None:
        """Nothing was sent, and no run has used up a fire time."""
        assert memory.counts("mail").messages == memory.counts("texts").messages == 0
        assert self.ledger == []


def _email(message: object) -> Email:
    assert isinstance(message, Email)
    return message


_SHORTEST = 6
"""Shorter cells are in every text."""
_STATUSES = {"subscribed", "unsubscribed", "bounced", "complained"}
"""Words of the product, whoever's cell they are in."""


def _texts(cell: object) -> list[str]:
    """A cell as it could be printed."""
    if isinstance(cell, str):
        return [part for part in (cell, *cell.splitlines()) if len(part) >= _SHORTEST and part not in _STATUSES]
    return [str(cell)] if isinstance(cell, int | date | datetime) and len(str(cell)) >= _SHORTEST else []


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    for name in ("CONNECT_SECRET", "CONNECT_TARGET", "SMTP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    memory.reset()
    yield Shop(tmp_path, monkeypatch, capsys)
    memory.reset()


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A real mail server."""
    with SmtpServer() as running:
        yield running
