"""Reports and runs as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connect.cli.terminal import plural
from connect.reports.counts import IN_SEGMENTS
from connect.vocabulary import Mode, Outcome, RunState

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
    RunState.queued: "blue",
    RunState.running: "cyan",
    RunState.paused: "yellow",
    RunState.stopped: "yellow",
    RunState.completed: "green",
    RunState.failed: "red",
    RunState.cancelled: "red",
    RunState.skipped: "dim",
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
    for channel in IN_SEGMENTS:
        if sent := report.total(Outcome.sent, channel):
            console.print(f"[dim]{channel}:[/] {sent:,} sent in {plural(report.segments(channel), 'segment')}")
    for problem, count in report.problems.most_common(5):
        console.print(f"\n[dim]{plural(count, 'time')}:[/] {escape(problem)}")


@dataclass(frozen=True)
class RunLine:
    """A run; or several of one campaign whose fire times were skipped one after the other, of which it is the last."""

    run: RunRecord
    skipped: tuple[RunRecord, ...] = ()

    @property
    def state(self) -> str:
        times = f" ×{len(self.skipped):,}" if len(self.skipped) > 1 else ""
        return f"[{STATE_COLOURS[self.run.state]}]{self.run.state}{times}[/]"

    @property
    def explained(self) -> str:
        """Why it is not completed; of several, why each was skipped."""
        if len(self.skipped) < 2:
            return f"{self.run.id} {state_text(self.run)}" if self.run.reason else ""
        first, last = (pick(run.fire_time for run in self.skipped) for pick in (min, max))
        reasons = Counter(run.reason for run in self.skipped)
        told = "; ".join(f"{escape(reason)} ({count:,})" for reason, count in reasons.most_common(3))
        times = f"{escape(self.run.campaign)} {len(self.skipped):,} fire times from {instant(first)} to {instant(last)}"
        return f"{times} [{STATE_COLOURS[self.run.state]}]skipped[/]: {told}"


def folded(runs: Sequence[RunRecord]) -> list[RunLine]:
    """A line for each run, in their order; skipped ones of a campaign with no other run of it between are one."""
    lines: list[tuple[RunRecord, list[RunRecord]]] = []
    newest: dict[tuple[str, Mode], list[RunRecord]] = {}
    for run in runs:
        before = newest.get((run.campaign, run.mode))
        if run.state is RunState.skipped and before:
            before.append(run)
            continue
        skipped = [run] if run.state is RunState.skipped else []
        newest[run.campaign, run.mode] = skipped
        lines.append((run, skipped))
    return [RunLine(max(skipped, key=_fire_time, default=run), tuple(skipped)) for run, skipped in lines]


def _fire_time(run: RunRecord) -> datetime:
    return run.fire_time


def show_runs(runs: Sequence[RunRecord], console: Console) -> None:
    show_lines([RunLine(run) for run in runs], console)


def show_lines(lines: Sequence[RunLine], console: Console) -> None:
    """A line for each run, within 80 columns where names allow; then why some of them are not completed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "campaign", "mode", "fire time (UTC)", "rows", "state"):
        table.add_column(column, no_wrap=True, overflow="fold", justify="right" if column == "rows" else "left")
    for line in lines:
        run = line.run
        rows = f"{run.audience_rows:,}" if run.audience_rows is not None else ""
        at = f"{run.fire_time:%Y-%m-%d %H:%M:%S}"
        table.add_row(run.id, escape(run.campaign), run.mode.value, at, rows, line.state)
    console.print(table)
    explained = [line.explained for line in lines if line.explained]
    if explained:
        console.print()
    for text in explained:
        console.print(text)
