"""`connect daemon` with a clock of its own: what `benchmarks.chaos.daemons` starts, and kills.

python -m benchmarks.chaos.duty FOLDER CLOCK
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

from connect.cli.on_duty import Duty, serve
from connect.testing.clock import FastClock, Jump

_LEASE = timedelta(minutes=10)
"""A lease is about what a machine can do in a real second, of which one of these minutes is a small part."""


def written(clock: FastClock) -> str:
    """A clock as an argument."""
    jumps = [[jump.after.total_seconds(), jump.by.total_seconds()] for jump in clock.jumps]
    return json.dumps([clock.began, clock.start.isoformat(), clock.speed, clock.skew.total_seconds(), jumps])


def read(text: str) -> FastClock:
    began, start, speed, skew, jumps = json.loads(text)
    jumped = tuple(Jump(timedelta(seconds=after), timedelta(seconds=by)) for after, by in jumps)
    return FastClock(began, datetime.fromisoformat(start), speed, timedelta(seconds=skew), jumped)


def _end_with_the_harness() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    threading.Thread(target=_end_with_the_harness, daemon=True).start()
    duty = Duty(Path(sys.argv[1]), None, None, runs=4, workers=1, form="json", once=False, lease=_LEASE)
    return serve(duty, read(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
