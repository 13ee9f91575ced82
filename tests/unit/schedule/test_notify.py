"""What systemd is told, by a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.schedule.notify import Notifier


class Manager:
    """Who listens to a daemon, as systemd does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()

    @property
    def heard_all(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(10)
        return False


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    made = Manager(address)
    with made.socket:
        yield made


def test_what_is_said_in_a_life(manager, address):
    notifier = Notifier(address, monotonic=lambda: 123)
    for say in (notifier.ready, notifier.reloading, notifier.ready, notifier.alive, notifier.stopping):
        say()
    heard = [manager.heard() for _ in range(5)]
    assert heard == ["READY=1", "RELOADING=1\nMONOTONIC_USEC=123", "READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert manager.heard_all


def test_the_status_is_one_line_and_said_when_it_changes(manager, address):
    notifier = Notifier(address)
    for text in ("2 runs", "2 runs", "waits:\nfor it\nREADY=1"):
        notifier.status(text)
    assert [manager.heard(), manager.heard()] == ["STATUS=2 runs", "STATUS=waits: for it READY=1"]
    assert manager.heard_all


def test_abstract_sockets():
    name = f"connect-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    with manager.socket:
        Notifier.of({"NOTIFY_SOCKET": f"@{name}"}, 1).ready()
        assert manager.heard() == "READY=1"


def test_the_reload_is_dated_by_the_clock_of_systemd(manager, address):
    import time

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(address).reloading()
    said = int(manager.heard().partition("MONOTONIC_USEC=")[2])
    assert before <= said <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize(
    ("environment", "every"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, None),  # nobody listens
        ({"NOTIFY_SOCKET": "/run/x"}, None),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "60000000"}, 30.0),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "41"}, None),  # for the parent
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_twice_as_often_as_the_watchdog_wants(environment, every):
    assert Notifier.of(environment, 42).alive_every == every


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_nothing_is_said(environment, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    Notifier.of(environment, 1).ready()


def test_a_manager_that_has_gone_stops_nobody(address):
    Notifier(address).ready()


def test_a_manager_that_does_not_listen_holds_nobody_up(manager, address):
    notifier = Notifier(address)
    for _ in range(5000):  # more than a socket's buffer holds
        notifier.alive()
    assert manager.heard() == "WATCHDOG=1"
