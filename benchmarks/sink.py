"""Receivers that are as fast as plain Python allows, in a process on a core of its own.

with Sink("smtp", eight_bit=True) as sink:
    …send to sink.port…
    assert sink.received().messages == 1000
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Literal, Self

from benchmarks import cores

Kind = Literal["smtp", "http"]


@dataclass(frozen=True)
class Manners:
    kind: Kind
    pipelining: bool = True
    eight_bit: bool = True


@dataclass(frozen=True)
class Received:
    """What arrived since it was asked last."""

    messages: int
    bytes: int
    """Of everything that was read, envelopes and headers included."""


class Sink:
    """The process; leave the context to stop it."""

    def __init__(self, kind: Kind, *, pipelining: bool = True, eight_bit: bool = True) -> None:
        self._manners = Manners(kind, pipelining, eight_bit)

    def __enter__(self) -> Self:
        with cores.on(cores.RECEIVER):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.sinking", json.dumps(asdict(self._manners))],
                stdin=subprocess.PIPE,  # it ends when this end is closed, also when this process is killed
                stdout=subprocess.PIPE,
                text=True,
            )
        self.port = int(self._line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def received(self) -> Received:
        """What arrived since this was asked last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Received(*json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
