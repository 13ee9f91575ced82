"""`connect serve` as a process: what it does with signals and files, and with the daemon beside it."""

from __future__ import annotations

import json
import os
import select
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

PATIENCE = 90.0
"""Seconds after which a server that does not do what is waited for is killed, so that the test fails and says why."""


class Server:
    """A server whose log lines are read as they come."""

    def __init__(self, shop, *arguments):
        self.process = shop.start("serve", "--listen", "127.0.0.1:0", "--log-format", "json", *arguments)
        self.lines = []
        self._reading = self._read()
        self._timer = Timer(PATIENCE, self.process.kill)
        self._timer.start()
        self.url = self.until("serving")["url"]

    def _read(self) -> Iterator[dict]:
        for text in self.process.stderr:
            if text.startswith("{"):
                self.lines.append(json.loads(text))
                yield self.lines[-1]
            else:
                self.lines.append({"action": "", "text": text})

    def until(self, action, **values):
        for line in self._reading:
            if line["action"] == action and values.items() <= line.items():
                return line
        raise AssertionError(f"it ended before `{action}`: {self.lines}")

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.status, answer.read()

    def ended(self):
        for _ in self._reading:
            pass
        self._timer.cancel()
        return self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self):
        self.process.kill()
        return self.ended()


@pytest.fixture
def serving(shop):
    started = []

    def start(*arguments):
        started.append(Server(shop, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def children(process) -> list[int]:
    """Of a process that runs."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_it_answers_until_sigterm_and_ends_well(shop, serving):
    shop.people(1).campaign()
    one = serving()

    assert one.ask("/livez") == (200, b"ok")
    assert one.ask("/readyz")[0] == 200
    assert one.stop() == 0
    assert one.lines[-1]["action"] == "stopped"
    with pytest.raises(urllib.error.URLError):
        one.ask("/livez")


def test_it_reads_the_files_again_when_it_is_told_to(shop, serving):
    shop.people(1).campaign()
    one = serving()
    (shop.root / "campaigns" / "broken.yml").write_text("audience: 1\n")
    one.process.send_signal(signal.SIGHUP)
    assert "broken.yml" in one.until("file-broken")["where"]
    assert one.stop() == 0


def test_the_daemon_beside_it_sends_and_stops_with_it(shop, serving):
    shop.people(20).campaign()
    assert shop.connect("launch", "news", "--yes").returncode == 0
    one = serving("--with-daemon")
    one.until("run-completed", campaign="news")

    assert one.ask("/livez")[0] == 200
    assert one.stop() == 0
    assert [line["action"] for line in one.lines if line["action"] in ("daemon-stopped", "stopped")] == [
        "daemon-stopped",
        "stopped",
    ]
    assert len(shop.reached()) == 20


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_daemon_that_dies_takes_the_server_with_it(shop, serving):
    shop.people(1).campaign()
    one = serving("--with-daemon")
    one.until("daemon-started")
    (beside,) = children(one.process)
    os.kill(beside, signal.SIGKILL)

    assert one.ended() == 3
    assert any("daemon-ended" in str(line.get("text", "")) for line in one.lines)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_server_that_is_killed_leaves_no_daemon_behind(shop, serving):
    shop.people(1).campaign()
    one = serving("--with-daemon")
    one.until("daemon-started")
    (beside,) = children(one.process)
    watched = os.pidfd_open(beside)

    one.process.kill()
    one.until("daemon-stopped")
    one.ended()

    with open(watched):
        assert select.select([watched], [], [], PATIENCE)[0], "it lives on"


def test_an_address_that_is_taken_is_said_and_nothing_is_begun(shop, serving):
    shop.people(1).campaign()
    one = serving()
    address = one.url.removeprefix("http://")

    done = shop.connect("serve", "--listen", address)

    assert done.returncode == 2
    assert "can-not-listen" in done.stderr
    assert one.stop() == 0
