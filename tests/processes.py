"""Commands as processes of their own, without the second in which each would import the same.

They are forked from a process that has imported it, one for each process of pytest. All else is their own: arguments,
environment, folder, streams, memory; they are killed and suspended like any other. Where the system can not do that
(other than Linux), and where a process is to import what was imported from elsewhere, they are started as everywhere.
"""

from __future__ import annotations

import atexit
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
from typing import Any, Self

COMMAND = str(Path(sys.executable).with_name("connect"))
"""The installed command."""


def start(
    program: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    text: bool = False,
    log: Path | None = None,
) -> subprocess.Popen[Any]:
    """A Python program with these arguments, whose input is empty and whose output is kept, or written to a file."""
    environment = os.environ if environment is None else environment
    if sys.platform == "linux" and _imports_the_same(environment):
        return Forked(program, arguments, folder, environment, text, log)  # type: ignore[return-value]  # for callers
    out = log.open("wb") if log else None
    try:
        return subprocess.Popen(
            [sys.executable, program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out or subprocess.PIPE,
            stderr=subprocess.STDOUT if out else subprocess.PIPE,
            text=text,
        )
    finally:
        if out:
            out.close()


def _imports_the_same(environment: Mapping[str, str]) -> bool:
    """Whether it looks where this process looks, be it in other folders first; those are asked for what is new."""
    ours, theirs = (_folders(paths) for paths in (os.environ, environment))
    return theirs[len(theirs) - len(ours) :] == ours


def _folders(environment: Mapping[str, str]) -> list[str]:
    return [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]


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
        atexit.register(self._end)

    def _end(self) -> None:
        self._asking.close()
        self._process.wait()

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        with self._lock:
            socket.send_fds(self._asking, [json.dumps(request).encode()], descriptors)
            return int(self._asking.recv(64))


_forks = cache(_Forks)


def _output(log: Path | None) -> tuple[int | None, int]:
    """Descriptors, where it is read and where it is written; of a file nothing is read here."""
    return (None, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)) if log else os.pipe()


def _stream(descriptor: int | None, text: bool) -> Any:
    how: dict[str, Any] = {"mode": "r", "encoding": "utf-8"} if text else {"mode": "rb"}
    return None if descriptor is None else open(descriptor, **how)


class Forked:
    """What `subprocess.Popen` is to a process that was started, as far as tests ask for it."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        text: bool,
        log: Path | None = None,
    ) -> None:
        self.args = [program, *arguments]
        self.returncode: int | None = None
        (out, out_), (err, err_), self._told = _output(log), _output(log), os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        theirs = [nothing, out_, err_, self._told[1]]
        request = {
            "program": program,
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment),
            "first": [each for each in _folders(environment) if each not in _folders(os.environ)],
        }
        try:
            self.pid = _forks().fork(request, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.stdin = None
        self.stdout, self.stderr = _stream(out, text), _stream(err, text)

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
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
