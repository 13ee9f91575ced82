"""Reports and runs as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connect.cli.terminal import plural
from connect.vocabulary import Outcome, RunState

if TYPE_CHECKING:
    from connect.ledger.records import RunRecord
    from connect.reports.counts import Report

OUTCOME_COLOURS = {
    Outcome.sent: "green",
    Outcome.skipped: "yellow",
    Outcome.refused: "magenta",
    Outcome.failed: "red",
    Outcome.unknown: "bright_red",
}
STATE_COLOURS = {
    RunState.running: "cyan",
    RunState.paused: "yellow",
    RunState.stopped: "yellow",
    RunState.completed: "green",
    RunState.failed: "red",
    RunState.cancelled: "red",
}


def state_text(run: RunRecord) -> str:
    reason = f": {escape(run.reason)}" if run.reason else ""
    return f"[{STATE_COLOURS[run.state]}]{run.state}[/]{reason}"


def instant(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S") + " UTC" if at else ""


def show_report(report: Report, console: Console) -> None:
    """Outcomes and reasons by channel, and the sum that always holds."""
    channels = report.channels
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("outcome")
    table.add_column("reason")
    for channel in channels:
        table.add_column(channel.value, justify="right")
    table.add_column("total", justify="right")
    for outcome in Outcome:
        for reason, counts in report.reasons(outcome):
            colour = OUTCOME_COLOURS[outcome]
            cells = [f"{counts[channel]:,}" if channel in counts else "" for channel in channels]
            table.add_row(f"[{colour}]{outcome}[/]", escape(reason), *cells, f"{sum(counts.values()):,}")
    if report.tallies:
        console.print(table)
    parts = " + ".join(f"{report.total(outcome):,} {outcome}" for outcome in Outcome)
    console.print(f"[bold]{plural(report.deliveries, 'delivery', 'deliveries')}[/] = {parts}")
    for problem, count in report.problems.most_common(5):
        console.print(f"\n[dim]{plural(count, 'time')}:[/] {escape(problem)}")


def show_runs(runs: Sequence[RunRecord], console: Console) -> None:
    """A line for each run, within 80 columns where names allow; then why some of them are not completed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "campaign", "mode", "fire time (UTC)", "rows", "state"):
        table.add_column(column, no_wrap=True, overflow="fold", justify="right" if column == "rows" else "left")
    for run in runs:
        rows = f"{run.audience_rows:,}" if run.audience_rows is not None else ""
        at, state = f"{run.fire_time:%Y-%m-%d %H:%M:%S}", f"[{STATE_COLOURS[run.state]}]{run.state}[/]"
        table.add_row(run.id, escape(run.campaign), run.mode.value, at, rows, state)
    console.print(table)
    explained = [run for run in runs if run.reason]
    if explained:
        console.print()
    for run in explained:
        console.print(f"{run.id} {state_text(run)}")
