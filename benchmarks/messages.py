"""`POST /messages/{name}` to one person: what a call costs the server, and how long its caller waits.

Opt-outs are in a DuckDB file, the ledger is in SQLite. Nothing is sent: the account only counts.
Wanted: 50 ms of CPU at most, and an answer within 100 ms.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import cores
from benchmarks.rows import Row
from benchmarks.served import Served, posted
from benchmarks.sizes import Size

_COST, _WAIT = 50, 100
"""Milliseconds."""
_CALLERS, _WARMED = 8, 10
_SECRET = "only for this benchmark, and long enough"
_PROJECT = """\
name: bench
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  cafe: {{url: "duckdb:///warehouse.duckdb"}}
providers:
  mail: {{type: memory, keep: false}}
channels: {{email: mail}}
subscriptions: {{write: connect_opt_outs}}
serve:
  base_url: https://connect.example
  keys:
    shop: {{hash: "{hash}", scopes: [send], rate: 100000/s}}
"""
_MESSAGE = """\
transactional: true
content:
  - channel: email
    from: Cafe <cafe@cafe.example>
    subject: "{{ user.name }}, your order {{ user.order }}"
    html: "<p>Dear {{ user.name }},</p><p>your order {{ user.order }} is on its way.</p>"
"""


def rows(size: Size) -> Iterator[Row]:
    if sys.platform != "linux":
        return
    with TemporaryDirectory() as folder:
        key = _prepare(Path(folder))
        with Served(Path(folder), _SECRET) as server:
            _calls(server, key, 1, _WARMED)
            before = server.use().cpu
            alone = _calls(server, key, 1, size.calls)
            used = server.use().cpu - before
            together = _calls(server, key, _CALLERS, size.calls)
            peak = server.use().peak
    cost = used / size.calls * 1000
    yield Row("messages_bound", _COST, "ms of CPU a call")
    yield Row("messages", cost, "ms of CPU a call", "messages_bound", cost / _COST)
    yield Row("messages_wait_bound", _WAIT, "ms")
    for name, waited in (("messages_wait", alone), ("messages_wait_of_eight", together)):
        for share in (50, 99):
            found = sorted(waited)[max(0, round(len(waited) * share / 100) - 1)] * 1000
            yield Row(f"{name}_p{share}", found, "ms", "messages_wait_bound", found / _WAIT)
    yield Row("messages_memory", peak, "MB")


def _prepare(folder: Path) -> str:
    """The project; returns a key of its API."""
    import duckdb

    from connect.pipeline.subscriptions import COLUMNS
    from connect.project.api_keys import hash_of, new_key
    from connect.warehouses.duckdb_dialect import DuckDBDialect
    from connect.warehouses.interface import Table

    key = new_key()
    (folder / "messages").mkdir()
    (folder / "messages" / "shipped.yml").write_text(_MESSAGE)
    (folder / "connect.yml").write_text(_PROJECT.format(hash=hash_of(key)))
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        for statement in DuckDBDialect().create_table(Table("connect_opt_outs", COLUMNS, ("change_key",))):
            connection.execute(statement)
    return key


def _calls(server: Served, key: str, callers: int, count: int) -> list[float]:
    """The seconds that each of so many calls took, by so many callers at once."""
    with cores.on(cores.RECEIVER), ThreadPoolExecutor(callers) as pool:
        waited = pool.map(
            lambda caller: _one_after_the_other(server, key, range(caller, count, callers)), range(callers)
        )
        return [seconds for each in waited for seconds in each]


def _one_after_the_other(server: Served, key: str, numbers: range) -> list[float]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    waited = []
    with ExitStack() as stack:
        connection = stack.enter_context(server.connection())
        for number in numbers:
            person = {"id": str(number), "email": f"person-{number}@mail.example", "name": "Ada", "order": number}
            began = time.monotonic()
            status = posted(connection, "/messages/shipped", json.dumps({"recipients": [person]}).encode(), headers)
            waited.append(time.monotonic() - began)
            if status != 200:
                raise SystemExit(f"a call was answered {status}")
    return waited
