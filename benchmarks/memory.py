"""Peak memory of whole runs to a provider that only counts: it must not grow with the audience."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rows import Row

_PROJECT = """\
name: bench
secret: ${CONNECT_SECRET}
mode: live
sources:
  warehouse: {url: "duckdb:///warehouse.duckdb"}
providers:
  counter: {type: memory, keep: false}
channels: {sms: counter}
"""

_CAMPAIGN = """\
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: %d}
message:
  content:
    - channel: sms
      body: "Hi {{ user.first_name }}, you have {{ user.points }} points on the {{ user.plan }} plan."
"""

_PEOPLE = """
create table people as
select i as id, 'person' || i || '@example.com' as email, '+614' || lpad((12000000 + i %% 80000000)::varchar, 8, '0')
  as phone_number, 'Name ' || i as first_name, 'Family ' || (i %% 9973) as last_name, 'plan ' || (i %% 5) as plan,
  i %% 1000 as points, (i %% 100) / 4.0 as balance, date '2020-01-01' + (i %% 2000)::integer as joined_on,
  'city ' || (i %% 300) as city, 'en' as locale, i %% 3 = 0 as vip
from range(%d) as t(i)
"""


def rows(sizes: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)) -> Iterator[Row]:
    """Peak memory and rate at each size; memory as a ratio to the million's."""
    found = {size: _run(size) for size in sizes}
    base = 1_000_000 if 1_000_000 in found else sizes[0]
    for size, (peak, rate) in found.items():
        name = f"memory_{_short(size)}"
        yield Row(name, peak, "MB", f"memory_{_short(base)}", peak / found[base][0])
        yield Row(f"rate_{_short(size)}", rate, "messages/s", f"rate_{_short(base)}", rate / found[base][1])


def _run(size: int) -> tuple[float, float]:
    """(peak resident memory in MB, messages a second) of one whole `connect run`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(_PROJECT)
        (root / "campaigns" / "all.yml").write_text(_CAMPAIGN % size)
        _build(root / "warehouse.duckdb", size)
        return _measured(root, size)


def _build(file: Path, size: int) -> None:
    # In a process of its own: the memory of building must not be counted.
    script = f"import duckdb; duckdb.connect({str(file)!r}).execute({_PEOPLE % size!r})"
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def _measured(root: Path, size: int) -> tuple[float, float]:
    command = [str(Path(sys.executable).with_name("connect")), "run", "all", "--yes", "--json"]
    began = time.monotonic()
    environment = {**os.environ, "CONNECT_SECRET": "only for this benchmark"}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or report["outcomes"]["sent"] != size:
        raise SystemExit(f"the run of {size:,} ended with {report['outcomes']}")
    return usage.ru_maxrss / 1024, size / (time.monotonic() - began)


def _short(size: int) -> str:
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1000}k"
