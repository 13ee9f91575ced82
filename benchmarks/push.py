"""Push messages to APNs, over HTTP/2 and TLS: by the adapter alone, and in a whole run.

APNs is a process on another core (`benchmarks.pushing`), which also counts the connections.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import cores, project
from benchmarks.rows import Row
from benchmarks.sizes import Size
from benchmarks.stopwatch import rates
from connect.channels.message import Outgoing
from connect.providers.apns import Apns, Settings
from connect.providers.interface import Account, Status
from connect.redact import Secret
from connect.testing.messages import a_push

_MESSAGES = 50_000
"""Of a whole run, at most."""
_TURN = 1_000
"""That the adapter sends in one go."""
_FLIGHT = Apns.capabilities.default_concurrency


def rows(size: Size) -> Iterator[Row]:
    """Messages per second of this side's CPU, the library's threads included; and the connections of the run."""
    count = min(size.people, _MESSAGES)
    with _apple() as apple:
        yield Row("push_adapter", _adapter(apple, size), "messages/s of CPU")
        apple.received()
        cpu = _run(apple, count)
        messages, connections = apple.received()
        if messages != count:
            raise SystemExit(f"{messages:,} push messages arrived instead of {count:,}")
    yield Row("push_run", count / cpu, "messages/s of CPU")
    yield Row("push_run_connections", connections, "connections")


class _Apple:
    """The process that stands for APNs."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder
        """Of its `ca.pem`."""
        self.url = f"https://localhost:{self._line()}"

    def received(self) -> tuple[int, int]:
        """(messages, connections) since this was asked last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        messages, connections = self._line()
        return messages, connections

    def _line(self) -> list[int]:
        assert self._process.stdout is not None
        found: list[int] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def _apple() -> Iterator[_Apple]:
    with TemporaryDirectory() as folder:
        with cores.on(cores.RECEIVER):
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.pushing", folder],
                stdin=subprocess.PIPE,  # it ends when this end is closed, also when this process is killed
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            yield _Apple(process, Path(folder))
        finally:
            process.communicate()


def _adapter(apple: _Apple, size: Size) -> float:
    messages = [a_push(number) for number in range(_TURN)]
    with cores.on(cores.CLIENT), asyncio.Runner(loop_factory=_loop) as runner:
        adapter = runner.run(_opened(apple))
        found = rates({"apns": lambda: runner.run(_send(adapter, messages))}, size)
        runner.run(adapter.close())
    return found["apns"]


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _opened(apple: _Apple) -> Apns:
    adapter = Apns(Account("apns", _settings(apple), Path(), _FLIGHT, timedelta(seconds=30)))
    await adapter.open()
    return adapter


def _settings(apple: _Apple) -> Settings:
    return Settings.model_validate(
        {
            "team_id": "BENCH00001",
            "key_id": "BENCH00001",
            "private_key": Secret(_key()),
            "topic": "example.meridian.cafe",
            "endpoint_url": apple.url,
            "ca_file": str(apple.folder / "ca.pem"),
        }
    )


def _key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def _send(adapter: Apns, messages: list[Outgoing]) -> int:
    """Everything, as many at a time as a run would have."""
    waiting = list(messages)

    async def lane() -> None:
        while waiting:
            (receipt,) = await adapter.send([waiting.pop()])
            assert receipt.status is Status.accepted, receipt

    await asyncio.gather(*(lane() for _ in range(_FLIGHT)))
    return len(messages)


_CAMPAIGN = """\
status: live
trigger: {type: immediate}
audience:
  sql: >-
    select *, md5(id::varchar) || md5(email) as device_token, 'ios' as platform from guests
  limits: {max: %d}
message:
  content:
    - channel: push
      title: "{{ user.first_name }}, the {{ user.store }} misses you"
      body: "{{ user.points }} points are waiting for you in {{ user.city }}"
      badge: "1"
      sound: default
      data: {referral: "{{ user.referral_code }}"}
"""


def _run(apple: _Apple, count: int) -> float:
    """Seconds of CPU that `connect run` takes: start, audience, rendering, sending, ledger."""
    account = (
        "apns, team_id: BENCH00001, key_id: BENCH00001, topic: example.meridian.cafe, private_key: '${file:key.p8}', "
        f"endpoint_url: {json.dumps(apple.url)}, ca_file: {json.dumps(str(apple.folder / 'ca.pem'))}, "
        f"concurrency: {_FLIGHT}"
    )
    with project.warehouse(count) as file, project.project(file, count, account, "") as root:
        connect = root / "connect.yml"
        connect.write_text(connect.read_text("utf-8").replace("{email: account, sms: account}", "{push: account}"))
        (root / "campaigns" / "letters.yml").write_text(_CAMPAIGN % count, "utf-8")
        (root / "key.p8").write_text(_key())
        return project.run(root, count).cpu
