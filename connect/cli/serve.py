"""`connect serve`: take what comes back (opt-outs, events, calls of the API), over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connect.cli.daemon import Format, LogFormat, Runs
from connect.cli.options import Debug, ModeOption, ProjectFolder, Target
from connect.cli.run import Workers

Listen = Annotated[str | None, typer.Option(help="Host and port, instead of `serve.listen`.")]

WithDaemon = Annotated[bool, typer.Option("--with-daemon", help="Follow the campaigns too, as `connect daemon` does.")]


def serve(
    listen: Listen = None,
    with_daemon: WithDaemon = False,
    runs: Runs = 8,
    workers: Workers = None,
    log_format: Format = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    debug: Debug = False,
) -> None:
    """Answer unsubscribe links, webhooks of providers and calls of the API, until SIGTERM or Ctrl-C."""
    from connect.cli.on_duty import Duty
    from connect.cli.serving import Asked, run
    from connect.cli.terminal import err
    from connect.pipeline.job import LEASE

    form = log_format or (LogFormat.text if err.is_terminal else LogFormat.json)
    duty = Duty(project, target, mode, runs, workers, form.value, once=False, lease=LEASE)
    raise typer.Exit(run(Asked(duty, listen, with_daemon)))
