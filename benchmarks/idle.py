"""A daemon with many campaigns, none of which is due: what it takes to start, to read its files again, and to wait.

Wanted: under 1 % of a core and under 120 MB. Linux only: elsewhere nobody tells what a process that runs has used.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks.processes import installed
from benchmarks.rows import Row
from benchmarks.sizes import Size

_MOST_CPU, _MOST_MEMORY = 1_000, 120
"""Milliseconds of CPU in a hundred seconds, which is 1 % of a core; MB."""

_PROJECT = """\
name: bench
secret: ${CONNECT_SECRET}
mode: live
sources:
  cafe: {url: "duckdb:///warehouse.duckdb"}
providers:
  account: {type: smtp, host: localhost, security: none}
channels: {email: account}
unsubscribe: {url: "https://meridian.example/off?t={{ url.token }}"}
"""
_CAMPAIGN = """\
status: live
trigger: %s
audience:
  sql: select * from guests where visits > %d
  limits: {max: 100000}
message:
  content:
    - channel: email
      from: Café Meridian <letters@meridian.example>
      subject: "{{ user.first_name | default: 'Hello' }}, there is news"
      html: |
        <p>Dear {{ user.first_name }},</p>
        %s
        {{ url.unsubscribe }}
policy:
  quiet_hours: {from: 21:00, to: 08:00}
"""
_TRIGGERS = (
    '{type: recurring, cron: "0 9 29 2 *"}',
    '{type: recurring, cron: "0 9 29 2 *", timezone: Australia/Sydney, local_time: true}',
    "{type: scheduled, at: 2099-01-01T09:00}",
    "{type: immediate}",
)
"""Nothing of it comes within the benchmark; in a ledger that is fresh, what fires once counts as fired."""


@dataclass(frozen=True, slots=True)
class _Use:
    """What a process has used so far."""

    cpu: float
    """Seconds, user and system."""
    resident: float
    """MB."""


def rows(size: Size) -> Iterator[Row]:
    if sys.platform != "linux":
        return
    with _project(size.campaigns) as root, _daemon(root) as (process, lines):
        _until(lines, "campaign-adopted", size.campaigns)
        started = _use(process.pid)
        time.sleep(min(10.0, size.idle))  # it settles
        before = _use(process.pid)
        time.sleep(size.idle)
        after = _use(process.pid)
        process.send_signal(signal.SIGHUP)
        _until(lines, "files-read")
        time.sleep(min(2.0, size.idle))
        again = _use(process.pid)
    used = _milliseconds(before, after) / size.idle * 100
    yield Row("daemon_start_cpu", started.cpu * 1000, "ms of CPU")
    yield Row("daemon_reload_cpu", _milliseconds(after, again), "ms of CPU")
    yield Row("daemon_idle_cpu_bound", _MOST_CPU, "ms of CPU in 100 s")
    yield Row("daemon_idle_cpu", used, "ms of CPU in 100 s", "daemon_idle_cpu_bound", used / _MOST_CPU)
    yield Row("daemon_idle_memory_bound", _MOST_MEMORY, "MB")
    resident = max(after.resident, again.resident)
    yield Row("daemon_idle_memory", resident, "MB", "daemon_idle_memory_bound", resident / _MOST_MEMORY)


def _milliseconds(before: _Use, after: _Use) -> float:
    """Of CPU; less than a tick of the system's clock counts as one."""
    return max(after.cpu - before.cpu, 1 / os.sysconf("SC_CLK_TCK")) * 1000


@contextmanager
def _project(campaigns: int) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(_PROJECT, "utf-8")
        for number in range(campaigns):
            text = _CAMPAIGN % (_TRIGGERS[number % len(_TRIGGERS)], number, "There is news. " * 60)
            (root / "campaigns" / f"letter-{number:04}.yml").write_text(text, "utf-8")
        yield root


@contextmanager
def _daemon(root: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    process = subprocess.Popen(
        [installed("connect"), "daemon", "--log-format", "json"],
        cwd=root,
        env={**os.environ, "CONNECT_SECRET": "only for this benchmark"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, process.stderr:
        try:
            yield process, process.stderr
        finally:
            process.terminate()


def _until(lines: IO[str], action: str, times: int = 1) -> None:
    """Read what it says until it has said this so often."""
    for line in lines:
        times -= json.loads(line)["action"] == action
        if not times:
            return
    raise SystemExit(f"the daemon ended before it said `{action}`")


def _use(process: int) -> _Use:
    """By proc(5): times in clock ticks, fields 14 and 15 of stat, behind a name that may hold spaces."""
    stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    ticks = int(stat[11]) + int(stat[12])
    return _Use(ticks / os.sysconf("SC_CLK_TCK"), int(status["VmRSS"].split()[0]) / 1024)
