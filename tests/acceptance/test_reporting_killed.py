"""A server that is killed while providers report: what was answered is there, and nothing is there twice."""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import duckdb

from connect.clock import SystemClock
from connect.identity import correlation_id, message_key
from connect.ledger.records import NewRun
from connect.ledger.store import Ledger
from connect.pipeline.subscriptions import COLUMNS
from connect.providers.signatures import standard_signature
from connect.redact import Secret
from connect.vocabulary import Mode
from connect.warehouses.destination import deliveries_table, events_table
from connect.warehouses.duckdb_dialect import DuckDBDialect
from connect.warehouses.interface import Table
from tests.acceptance.test_serving import Server

KILLS = int(os.environ.get("KILLS", "3"))
EVENTS = 30 * (KILLS + 1)
RUN = "01lg030gehin6t3j"
SIGNING = "whsec_" + base64.b64encode(b"only for these tests").decode()
MORE = """
  reports: {type: resend, api_key: "${SIGNING}", webhook_secret: "${SIGNING}"}
subscriptions: {write: connect_opt_outs}
destination: {}
channels:"""


class World:
    """A provider that reports until it is answered, and a server that is killed meanwhile."""

    def __init__(self, shop) -> None:
        self.shop, self.server, self.answered = shop, None, 0
        self.lock = threading.Condition()
        shop.environment["SIGNING"] = SIGNING
        file = shop.root / "connect.yml"
        file.write_text(file.read_text().replace("\nchannels:", MORE, 1))
        with duckdb.connect(str(shop.root / "shop.duckdb")) as connection:
            opt_outs = Table("connect_opt_outs", COLUMNS, ("change_key",))
            for table in (deliveries_table("connect_deliveries"), events_table("connect_events"), opt_outs):
                for statement in DuckDBDialect().create_table(table):
                    connection.execute(statement)
        with closing(self.ledger()) as ledger:
            ledger.create_run(NewRun(RUN, Mode.live, "news", datetime.now(UTC), True, "", "{}", b"", b""))

    def ledger(self) -> Ledger:
        state = f"sqlite:///{self.shop.root}/.connect/state.db"
        return Ledger.open(state, project="acme", target="default", clock=SystemClock())

    def start(self) -> None:
        self.server = Server(self.shop)

    def report(self, number: int) -> None:
        """Every third one is a complaint."""
        key = message_key(b"secret", str(number), "email", "")
        data = {
            "to": [f"person-{number}@mail.example"],
            "tags": {"connect_id": self._tag(key)},
            "email_id": str(number),
        }
        kind = "complained" if number % 3 == 0 else "delivered"
        body = json.dumps({"type": f"email.{kind}", "created_at": datetime.now(UTC).isoformat(), "data": data}).encode()
        while not self._taken(f"msg_{number}", body):
            with self.lock:
                self.lock.wait(0.1)  # a provider that tries again
        with self.lock:
            self.answered += 1
            self.lock.notify_all()

    def _tag(self, key: bytes) -> str:
        return correlation_id(RUN, key).replace(".", "-")

    def _taken(self, name: str, body: bytes) -> bool:
        seconds = int(time.time())
        headers = {
            "svix-id": name,
            "svix-timestamp": str(seconds),
            "svix-signature": standard_signature(Secret(SIGNING), name, seconds, body),
        }
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"), timeout=30)
        with closing(connection):
            try:
                connection.request("POST", "/webhooks/reports", body, headers)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return False
            assert status in (200, 503)
            return status == 200

    def kill_after(self, answers: int) -> None:
        """In the midst of it."""
        with self.lock:
            self.lock.wait_for(lambda: self.answered >= answers)
        self.server.kill()
        self.start()


def test_what_was_answered_is_there_and_nothing_is_there_twice(shop):
    world = World(shop)
    world.start()
    with ThreadPoolExecutor(8) as pool:
        reports = [pool.submit(world.report, number) for number in range(EVENTS)]
        for kill in range(KILLS):
            world.kill_after(20 + 30 * kill)
        for each in reports:
            each.result()
    assert world.server.stop() == 0

    with closing(world.ledger()) as ledger:
        counted = {one.type: (one.count, one.firsts) for one in ledger.events(RUN)}
        held = len(ledger.held())
    complaints = len(range(0, EVENTS, 3))
    assert counted == {"complained": (complaints,) * 2, "delivered": (EVENTS - complaints,) * 2}
    with duckdb.connect(str(shop.root / "shop.duckdb")) as connection:
        rows = connection.execute("select type, count(*), count(distinct message_key) from connect_events group by 1")
        assert {type: (count, keys) for type, count, keys in rows.fetchall()} == counted
        (written,) = connection.execute("select count(distinct address) from connect_opt_outs").fetchone()
    assert written + held >= complaints >= written
