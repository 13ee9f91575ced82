"""Peak memory of whole runs to a provider that only counts: it must not grow with the audience, nor may speed fall."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import project
from benchmarks.rows import Row
from benchmarks.sizes import Size


def rows(size: Size) -> Iterator[Row]:
    """Peak memory, and messages a second of CPU, at each size; both as ratios to the smallest."""
    found = {count: _run(count) for count in size.memory}
    first = size.memory[0]
    for count, (peak, _) in found.items():
        yield Row(f"memory_{_short(count)}", peak, "MB", f"memory_{_short(first)}", peak / found[first][0])
    for count, (_, rate) in found.items():
        yield Row(
            f"memory_rate_{_short(count)}", rate, "msg/s of CPU", f"memory_rate_{_short(first)}", rate / found[first][1]
        )


def _run(count: int) -> tuple[float, float]:
    """(peak resident memory in MB, messages a second of CPU) of one whole `connect run`."""
    with (
        project.warehouse(count) as file,
        project.project(file, count, project.COUNTER, project.TEXT_MESSAGE) as root,
    ):
        cost = project.run(root, count)
    return cost.peak, count / cost.cpu


def _short(size: int) -> str:
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1000}k" if size >= 1000 else str(size)
