"""Telling systemd how the daemon is: sd_notify(3), datagrams to a Unix socket. Nothing where nobody listens."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


def _monotonic() -> int:
    """Microseconds by CLOCK_MONOTONIC, which systemd compares with its own."""
    return time.monotonic_ns() // 1000


class Notifier:
    """One who is told: ready, reloading, stopping, alive. An empty address tells nobody."""

    def __init__(
        self, address: str = "", watchdog: float | None = None, monotonic: Callable[[], int] = _monotonic
    ) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._monotonic = monotonic
        self.alive_every = watchdog
        """Seconds between two `alive()`; None where nobody waits for them."""
        self._status = ""

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Notifier:
        """The one that the service manager of this process gives: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        patience = environment.get("WATCHDOG_USEC", "")
        wanted = bool(address) and for_us and patience.isdigit() and int(patience) > 0
        return cls(address if address[:1] in ("/", "@") else "", int(patience) / 2e6 if wanted else None)

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        """To be followed by `ready()`."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic()}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people; said again only when it is another."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A service manager that is away or busy must not be able to stop a daemon.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            told.setblocking(False)
            told.sendto("\n".join(lines).encode(), self._address)
