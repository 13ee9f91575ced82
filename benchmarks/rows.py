"""One measured figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    ratio_to: str
    """The row of the same run that it is compared with."""
    ratio: float
