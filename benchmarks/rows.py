"""One measured figure, and how it stands to another one of the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.sizes import Size


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    ratio_to: str = ""
    """The row of the same run that it is compared with; blank for a figure that stands for itself."""
    ratio: float = 1.0


Rows = Callable[[Size], Iterator[Row]]
"""One benchmark."""


def compared(unit: str, base: tuple[str, float], others: dict[str, float]) -> Iterator[Row]:
    """The row that the others are compared with, and then those, each with its ratio to it."""
    name, value = base
    yield Row(name, value, unit)
    for other, found in others.items():
        yield Row(other, found, unit, name, found / value)
