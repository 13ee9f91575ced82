"""Opening a project from the command line: from this folder, this environment and these options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from connect import wiring
from connect.cli import terminal
from connect.clock import Clock, SystemClock

if TYPE_CHECKING:
    from connect.ledger.store import Ledger
    from connect.project.project import Project
    from connect.vocabulary import Mode


def open_project(start: Path, target: str | None, mode: Mode | None = None) -> Project:
    """The project around a folder; its secrets are hidden in everything that is printed from now on."""
    project = wiring.open_project(start.resolve(), target, mode, os.environ)
    terminal.redactor = project.redactor
    return project


@contextmanager
def ledger_of(project: Project, clock: Clock = SystemClock()) -> Iterator[Ledger]:
    ledger = wiring.open_ledger(project, clock)
    try:
        yield ledger
    finally:
        ledger.close()
