"""Trouble of one process, as another one may hear it: never with a value of a row in it."""

from __future__ import annotations

import traceback

from connect.errors import ConnectError, OutsideError, Problem


def told(problem: BaseException) -> ConnectError:
    """What we raise on purpose is told as it is. Of anything else, whose text may quote a row, its type and place."""
    if isinstance(problem, ConnectError):
        return problem
    frames = traceback.extract_tb(problem.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    message = f"a worker process has met {type(problem).__name__}{place}"
    return OutsideError(Problem("worker-failed", message, "`--workers 1` does all in one process, for a closer look"))
