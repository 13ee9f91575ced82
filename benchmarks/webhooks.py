"""A server that is told of so many events a second, for a while, with a ledger in SQLite and a DuckDB file to write to.

Wanted: 5,000 events a second on one core for a minute after two others, in memory that stays flat, and people who
unsubscribe meanwhile served within 50 ms.
Webhooks are signed, a hundred events in each, as SendGrid posts them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import cores
from benchmarks.rows import Row
from benchmarks.served import Served, posted
from benchmarks.sizes import Size

WANTED = 5_000
"""Events a second."""
_OFFERED = 5_200
"""A little more: who has the last answers waits for them, and that is in the time."""
_BOUND = 50
"""Milliseconds for 99 of 100 people who unsubscribe."""
_BATCH = 100
_CALLERS = 32
_SYNCED_EVERY = 0.05
"""Seconds."""
_SECRET = "only for this benchmark, and long enough"
_RUN = "01lg030gehin6t3j"
_PROJECT = """\
name: bench
secret: ${CONNECT_SECRET}
mode: live
sources:
  cafe: {url: "duckdb:///warehouse.duckdb"}
providers:
  mail: {type: sendgrid, api_key: "${CONNECT_SECRET}", webhook_public_key: KEY}
channels: {email: mail}
subscriptions: {write: connect_opt_outs}
destination: {}
serve: {base_url: "https://connect.example"}
"""
_STORED = {"campaign": {"message": {"content": [{"html": {"source": '<a href="https://x.example/{{ user.tier }}">'}}]}}}
_KINDS = ("delivered",) * 10 + ("open",) * 6 + ("click",) * 3 + ("bounce",)


def rows(size: Size) -> Iterator[Row]:
    if sys.platform != "linux":
        return
    with TemporaryDirectory() as folder, _Server(Path(folder)) as server:
        early = server.busy(2 * size.webhooks)  # in two minutes there is as much as it ever looks through again
        before = server.served.use().peak
        late = server.busy(size.webhooks)
        used, told, took = server.served.use(), early.told + late.told, early.took + late.took
        rate = told / took
        yield Row("webhooks_wanted", WANTED, "events/s")
        yield Row("webhooks", rate, "events/s", "webhooks_wanted", rate / WANTED)
        yield Row("webhooks_per_core", told / used.cpu, "events/s of CPU", "webhooks_wanted", told / used.cpu / WANTED)
        yield Row("webhooks_memory_early", before, "MB")
        yield Row("webhooks_memory", used.peak, "MB", "webhooks_memory_early", used.peak / before)
        yield Row("webhooks_unsubscribe_bound", _BOUND, "ms")
        yield Row("webhooks_disk", _slowest_but_one_in_a_hundred([*early.synced, *late.synced]), "ms")
        slow = _slowest_but_one_in_a_hundred([*early.waited, *late.waited])
        yield Row("webhooks_unsubscribe", slow, "ms", "webhooks_unsubscribe_bound", slow / _BOUND)


def _slowest_but_one_in_a_hundred(seconds: Sequence[float]) -> float:
    return sorted(seconds)[max(0, int(len(seconds) * 0.99) - 1)] * 1000 if seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Busy:
    told: int
    """Events that were taken."""
    took: float
    """Seconds."""
    waited: Sequence[float]
    """Of each who unsubscribed meanwhile, in seconds."""
    synced: Sequence[float]
    """How long the same disk took meanwhile to make a page durable: who unsubscribes waits for that several times."""


@dataclass
class _Server:
    """`connect serve` on a core of its own, with a run that events are about."""

    folder: Path
    signing: Any = None
    served: Any = None
    numbers: Iterator[int] = field(default_factory=count)
    leavers: Iterator[int] = field(default_factory=count)

    def __enter__(self) -> _Server:
        self._prepare()
        self.served = Served(self.folder, _SECRET)
        self.served.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.served.__exit__()

    def _prepare(self) -> None:
        import duckdb
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        from connect.clock import SystemClock
        from connect.ledger.records import NewRun
        from connect.ledger.store import Ledger
        from connect.pipeline.subscriptions import COLUMNS
        from connect.vocabulary import Mode
        from connect.warehouses.destination import deliveries_table, events_table
        from connect.warehouses.duckdb_dialect import DuckDBDialect
        from connect.warehouses.interface import Table

        self.signing = generate_private_key(SECP256R1())
        public = self.signing.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "connect.yml").write_text(_PROJECT.replace("KEY", base64.b64encode(public).decode()))
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            opt_outs = Table("connect_opt_outs", COLUMNS, ("change_key",))
            for table in (deliveries_table("connect_deliveries"), events_table("connect_events"), opt_outs):
                for statement in DuckDBDialect().create_table(table):
                    connection.execute(statement)
        state = f"sqlite:///{self.folder}/.connect/state.db"
        clock = SystemClock()
        with closing(Ledger.open(state, project="bench", target="default", clock=clock)) as ledger:
            run = NewRun(_RUN, Mode.live, "letter", clock.now(), True, "", json.dumps(_STORED), b"", b"")
            ledger.create_run(run)

    def busy(self, seconds: float) -> _Busy:
        """What became of so many seconds."""
        batches = max(2, int(_OFFERED * seconds / _BATCH))
        done, waited, synced = threading.Event(), list[float](), list[float]()
        began = time.monotonic()
        with cores.on(cores.RECEIVER), ThreadPoolExecutor(_CALLERS + 2) as pool:
            beside = [pool.submit(self._leave, done, waited), pool.submit(self._sync, done, synced)]
            turns = iter(range(batches))
            lock = threading.Lock()
            telling = [pool.submit(self._tell, turns, lock, began) for _ in range(_CALLERS)]
            told = sum(each.result() for each in telling)
            took = time.monotonic() - began
            done.set()
            for each in beside:
                each.result()
        return _Busy(told, took, waited, synced)

    def _tell(self, turns: Iterator[int], lock: threading.Lock, began: float) -> int:
        """Batches in their turn, each at its time."""
        told = 0
        with self.served.connection() as connection:
            while True:
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return told
                time.sleep(max(0.0, began + turn * _BATCH / _OFFERED - time.monotonic()))
                body, headers = self._webhook()
                while posted(connection, "/webhooks/mail", body, headers) != 200:
                    time.sleep(0.05)  # as a provider does that is told to come again
                told += _BATCH

    def _sync(self, done: threading.Event, synced: list[float]) -> None:
        with (self.folder / "page").open("wb", buffering=0) as file:
            while not done.wait(_SYNCED_EVERY):
                file.seek(0)
                file.write(bytes(4096))
                began = time.monotonic()
                os.fsync(file.fileno())
                synced.append(time.monotonic() - began)

    def _webhook(self) -> tuple[bytes, dict[str, str]]:
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        seconds = str(int(time.time()))
        body = json.dumps([_entry(next(self.numbers)) for _ in range(_BATCH)]).encode()
        signature = self.signing.sign(seconds.encode() + body, ECDSA(SHA256()))
        return body, {
            "content-type": "application/json",
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": seconds,
        }

    def _leave(self, done: threading.Event, waited: list[float]) -> None:
        """One after the other, about four a second."""
        from connect.identity import KeyRing, correlation_id, unsubscribe_token
        from connect.redact import Secret

        ring = KeyRing((Secret(_SECRET),))
        body, headers = b"List-Unsubscribe=One-Click", {"content-type": "application/x-www-form-urlencoded"}
        with self.served.connection() as connection:
            for number in self.leavers:
                key = _key(10_000_000 + number)
                claims = {"id": f"p{number}", "channel": "email", "address": f"p{number}@mail.example"}
                token = unsubscribe_token(ring, key, {**claims, "correlation": correlation_id(_RUN, key)})
                began = time.monotonic()
                if (status := posted(connection, f"/u/{token}", body, headers)) != 200:
                    raise SystemExit(f"who unsubscribed was told {status}")
                waited.append(time.monotonic() - began)
                if done.wait(0.25):
                    return


def _key(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def _entry(number: int) -> dict[str, object]:
    from connect.identity import correlation_id

    kind = _KINDS[number % len(_KINDS)]
    entry: dict[str, object] = {
        "email": f"person-{number}@mail.example",
        "timestamp": int(datetime.now(UTC).timestamp()),
        "event": kind,
        "sg_event_id": f"event-{number}",
        "sg_message_id": f"message-{number}",
        "connect_id": correlation_id(_RUN, _key(number // 3)),
    }
    more: dict[str, dict[str, object]] = {
        "click": {"url": "https://x.example/gold"},
        "bounce": {"type": "bounce" if number % 100 == 19 else "blocked", "reason": "550 no such user"},
    }
    return entry | more.get(kind, {})
