"""The command `connect`: what each command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

import typer

from connect.cli import (
    control,
    daemon,
    destination,
    doctor,
    init,
    keys,
    launch,
    openapi,
    outbox,
    preview,
    profile,
    report,
    run,
    runs,
    schedule,
    schema,
    send,
    serve,
    show,
    sources,
    status,
    subscriptions,
    validate,
    webhooks,
)
from connect.cli.terminal import failing

app = typer.Typer(
    name="connect",
    help="Campaigns as code, over the warehouse you already have.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("show")(show.show)
app.command("preview")(preview.preview)
app.command("run")(run.run)
app.command("send")(send.send)
app.command("daemon")(daemon.daemon)
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("schedule")(schedule.schedule)
app.command("pause")(control.pause)
app.command("resume")(control.resume)
app.command("skip-next")(control.skip_next)
app.command("launch")(launch.launch)
app.add_typer(runs.app, name="runs")
app.command("report")(report.report)
app.command("profile")(profile.profile)
app.add_typer(sources.app, name="sources")
app.add_typer(destination.app, name="destination")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(keys.app, name="keys")
app.command("openapi")(openapi.openapi)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)
app.command("outbox")(outbox.outbox)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a run ended with failures, 2 your mistake, 3 outside trouble."""
    sys.exit(failing(app))


_SELDOM = (100_000, 50, 100)
"""Modules make objects that stay. To look for garbage among them after every 700 takes a tenth of a run's start."""


def command() -> None:
    """The installed `connect`: main, and then an end without Python's finalisation.

    Threads of native libraries that let go of Python values while the interpreter is torn down abort the process
    (seen with DuckDB 2.0 on a busy machine); by then everything is closed and durable, and only output is left.
    """
    gc.set_threshold(*_SELDOM)
    code = failing(app)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()
    os._exit(code)
