"""A command in a process of its own, and what it cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cores


@dataclass(frozen=True)
class Cost:
    """What a process and its children used."""

    cpu: float
    """Seconds, user and system."""
    wall: float
    peak: float
    """Resident memory in MB."""
    output: str
    code: int


def measured(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on: Sequence[int] = cores.CLIENT,
) -> Cost:
    """Run it to its end, on these cores. What it says on standard error is shown if it fails."""
    began = time.monotonic()
    with cores.on(list(on)):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    output, errors = _read(process)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(errors[-2000:])
    return Cost(
        usage.ru_utime + usage.ru_stime,
        time.monotonic() - began,
        usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20),
        output,
        process.returncode,
    )


def _read(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Both streams to their ends; the process is left for wait4, which alone tells what it used."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        return process.stdout.read(), process.stderr.read()


def installed(command: str) -> str:
    """The path of a command of this environment."""
    return str(Path(sys.executable).with_name(command))
