"""Commands as processes of their own, without the second in which each would import the same.

They are forked from a process that has imported it, one for each process of pytest. All else is their own: arguments,
environment, folder, streams, memory; they are killed and suspended like any other. Where the system can not do that
(other than Linux), and where a process is to import something else, they are started as everywhere.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

COMMAND = str(Path(sys.executable).with_name("connect"))
"""The installed command."""


def start(
    program: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, text: bool = False
) -> subprocess.Popen[Any]:
    """A Python program with these arguments, whose input is empty and whose output is kept."""
    environment = os.environ if environment is None else environment
    if sys.platform == "linux" and environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH"):
        return Forked(program, arguments, folder, environment, text)  # type: ignore[return-value]  # for its callers
    return subprocess.Popen(
        [sys.executable, program, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
    )


def run(program: str, *arguments: str, folder: Path, **how: Any) -> subprocess.CompletedProcess[Any]:
    """One that was waited for, with all that it said."""
    with start(program, *arguments, folder=folder, **how) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess([program, *arguments], process.returncode, out, err)


def suspend(process: subprocess.Popen[Any]) -> None:
    """Stop it, and wait until all of it stands still."""
    process.send_signal(signal.SIGSTOP)
    if not isinstance(process, Forked):
        os.waitpid(process.pid, os.WUNTRACED)
        return
    while not all(_stands(thread) for thread in Path(f"/proc/{process.pid}/task").iterdir()):
        time.sleep(0.001)  # only its parent is told


def _stands(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


class _Forks:
    """What forks for this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.forking", str(there.fileno())]
        here = Path(__file__).parents[1]
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with there:
            self._process = subprocess.Popen(command, cwd=here, pass_fds=[there.fileno()], **quiet)

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        with self._lock:
            socket.send_fds(self._asking, [json.dumps(request).encode()], descriptors)
            return int(self._asking.recv(64))


_forks = cache(_Forks)


class Forked:
    """What `subprocess.Popen` is to a process that was started, as far as tests ask for it."""

    def __init__(
        self, program: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], text: bool
    ) -> None:
        self.args = [program, *arguments]
        self.returncode: int | None = None
        self._how = {"mode": "r", "encoding": "utf-8"} if text else {"mode": "rb"}
        out, err, self._told = os.pipe(), os.pipe(), os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        theirs = [nothing, out[1], err[1], self._told[1]]
        request = {
            "program": program,
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment),
        }
        try:
            self.pid = _forks().fork(request, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.stdin = None
        self.stdout: IO[Any] = open(out[0], **self._how)  # type: ignore[call-overload]  # noqa: SIM115
        self.stderr: IO[Any] = open(err[0], **self._how)  # type: ignore[call-overload]  # noqa: SIM115

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        pool = ThreadPoolExecutor(2)
        reading = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
        try:
            said = tuple(each.result(timeout) for each in reading)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        finally:
            pool.shutdown(wait=False)
        self.wait(timeout)
        self._close()
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error:
            self.kill()
        self._close()
        self.wait()

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told[0]], [], [], timeout)[0]:
            status = os.read(self._told[0], 64)
            os.close(self._told[0])
            self.returncode = os.waitstatus_to_exitcode(int(status))
        return self.returncode

    def _close(self) -> None:
        self.stdout.close()
        self.stderr.close()
