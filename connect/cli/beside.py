"""A daemon beside the server, in a process of its own: a run takes all of a core, and answers do not wait for it.

It is this module, run by Python; its input is one line, what the daemon is asked for, and ends when it is to stop: so
it also stops when the server is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import orjson

from connect.cli.on_duty import Duty, serve
from connect.cli.terminal import failing
from connect.errors import OutsideError
from connect.vocabulary import Mode

_LEAVES = 60.0
"""Seconds that it has to let its runs stop well."""


class Beside:
    """The daemon as the server sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, duty: Duty) -> Beside:
        # Python's own path may come from a test; what stands in the current folder (-P) is not ours to run.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **_NOT_ITS_MANAGER}
        command = (sys.executable, "-P", "-m", "connect.cli.beside")
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is the server's to pass on
        )
        assert process.stdin is not None
        process.stdin.write(_written(duty) + b"\n")
        await process.stdin.drain()
        return cls(process)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, and it has stopped well. Raises OutsideError where it ends before."""
        ended, stopped = asyncio.create_task(self._process.wait()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                raise _died(ended.result())
            await self._end(ended)
        finally:
            stopped.cancel()
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()

    async def _end(self, ended: asyncio.Task[int]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), _LEAVES)

    def reload(self) -> None:
        """It reads the files again at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)

    def abandon(self) -> None:
        """It does not wait for its runs to stop well."""
        for _ in range(2):
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)


_NOT_ITS_MANAGER = {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": ""}
"""The service manager hears from the server alone."""


def _died(code: int) -> OutsideError:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = "its lines above say more; `connect daemon` shows them alone"
    return OutsideError.of("daemon-ended", f"the daemon beside the server {how}", hint)


def _written(duty: Duty) -> bytes:
    return orjson.dumps({**asdict(duty), "folder": str(duty.folder), "lease": duty.lease.total_seconds()})


def _read(line: bytes) -> Duty:
    found = Duty(**orjson.loads(line))
    return replace(
        found,
        folder=Path(found.folder),
        mode=Mode(found.mode) if found.mode else None,
        lease=timedelta(seconds=float(found.lease)),  # type: ignore[arg-type]  # seconds, until now
    )


def main() -> int:
    """The daemon."""
    duty = _read(sys.stdin.buffer.readline())
    return failing(lambda **_: serve(duty, ends_with=sys.stdin.fileno()))


if __name__ == "__main__":
    sys.exit(main())
