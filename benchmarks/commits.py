"""What the ledger costs: whole runs with it and without it, and the ledger alone (`benchmarks.ledger`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from benchmarks import cores, ledger, processes, project
from benchmarks.end_to_end import must_be_whole
from benchmarks.processes import Cost, installed
from benchmarks.rows import Row
from benchmarks.sink import Sink
from benchmarks.sizes import Size

_WITH = [installed("connect")]
_WITHOUT = [sys.executable, "-m", "benchmarks.unledgered"]


def rows(size: Size) -> Iterator[Row]:
    yield from _whole_runs(size)
    yield from ledger.rows(size.deliveries, size.rounds)


def _whole_runs(size: Size) -> Iterator[Row]:
    """The English letter over SMTP, 64 in flight, in turns, on all cores: by CPU and by the clock."""
    count = size.people // 6
    turns = [(_run(_WITHOUT, count), _run(_WITH, count)) for _ in range(max(1, size.rounds - 1))]
    off, on = ([turn[way] for turn in turns] for way in (0, 1))
    for unit, name in (("msg/s of CPU", "cpu"), ("msg/s", "wall")):
        without, with_it = (count / median(getattr(cost, name) for cost in costs) for costs in (off, on))
        yield Row(f"ledger_off_{name}", without, unit)
        yield Row(f"ledger_on_{name}", with_it, unit, f"ledger_off_{name}", with_it / without)


def _run(connect: list[str], count: int) -> Cost:
    with (
        project.warehouse(count) as file,
        Sink("smtp") as sink,
        project.project(file, count, project.smtp(sink.port), project.letter("english")) as root,
    ):
        command = [*connect, "run", "letters", "--yes", "--workers", "1"]
        cost = processes.measured(command, root, project.environment(root), cores.EVERY)
        must_be_whole(sink, count)
    return cost
