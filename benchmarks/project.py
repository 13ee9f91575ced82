"""A real project on disk: warehouse, connect.yml, one campaign, and the installed `connect` that runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from benchmarks import cores, guests, processes
from benchmarks.processes import Cost, installed
from benchmarks.straightforward import LETTERS, SUBJECT

Account = Callable[[int], str]
"""The port of a receiver → what stands behind `type:` of the account that sends to it."""

CONCURRENCY = 64
"""Messages in flight."""

_PROJECT = """\
name: bench
secret: ${CONNECT_SECRET}
mode: live
sources:
  cafe: {%s: "duckdb:///warehouse.duckdb"}
providers:
  account: {type: %s}
channels: {email: account, sms: account}
unsubscribe: {url: "https://meridian.example/off?t={{ url.token }}"}
"""

_CAMPAIGN = """\
status: live
trigger: {type: immediate}
audience:
  sql: select * from guests
  limits: {max: %d}
message:
  content:
"""

# Text messages have quiet hours where nothing else is written, and a benchmark does not wait for the morning.
TEXT_MESSAGE = """\
    - channel: sms
      body: {file: text_message.txt}
policy: {quiet_hours: {from: "00:00", to: "00:01"}}
"""

# The adapters of connect.testing are found as those of any package are.
_ENTRY_POINTS = """\
[connect.providers]
bench_http = connect.testing.http_provider:Http
bench_http_100 = connect.testing.http_provider:Http100
bench_noting = benchmarks.first_message:NotingProvider

[connect.warehouses]
bench_noting_duckdb = benchmarks.first_message:NotingDuckDB
"""

COUNTER = "memory, keep: false"
"""A provider that only counts, in the process itself."""


def smtp(port: int) -> str:
    return f"smtp, host: localhost, port: {port}, security: none, local_hostname: sender.example, {_flight()}"


def http(port: int, batch: int = 1) -> str:
    return f"bench_http{'' if batch == 1 else f'_{batch}'}, port: {port}, {_flight()}"


def _flight() -> str:
    return f"concurrency: {CONCURRENCY}"


def letter(language: str) -> str:
    """The content of a campaign: the 5 KB letter as text and HTML."""
    return (
        "    - channel: email\n"
        "      from: Café Meridian <letters@meridian.example>\n"
        f"      subject: {json.dumps(SUBJECT)}\n"
        f"      html: {{file: {language}.html}}\n"
        f"      text: {{file: {language}.txt}}\n"
    )


@contextmanager
def warehouse(count: int) -> Iterator[Path]:
    """A DuckDB file with so many guests."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "warehouse.duckdb"
        guests.build(file, count)
        yield file


@contextmanager
def project(file: Path, count: int, account: str, content: str, source: str = "url") -> Iterator[Path]:
    """A project over this warehouse, without a ledger yet; `source` are the keys before the warehouse's URL."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        plugin = root / "plugins" / "bench-0.dist-info"
        for each in (root / "campaigns", plugin):
            each.mkdir(parents=True)
        shutil.copytree(LETTERS, root / "templates")
        (root / "warehouse.duckdb").symlink_to(file)
        (root / "connect.yml").write_text(_PROJECT % (source, account), "utf-8")
        (root / "campaigns" / "letters.yml").write_text(_CAMPAIGN % count + content, "utf-8")
        (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 0\n")
        (plugin / "entry_points.txt").write_text(_ENTRY_POINTS)
        yield root


def run(
    root: Path,
    count: int,
    *,
    workers: int = 1,
    on: Sequence[int] = cores.CLIENT,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Cost:
    """`connect run`, which must send to everybody."""
    command = [installed("connect"), "run", "letters", "--yes", "--json", *_workers(workers)]
    cost = processes.measured(command, root, {**environment(root), **more}, on)
    outcomes = json.loads(cost.output)["outcomes"] if cost.output else {}
    if cost.code or outcomes.get("sent") != count:
        raise SystemExit(f"the run to {count:,} guests ended with {outcomes}")
    return cost


def environment(root: Path) -> dict[str, str]:
    path = [str(root / "plugins"), str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"CONNECT_SECRET": "only for this benchmark", "PYTHONPATH": os.pathsep.join(path)}


def _workers(count: int) -> list[str]:
    return ["--workers", str(count)] if has_workers() else []


@cache
def has_workers() -> bool:
    """Whether a run can be shared by several processes."""
    return (
        "--workers"
        in subprocess.run([installed("connect"), "run", "--help"], capture_output=True, text=True, check=True).stdout
    )
