"""People who unsubscribe while the server is killed, and while somebody else holds the warehouse's file.

Whoever was told that they are unsubscribed is in the user's table in the end.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.chaos.house import OPENING, SECRET
from benchmarks.chaos.ledgers import ledger_at
from benchmarks.chaos.trial import Trouble
from connect.clock import SystemClock
from connect.identity import KeyRing, unsubscribe_token
from connect.ledger.store import Ledger
from connect.redact import Secret

_CLIENTS = 3
_PATIENCE = 120.0
_PROJECT = """\
name: chaos
secret: ${{CONNECT_SECRET}}
state: {state}
sources: {{shop: {{url: "duckdb:///shop.duckdb"}}}}
subscriptions: {{write: connect_opt_outs}}
serve: {{base_url: "http://127.0.0.1:{port}", listen: "127.0.0.1:{port}"}}
"""
# Half of the time somebody reads the file or writes to it, as a job of the user's does.
_NEIGHBOUR = """\
import duckdb, random, sys, time
chance = random.Random(int(sys.argv[2]))
while True:
    for pause in (0.05,) * 100:
        try:
            with duckdb.connect(sys.argv[1], read_only=chance.random() < 0.7):
                print("held", flush=True)
                time.sleep(chance.uniform(0, 1.6))
                break
        except duckdb.IOException:
            time.sleep(pause)
    time.sleep(chance.uniform(0, 1.6))
"""


@dataclass(frozen=True)
class Exodus:
    """What one server goes through."""

    ledger: str
    kills: int = 100

    def __str__(self) -> str:
        return f"unsubscribe, {self.ledger}"


@dataclass
class Departures:
    """What came of it."""

    kills: int = 0
    asked: int = 0
    acknowledged: set[str] = field(default_factory=set)
    held: int = 0
    """Opt-outs that were in the ledger alone at the instants of kills."""
    written: set[str] = field(default_factory=set)
    slowest: list[float] = field(default_factory=list)
    """Milliseconds of each answer."""

    @property
    def lost(self) -> int:
        return len(self.acknowledged - self.written)

    def problems(self) -> Iterator[str]:
        if self.lost:
            yield f"{self.lost} who were told that they are unsubscribed are not in the table"
        if not self.acknowledged:
            yield "nobody was unsubscribed"
        if strangers := {who for who in self.written if not who.startswith("person-")}:
            yield f"{len(strangers)} are in the table who never asked"

    def row(self) -> dict[str, object]:
        times = sorted(self.slowest) or [0.0]
        return {
            "kills": self.kills,
            "acknowledged": len(self.acknowledged),
            "held at a kill": self.held,
            "in the table": len(self.written),
            "lost": self.lost,
            "median ms": round(times[len(times) // 2], 1),
            "p99 ms": round(times[int(len(times) * 0.99)], 1),
        }


def departures(exodus: Exodus, seed: int, root: Path) -> Departures:
    """Kill the server while people leave; then let it be, and look. Raises Trouble."""
    random = Random(f"{seed} {exodus}")
    with ledger_at(exodus.ledger, root) as place:
        street = _Street(root, place.url, random)
        with street.neighbour(seed), street.leaving():
            for _ in range(exodus.kills):
                street.kill()
        return street.quiet()


class _Street:
    """The project, its server, its clients."""

    def __init__(self, root: Path, state: str, random: Random) -> None:
        import duckdb

        self._root, self._state, self._random = root, state, random
        self._port = _free_port()
        (root / "connect.yml").write_text(_PROJECT.format(state=state, port=self._port))
        duckdb.connect(str(root / "shop.duckdb")).close()
        self._environment = {**os.environ, "CONNECT_SECRET": SECRET}
        self._command = [str(Path(sys.executable).with_name("connect"))]
        subprocess.run(
            [*self._command, "subscriptions", "init", "--yes", "--project", str(root)],
            env=self._environment,
            check=True,
            capture_output=True,
        )
        self._ring = KeyRing((Secret(SECRET),))
        self._found, self._guard = Departures(), threading.Lock()
        self._over = threading.Event()

    # The server

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._root / "log").open("ab") as log:
            command = [*self._command, "serve", "--project", str(self._root)]
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        """Start it, and kill it at some instant: while it begins, or while people leave."""
        process = self._start()
        try:
            if self._random.random() < 0.9:
                before = len(self._found.acknowledged)
                self._until(lambda: len(self._found.acknowledged) > before, process, "an answer")
            time.sleep(self._random.uniform(0, 0.7))
        finally:
            process.kill()
            process.wait()
        self._found.kills += 1
        with self._ledger() as ledger:
            self._found.held += ledger.held_count()

    def quiet(self) -> Departures:
        """Nobody leaves any more, and nobody holds the file: the server writes what is left."""
        process = self._start()
        try:
            with self._ledger() as ledger:
                self._until(lambda: ledger.held_count() == 0, process, "what is held to be written")
        finally:
            process.terminate()
            process.wait()
        self._found.written = self._written()
        return self._found

    def _until(self, happened: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not happened():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"waited in vain for {what}\n{(self._root / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        with OPENING:
            ledger = Ledger.open(self._state, project="chaos", target="default", clock=SystemClock())
        with closing(ledger):
            yield ledger

    def _written(self) -> set[str]:
        import duckdb

        with duckdb.connect(str(self._root / "shop.duckdb"), read_only=True) as opened:
            rows = opened.execute("select distinct id from connect_opt_outs where status = 'unsubscribed'")
            return {id for (id,) in rows.fetchall()}

    # Who else is there

    @contextmanager
    def neighbour(self, seed: int) -> Iterator[None]:
        command = [sys.executable, "-c", _NEIGHBOUR, str(self._root / "shop.duckdb"), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def leaving(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._leave, args=(number,)) for number in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _leave(self, client: int) -> None:
        """One person after the other; who is not answered asks again."""
        number = 0
        while not self._over.is_set():
            who = f"person-{client}-{number}"
            if self._answered(who):
                with self._guard:
                    self._found.acknowledged.add(who)
                number += 1
            time.sleep(0.01)

    def _answered(self, who: str) -> bool:
        claims = {"id": who, "address": f"{who}@mail.example", "channel": "email", "topic": "", "correlation": ""}
        token = unsubscribe_token(self._ring, os.urandom(16), claims)
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", f"/u/{token}", b"List-Unsubscribe=One-Click", headers)
            answered = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        with self._guard:
            self._found.slowest.append((time.monotonic() - began) * 1000)
        return answered


def _free_port() -> int:
    import socket

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
