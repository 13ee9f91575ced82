"""Who holds a slice: a process of a machine, told apart from any later process with its number."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """One process. `host` names a machine, its boot and its pid namespace: only there does a pid mean anything."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(_host(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def read(cls, text: str) -> Owner:
        """The owner that `str(owner)` wrote."""
        host, pid, started = text.split(" ", 2)
        return cls(host, int(pid), started)

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}"

    @property
    def hostname(self) -> str:
        return self.host.partition("/")[0]

    def is_gone(self) -> bool:
        """True only when this is certain: a process of this machine and boot that no longer exists."""
        if self.host != _host():
            return False
        started = _started(self.pid)
        return started is None or ("" not in (started, self.started) and started != self.started)


def _host() -> str:
    """Containers may share a host name and a ledger, and still not see each other's processes."""
    return "/".join((socket.gethostname(), _boot(), _namespace()))


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began, in the system's own unit; "" if it will not say, None if there is no such process."""
    if not _PROC.joinpath("self/stat").exists():
        return _started_by_ps(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return "" if _exists(pid) else None
    # The second field is the command in parentheses and may hold anything (proc(5)).
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


def _exists(pid: int) -> bool:
    """/proc hides the processes of other users where it is mounted with hidepid; signal 0 still finds them."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started_by_ps(pid: int) -> str | None:
    """For macOS, which has no /proc."""
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
