"""A provider whose capacity changes, and a rate that two processes share: what a receiver of its own counts.

By the clock, and not by CPU: it is about when messages leave.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import project
from benchmarks.processes import installed
from benchmarks.rows import Row
from benchmarks.sizes import Size
from connect.testing.limiter import Found, Limiter, Phase

_NOTE = """\
    - channel: email
      from: Café Meridian <letters@meridian.example>
      subject: Your table
      text: See you soon.
"""

RATE = 100
"""Messages a second that two processes share."""


def changing(size: Size) -> Iterator[Row]:
    """200 calls a second, then 60, then 200 again."""
    phases = [Phase(size.phase, calls) for calls in (200, 60, 200)]
    found = _sent(phases)
    taken = found.calls - found.throttled
    yield Row("throttled_possible", found.possible, f"calls in {3 * size.phase:g} s")
    yield Row("throttled_taken", taken, "calls", "throttled_possible", taken / found.possible)
    yield Row("throttled_made", found.calls, "calls")
    yield Row("throttled_429", found.throttled, "calls", "throttled_made", found.throttled / found.calls)


def _sent(phases: list[Phase]) -> Found:
    """A whole run, to so many that the last phase is over before the last of them is sent to."""
    people = int(sum(phase.seconds * phase.calls for phase in phases) * 1.1) + 50
    with Limiter(phases) as limiter, project.warehouse(people) as file:
        account = f"bench_http, port: {limiter.port}, concurrency: 16"
        with project.project(file, people, account, _NOTE) as root:
            project.run(root, people)
        return limiter.found()


def two_processes(size: Size) -> Iterator[Row]:
    """Two campaigns at once, each by a process of its own, by one account that has a rate."""
    people = int(RATE * size.phase / 2) + 10
    with Limiter([Phase(1, 1e6)], burst=1e6) as limiter, project.warehouse(people) as file:
        account = f"bench_http, port: {limiter.port}, concurrency: 64, rate: {RATE}/s"
        with project.project(file, people, account, _NOTE) as root:
            shutil.copy(root / "campaigns" / "letters.yml", root / "campaigns" / "others.yml")
            running = [_run(root, campaign) for campaign in ("letters", "others")]
            sent = sum(json.loads(process.communicate()[0])["outcomes"]["sent"] for process in running)
        found = limiter.found()
    if (sent, found.messages) != (2 * people, 2 * people):
        raise SystemExit(f"of {2 * people:,} messages, {sent:,} were sent and {found.messages:,} came")
    name = "two_processes_one_rate"
    yield Row(f"{name}_allowed", RATE, "msg in any second")
    yield Row(f"{name}_most", found.busiest, "msg in a second", f"{name}_allowed", found.busiest / RATE)


def _run(root: Path, campaign: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [installed("connect"), "run", campaign, "--yes", "--json", "--workers", "1"],
        cwd=root,
        env={**os.environ, **project.environment(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
