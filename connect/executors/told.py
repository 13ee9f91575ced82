"""Trouble of one process, as another one may hear it: never with a value of a row in it."""

from __future__ import annotations

import pickle
import traceback

from connect.errors import ConnectError, OutsideError, Problem, RunTrouble


def told(problem: BaseException) -> ConnectError:
    """What we raise on purpose is told as it is. Of anything else, whose text may quote a row, its type and place."""
    if isinstance(problem, ConnectError):
        return problem if _travels(problem) else _plain(problem)
    frames = traceback.extract_tb(problem.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    message = f"a worker process has met {type(problem).__name__}{place}"
    return OutsideError(Problem("worker-failed", message, "`--workers 1` does all in one process, for a closer look"))


def _travels(problem: ConnectError) -> bool:
    """An adapter's own error may hold what can not be sent to another process."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:  # noqa: BLE001 - whatever its parts raise
        return False
    return True


def _plain(problem: ConnectError) -> ConnectError:
    """The same for everybody who looks at it: its words, and what becomes of the run."""
    if isinstance(problem, RunTrouble):
        return RunTrouble(problem.disposition, problem.problems[0])
    return OutsideError(*problem.problems)
