"""What people see: results on standard output, the rest on standard error, and an exit code that means one thing."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

import typer
from rich.console import Console
from rich.text import Text
from typer._click.exceptions import UsageError  # Typer carries its own Click, and has no public name for this

from connect.errors import ConnectError, Problem, Severity
from connect.redact import Redactor

redactor = Redactor()
"""Knows every secret of the project that is open."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with 1, as if a run had gone wrong; who pipes into `head` has seen enough."""
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(redactor.text(json.dumps(value, indent=2, ensure_ascii=False, default=str)) + "\n")


def show_problems(problems: tuple[Problem, ...] | list[Problem], console: Console = err) -> None:
    """Each problem with its place, its line and a caret."""
    for problem in problems:
        text = Text(redactor.text(str(problem)))
        text.highlight_regex(r"error\[[a-z0-9-]+\]", "bold red")
        text.highlight_regex(r"warning\[[a-z0-9-]+\]", "bold yellow")
        text.highlight_regex(r"(?m)^  hint:.*", "cyan")
        console.print(text)
        console.print()


def problem_as_json(problem: Problem) -> dict[str, object]:
    place = problem.location
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def failing(app: Callable[..., object]) -> int:
    """Run the command line and turn whatever happens into words and an exit code."""
    try:
        result = app(prog_name="connect", standalone_mode=False)  # also where it was started as a module
        return result if isinstance(result, int) else 0
    except typer.Exit as leave:
        return leave.exit_code
    except UsageError as mistake:
        mistake.show()
        return 2
    except (typer.Abort, KeyboardInterrupt):
        err.print("stopped")
        return 130
    except ConnectError as error:
        _show_error(error)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as bug:  # noqa: BLE001 - the last line of defence: its text may quote a row, so only its type is shown
        _show_bug(bug)
        return 3


def _show_error(error: ConnectError) -> None:
    if "--json" in sys.argv:
        print_json({"problems": [problem_as_json(problem) for problem in error.problems]})
    else:
        show_problems(error.problems)
        errors = sum(problem.severity is Severity.error for problem in error.problems)
        if errors > 1:
            err.print(f"{errors} errors")
    show_frames(error)


def show_frames(error: Exception) -> None:
    """With `--debug`: where it happened, without the values of anything."""
    if "--debug" in sys.argv:
        err.print("".join(traceback.format_tb(error.__traceback__)), markup=False)


def _show_bug(bug: Exception) -> None:
    err.print(f"error[internal]: {type(bug).__name__} in {_last_frame(bug.__traceback__)}", markup=False)
    err.print(
        "  hint: this is a bug in Connect; `--debug` shows where. Nothing about a person is printed.", markup=False
    )
    show_frames(bug)


def _last_frame(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f"{frames[-1].name} ({frames[-1].filename}:{frames[-1].lineno})" if frames else "?"
