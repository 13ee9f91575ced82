"""`connect daemon` with hundreds of campaigns, none of which is due."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

COMMAND = str(Path(sys.executable).with_name("connect"))
COUNT = 100
TRIGGERS = (
    '{type: recurring, cron: "0 9 1 1 *", local_time: true}',
    "{type: scheduled, at: 2099-01-01T09:00}",
    "{type: immediate}",
)
PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
mode: live
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {mail: {type: smtp, host: localhost, security: none}}
channels: {email: mail}
unsubscribe: {url: "https://acme.example/off?t={{ url.token }}"}
"""
CAMPAIGN = """\
status: live
trigger: TRIGGER
audience: {sql: "select id, email, first_name, subscribed from people", limits: {max: 1000}}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "News for {{ user.first_name | default: 'you' }}"
      html: "<p>Dear {{ user.first_name }}</p> {{ url.unsubscribe }}"
"""
HEAVY = {"duckdb", "pyarrow", "sqlglot", "liquid", "babel", "boto3", "botocore"}
"""What only a run needs: a daemon that waits for one has not even imported it."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "connect.yml").write_text(PROJECT)
    for number in range(COUNT):
        text = CAMPAIGN.replace("TRIGGER", TRIGGERS[number % len(TRIGGERS)])
        (tmp_path / "campaigns" / f"c{number:03}.yml").write_text(text)
    return tmp_path


def test_a_daemon_that_idles_has_imported_nothing_that_only_runs_need(project: Path) -> None:
    """A ledger that is fresh fires nothing that fires once, so that nothing at all is due."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", COMMAND, "daemon", "--log-format", "json"],
        cwd=project,
        env={**os.environ, "CONNECT_SECRET": "a secret that is only for tests"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    patience = Timer(90.0, process.kill)  # so that a daemon that adopts nothing fails the test
    patience.start()
    with process, process.stderr:
        imported, adopted = set(), 0
        for line in process.stderr:
            found = re.match(r"import time: .*\| +([\w.]+)$", line)
            imported |= {found[1].partition(".")[0]} if found else set()
            adopted += not found and line.startswith("{") and json.loads(line)["action"] == "campaign-adopted"
            if adopted == COUNT:
                process.send_signal(signal.SIGTERM)
                adopted += 1  # once
    patience.cancel()
    assert process.returncode == 0
    assert {"connect", "sqlalchemy"} <= imported
    assert not imported & HEAVY
