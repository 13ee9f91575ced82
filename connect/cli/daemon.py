"""`connect daemon`: follow the campaigns, and run each when its trigger says so."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connect.cli.options import Debug, ModeOption, ProjectFolder, Target
from connect.cli.run import Lease, Workers


class LogFormat(StrEnum):
    json = "json"
    text = "text"


Runs = Annotated[int, typer.Option(min=1, max=100, help="Runs that it works on at the same time.")]
Format = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="Lines for machines or for people. [default: text at a terminal, else json]"),
]
Once = Annotated[
    bool, typer.Option("--once", help="Look once, work until nothing is left that is due, and end: for cron and CI.")
]


def daemon(
    runs: Runs = 8,
    workers: Workers = None,
    log_format: Format = None,
    once: Once = False,
    lease: Lease = 30.0,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    debug: Debug = False,
) -> None:
    """Follow the campaigns that are live, and run each when its trigger says so, until SIGTERM or Ctrl-C."""
    from datetime import timedelta

    from connect.cli.on_duty import Duty, serve
    from connect.cli.terminal import err

    form = log_format or (LogFormat.text if err.is_terminal else LogFormat.json)
    duty = Duty(project, target, mode, runs, workers, form.value, once, timedelta(seconds=lease))
    raise typer.Exit(serve(duty))
