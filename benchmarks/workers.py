"""One worker process against two, by the clock, to a provider that only counts, so that no receiver is the limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from benchmarks import cores, project
from benchmarks.rows import Row, compared
from benchmarks.sizes import Size
from connect.providers.interface import Capabilities
from connect.providers.memory import Memory

_ENTRY_POINT = "[connect.providers]\nbench_counting = benchmarks.workers:Counting\n"
_ACCOUNT = f"bench_counting, keep: false, concurrency: {project.CONCURRENCY}"


class Counting(Memory):
    """Takes one message in a call, as most providers do."""

    capabilities: ClassVar[Capabilities] = replace(Memory.capabilities, max_batch=1)


def rows(size: Size) -> Iterator[Row]:
    """The letter, rendered and counted, with the ledger on."""
    found = {count: _rate(size.people, count) for count in (1, 2)}
    yield from compared("msg/s", ("workers_1", found[1]), {"workers_2": found[2]})


def _rate(people: int, workers: int) -> float:
    """Beyond the first few: starting several processes takes longer than starting one, however many are written to."""
    few = people // 10
    return (people - few) / max(_seconds(people, workers) - _seconds(few, workers), 0.001)


def _seconds(people: int, workers: int) -> float:
    with (
        project.warehouse(people) as file,
        project.project(file, people, _ACCOUNT, project.letter("english")) as root,
    ):
        (root / "plugins" / "bench-0.dist-info" / "entry_points.txt").write_text(_ENTRY_POINT)
        return project.run(root, people, workers=workers, on=cores.EVERY).wall
