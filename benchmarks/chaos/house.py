"""A project on disk, its ledger as seen from outside, and the processes that are fired at."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.chaos.people import Standing
from benchmarks.chaos.scenario import FCM, POSTMARK, RESEND, Scenario
from benchmarks.chaos.written import Written
from connect.clock import SystemClock
from connect.identity import KeyRing
from connect.ledger.owner import Owner
from connect.ledger.records import RunRecord, Tally
from connect.ledger.store import Ledger
from connect.redact import Secret
from connect.testing.receivers import Receivers

LEASE = 2.0
TIMEOUT = 5.0
"""Of a call, in seconds."""
SECRET = "only for the harness, and of no use"

OPENING = threading.Lock()
"""Alembic migrates one database at a time in a process."""

_PROJECT = """\
name: chaos
secret: ${{CONNECT_SECRET}}
mode: live
state: {state}
sources:
  shop: {{url: "{source}"}}
{destination}
providers:
  account: {{type: {adapter}, {settings}, concurrency: {concurrency}, timeout: {timeout:.0f}s}}
channels: {{{channel}: account}}
unsubscribe: {{url: "https://chaos.example/off?t={{{{ url.token }}}}"}}
"""

_CAMPAIGN = """\
status: live
trigger: {{type: immediate}}
audience:
  sql: select * from people
  limits: {{max: 1000000}}
message:
  content:
    - channel: {content}
policy: {{in_doubt: {policy}}}
"""
_EMAIL = """email
      from: Chaos <chaos@chaos.example>
      subject: "Number {{ user.id }}"
      text: "You are number {{ user.id }}. {% random 6 %}\""""
_PUSH = """push
      title: "Number {{ user.id }}"
      body: "You are number {{ user.id }}. {% random 6 %}\""""

_SETTINGS = {
    "http": "port: {port}",
    "smtp": "host: localhost, port: {smtp_port}, security: none, local_hostname: sender.example",
    POSTMARK: 'server_token: "${{CHAOS_KEY}}", endpoint_url: "{url}"',
    RESEND: 'api_key: "${{CHAOS_KEY}}", endpoint_url: "{url}"',
    FCM: 'service_account: "${{CHAOS_ACCOUNT}}", endpoint_url: "{url}"',
}
"""By receiver."""

_ENTRY_POINTS = """\
[connect.providers]
chaos_plain_1 = connect.testing.http_provider:Http
chaos_plain_100 = connect.testing.http_provider:Http100
chaos_plain_1000 = connect.testing.http_provider:Http1000
chaos_idempotent_1 = connect.testing.http_provider:HttpRemembered
chaos_idempotent_100 = connect.testing.http_provider:HttpRemembered100
chaos_idempotent_1000 = connect.testing.http_provider:HttpRemembered1000
chaos_request_key_1 = connect.testing.http_provider:HttpRequestKey
chaos_request_key_100 = connect.testing.http_provider:HttpRequestKey100
chaos_request_key_1000 = connect.testing.http_provider:HttpRequestKey1000
"""


def started(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The installed `connect`, which writes into this file."""
    command = [str(Path(sys.executable).with_name("connect")), *arguments]
    with log.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )


class House:
    """One project for one scenario."""

    def __init__(self, root: Path, scenario: Scenario, receivers: Receivers, state: str) -> None:
        self.root = root
        self._logs: list[Path] = []
        self._state, self._workers = state, scenario.workers
        self._environment = {"CONNECT_SECRET": SECRET, "CHAOS_KEY": SECRET}
        if scenario.receiver == FCM:
            self._environment["CHAOS_ACCOUNT"] = _service_account(receivers)
        self._ledger: Ledger | None = None
        self._ring = KeyRing((Secret(SECRET),))
        _write(root, scenario, receivers, state)

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """A process that runs the campaign, or goes on with its run."""
        log = self.root / f"log-{len(self._logs)}"
        self._logs.append(log)
        arguments = ["--lease", str(LEASE), "--workers", str(self._workers), "--project", str(self.root), *more]
        environment = {**os.environ, **self._environment, "PYTHONPATH": self._path()}
        return started(["run", "news", "--yes", "--json", *arguments], environment, log)

    def _path(self) -> str:
        """Where the adapters of the harness are found as entry points, before whatever was there."""
        return os.pathsep.join([str(self.root / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])])

    def last_words(self) -> str:
        """What the last processes said."""
        return "\n".join(f"{log.name}: {log.read_text()[-600:]}" for log in self._logs[-3:])

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            with OPENING:
                self._ledger = Ledger.open(self._state, project="chaos", target="default", clock=SystemClock())
        return self._ledger

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def run(self) -> RunRecord | None:
        """The only run that there is, once it has its row."""
        return next(iter(self.ledger.runs(campaign="news")), None)

    def epoch(self) -> int:
        """How often the run was claimed."""
        run = self.run()
        return self.ledger.slice(run.id).epoch if run else 0

    def wait_for_lease(self) -> None:
        """Until the lease of a process that says nothing has run out."""
        run = self.run()
        if run is not None:
            left = self.ledger.slice(run.id).lease_until - datetime.now(UTC)
            time.sleep(max(0.0, left.total_seconds()))

    def held_by(self, pid: int) -> bool:
        """Whether this process holds the run."""
        run = self.run()
        owner = self.ledger.slice(run.id).owner if run else ""
        return bool(owner) and Owner.read(owner).pid == pid

    def standing(self) -> Standing | None:
        """Where the run stands; None before it exists."""
        run = self.run()
        if run is None or run.salt is None or run.secret is None:
            return None
        slice = self.ledger.slice(run.id)
        intents = self.ledger.intents(slice.id)
        return Standing(
            cursor=slice.cursor,
            salt=self._ring.open("run salt", run.salt).decode(),
            secret=self._ring.open("run secret", run.secret),
            near={intent.key for intent in intents},
            in_doubt={intent.key for intent in intents if intent.outcome is None},
            calls={intent.key: intent.call for intent in intents if intent.outcome is None},
        )

    def tallies(self) -> list[Tally]:
        run = self.run()
        return self.ledger.tallies(run.id) if run else []


def _write(root: Path, scenario: Scenario, receivers: Receivers, state: str) -> None:
    url = f"http://127.0.0.1:{receivers.http_port}"
    settings = _SETTINGS[scenario.receiver].format(port=receivers.http_port, smtp_port=receivers.smtp_port, url=url)
    project = _PROJECT.format(
        state=state,
        source=Written.beside(state).url if scenario.written else "duckdb:///shop.duckdb",
        destination="destination: {}" if scenario.written else "",
        adapter=scenario.adapter,
        settings=settings,
        channel="push" if scenario.is_push else "email",
        concurrency=scenario.concurrency,
        timeout=TIMEOUT,
    )
    content = _PUSH if scenario.is_push else _EMAIL
    plugin = root / "plugins" / "chaos-0.dist-info"
    for folder in (root / "campaigns", plugin):
        folder.mkdir(parents=True)
    (root / "connect.yml").write_text(project)
    (root / "campaigns" / "news.yml").write_text(_CAMPAIGN.format(content=content, policy=scenario.policy))
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 0\n")
    (plugin / "entry_points.txt").write_text(_ENTRY_POINTS)


def _service_account(receivers: Receivers) -> str:
    """The JSON of an account whose access tokens come from the receiver."""
    from connect.testing.fakes.fcm import FcmFake

    return FcmFake().service_account(f"http://127.0.0.1:{receivers.http_port}")
