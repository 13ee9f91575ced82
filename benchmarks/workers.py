"""One worker process against two, by the clock, to a provider that only counts, so that no receiver is the limit."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import cores, project
from benchmarks.rows import Row, compared
from benchmarks.sizes import Size


def rows(size: Size) -> Iterator[Row]:
    found = {count: _rate(size.people, count) for count in (1, 2)}
    yield from compared("msg/s", ("workers_1", found[1]), {"workers_2": found[2]})


def _rate(people: int, workers: int) -> float:
    with (
        project.warehouse(people) as file,
        project.project(file, people, project.COUNTER, project.letter("english")) as root,
    ):
        return people / project.run(root, people, workers=workers, on=cores.EVERY).wall
