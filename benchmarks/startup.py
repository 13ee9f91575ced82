"""What it takes until a command answers, beside a Typer application that does nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks import processes, project
from benchmarks.processes import Cost, installed
from benchmarks.rows import Row
from benchmarks.sizes import Size


def rows(size: Size) -> Iterator[Row]:
    with (
        project.warehouse(size.script) as file,
        project.project(file, size.script, project.COUNTER, project.letter("english")) as root,
    ):
        connect = installed("connect")
        commands = {
            "start_bare_typer": [sys.executable, str(Path(__file__).with_name("bare.py")), "--help"],
            "start_help": [connect, "--help"],
            "start_validate": [connect, "validate"],
        }
        found = {name: _starts(command, root, size.starts) for name, command in commands.items()}
    for unit, of in (("ms of CPU", lambda cost: cost.cpu), ("ms", lambda cost: cost.wall)):
        suffix = "" if unit == "ms of CPU" else "_wall"
        values = {name: median(map(of, costs)) * 1000 for name, costs in found.items()}
        base = values.pop("start_bare_typer")
        yield Row(f"start_bare_typer{suffix}", base, unit)
        for name, value in values.items():
            yield Row(f"{name}{suffix}", value, unit, f"start_bare_typer{suffix}", value / base)


def _starts(command: Sequence[str], root: Path, times: int) -> list[Cost]:
    processes.measured(command, root, project.environment(root))  # files are read from memory from now on
    costs = [processes.measured(command, root, project.environment(root)) for _ in range(times)]
    if any(cost.code for cost in costs):
        raise SystemExit(f"`{' '.join(command)}` failed")
    return costs
