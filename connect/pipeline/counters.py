"""How often things happened in this process, for whoever measures it. Names and labels say nothing about a person."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]


class Counters:
    """Used from any thread. What may be a label is a closed set: names of connect.yml, words of the vocabulary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()

    def add(self, name: str, times: int = 1, **labels: str) -> None:
        """`name` without `connect_` and `_total`, which `/metrics` adds."""
        with self._lock:
            self._counts[name, tuple(labels.items())] += times

    def read(self) -> Mapping[tuple[str, Labels], int]:
        """(name, labels) → how often, so far."""
        with self._lock:
            return dict(self._counts)
