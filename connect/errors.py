"""Errors that teach: what is wrong, where, why, and what to do next.

    ConnectError                 every error that Connect raises on purpose
    ├── UserError                a mistake in a file or on the command line: exit code 2, nothing was sent
    ├── OutsideError             a warehouse, a provider or the ledger is in the way: exit code 3
    └── RunTrouble               run-level trouble; its disposition says what becomes of the run

Trouble with one person is never an exception: it is an outcome with a reason (`connect.vocabulary`).
No message may hold a value of an audience: name the column, the template and the line, never the cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    error = "error"
    warning = "warning"


class Disposition(StrEnum):
    """What becomes of a run after run-level trouble."""

    pause = "pause"  # a person has to mend something; nobody is marked failed
    fail = "fail"  # the run can not go on
    retry = "retry"  # wait and try again


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file that a user wrote. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    text: str = ""
    """The whole source line, so that an error can show it with a caret."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with its stable code (see docs/reference/errors.md)."""

    code: str
    message: str
    hint: str = ""
    location: Location | None = None
    severity: Severity = Severity.error

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        lines = [f"{place}{self.severity.value}[{self.code}]: {self.message}"]
        if self.location and self.location.text:
            lines += _caret(self.location)
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


_WIDEST = 160


def _caret(location: Location) -> list[str]:
    """The source line and a caret below the column; a long line is cut around the column."""
    start = max(0, location.column - 1 - _WIDEST // 2) if len(location.text) > _WIDEST else 0
    shown = location.text[start : start + _WIDEST].rstrip("\n").replace("\t", " ")
    return [f"  | {shown}", f"  | {' ' * (location.column - 1 - start)}^"]


class ConnectError(Exception):
    """Every error that Connect raises on purpose: one problem or several, and an exit code."""

    exit_code = 1

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes; by itself an exception is made again from its text alone."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[ConnectError], arguments: tuple[object, ...], fields: dict[str, object]) -> ConnectError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error


class UserError(ConnectError):
    """A mistake in a file or on the command line. Nothing was sent."""

    exit_code = 2

    @classmethod
    def of(cls, code: str, message: str, hint: str = "", location: Location | None = None) -> UserError:
        return cls(Problem(code, message, hint, location))


class OutsideError(ConnectError):
    """Something outside (a warehouse, a provider, the ledger) is in the way."""

    exit_code = 3

    @classmethod
    def of(cls, code: str, message: str, hint: str = "", location: Location | None = None) -> OutsideError:
        return cls(Problem(code, message, hint, location))


class RunTrouble(ConnectError):
    """Run-level trouble. Its disposition says whether the run pauses, fails or tries again."""

    exit_code = 3

    def __init__(self, disposition: Disposition, problem: Problem) -> None:
        super().__init__(problem)
        self.disposition = disposition


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise every error among the problems at once; warnings alone raise nothing."""
    errors = [problem for problem in problems if problem.severity is Severity.error]
    if errors:
        raise UserError(*errors)
