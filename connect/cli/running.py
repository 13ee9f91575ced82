"""One run from the command line: plan, question, progress, signals, report."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from random import SystemRandom
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from connect import wiring
from connect.cli import routes
from connect.cli.heralding import of_one_run
from connect.cli.opening import ledger_of
from connect.cli.tables import instant, show_report, state_text
from connect.cli.terminal import err, out, plural, print_json, problem_as_json, show_frames, show_problems
from connect.cli.window import Window, in_words
from connect.cli.window import check as check_window
from connect.clock import SystemClock
from connect.errors import ConnectError, OutsideError, UserError, raise_errors
from connect.executors import local, loops
from connect.identity import system_random
from connect.ledger.store import Ledger
from connect.liquid.library import Library
from connect.pipeline import reads
from connect.pipeline.accounts import Accounts, providers_of, reaches_people
from connect.pipeline.beginning import begin
from connect.pipeline.history import open_destination
from connect.pipeline.job import LEASE, Job, Progress, Stopped, Tools
from connect.pipeline.plan import Plan, plan_fleeting, plan_run, safe_recipients, warnings_of
from connect.pipeline.reads import Bill
from connect.pipeline.reporting import run_report
from connect.pipeline.run import execute
from connect.pipeline.sealing import drain_project
from connect.pipeline.sending import end_abandoned
from connect.pipeline.snapshot import table_of
from connect.project.load import templates
from connect.vocabulary import Mode, Outcome, Reason, RunState

if TYPE_CHECKING:
    from connect.ledger.records import RunRecord
    from connect.project.campaigns import Loaded
    from connect.project.project import Project
    from connect.reports.counts import Report

_STOPPED = 130
"""As of a program that Ctrl-C ended: what a script has behind it must not begin."""


def run_campaign(
    project: Project,
    loaded: Loaded,
    *,
    yes: bool,
    again: bool,
    json: bool,
    goes_on: str,
    lease: timedelta = LEASE,
    workers: int | None = None,
    window: Window | None = None,
    sandbox: bool = False,
    parameters: Mapping[str, object] | None = None,
) -> int:
    """Run, show, and return the exit code: 0, 1 when deliveries failed or are in doubt, 130 when it was stopped.

    workers: how many processes compose and send; None decides by cores and audience.
    goes_on: the command that goes on with this run when it is interrupted; blank where none can.
    window: of an event trigger, the events that are meant.
    sandbox: providers check messages and send none; only in test mode.
    parameters: of a campaign that is called.
    """
    raise_errors(loaded.problems)
    assert loaded.campaign is not None
    if sandbox and project.mode is not Mode.test:
        said = f"`--sandbox` is for test mode, and this run is {project.mode}"
        raise UserError.of("sandbox-needs-test", said, "add `--mode test`")
    texts = templates(project.root)
    warehouse = wiring.open_audience(project, loaded.campaign.audience)
    with ledger_of(project) as ledger:
        try:
            with suppress(OutsideError):  # what stays held is heeded all the same
                drain_project(project, ledger, wiring.open_warehouse)
            if not goes_on:
                end_abandoned(ledger)
            check_window(loaded.campaign, window, ledger, project.mode, goes_on, SystemClock().now())
            accounts = wiring.open_accounts(project, providers_of(loaded.campaign), sandbox=sandbox)
            library, clock, reaches = Library(texts), SystemClock(), reaches_people(accounts)
            given = (project, loaded, library, texts, warehouse, ledger, clock)
            if goes_on:
                plan = plan_run(*given, reaches_people=reaches, again=again, window=window, parameters=parameters)
            else:
                plan = plan_fleeting(*given, reaches_people=reaches)
                plan = replace(plan, warnings=warnings_of(*given[:3], warehouse, clock, reaches_people=reaches))
            if plan.campaign is not loaded.campaign:  # it was begun before, with its campaign as it was
                accounts = wiring.open_accounts(project, providers_of(plan.campaign), sandbox=sandbox)
            announce(plan, accounts)
            ask(plan, accounts, yes)
            crew = local.workers_for(workers, plan.rows, accounts, project.mode)
            return _run(plan, ledger, accounts, json, goes_on, lease, crew)
        finally:
            warehouse.close()


def announce(plan: Plan, accounts: Accounts) -> None:
    """Everything that somebody should know before saying yes."""
    show_problems(list(plan.warnings))
    campaign, project = plan.campaign, plan.project
    lines = [
        ("campaign", escape(f"{campaign.name}  ({campaign.file})")),
        ("target", f"{escape(project.target)}, mode {_mode(project.mode)}"),
        ("fire time", instant(plan.fire_time) + ("  (now, by hand)" if plan.manual else "")),
    ]
    if plan.resumes:
        lines.insert(0, ("goes on", f"run {plan.resumes.id}, which {_before(plan.resumes)}"))
    if plan.moment.since and plan.moment.until:
        lines.append(("events", in_words(plan.moment.since, plan.moment.until, campaign.trigger.timezone)))
    lines.append(("audience", _audience(plan)))
    if plan.bill is not None:
        lines.append(("billed", _billed(plan.bill)))
    if campaign.audience.segments is not None:
        lines.append(("in", escape(f"{campaign.audience.segments.words}")))
    if plan.campaign.audience.snapshot:
        lines.append(("snapshot", escape(_snapshot(plan))))
    ways = routes.in_words(project, campaign)
    lines += [("" if number else "sends by", escape(way)) for number, way in enumerate(ways)]
    if campaign.message.transactional:
        lines.append(("note", "[bold yellow]transactional[/]: marketing opt-outs do not count"))
    if project.mode is Mode.test:
        recipients = safe_recipients(project).values()
        to = (
            ", ".join(each if isinstance(each, str) else each.address for each in recipients)
            or "nobody: `test_recipient` is not set"
        )
        lines.append(("test", escape(f"one copy per channel, to {to}")))
    if any(account.sandbox for _, account in accounts.values()):
        lines.append(("sandbox", "providers check the copies, and send none"))
    if project.mode is Mode.offline:
        lines.append(("offline", "everything is done, and nothing is sent"))
    for provider, account in accounts.values():
        if provider.capabilities.persists_messages:
            lines.append(
                ("note", f"[bold yellow]{escape(account.name)} writes every message to disk[/], to be looked at")
            )
    for label, text in lines:
        err.print(f"[dim]{label:>10}[/]  {text}")


def _before(run: RunRecord) -> str:
    """A run that is taken up is not going on any more, whatever its last state says."""
    return "was interrupted" if run.state is RunState.running else f"is {state_text(run)}"


def _mode(mode: Mode) -> str:
    return f"[bold red]{mode}[/]" if mode is Mode.live else f"[bold]{mode}[/]"


def _audience(plan: Plan) -> str:
    text = plural(plan.rows, "row")
    limit = plan.campaign.audience.limits.max
    text += f" (at most {limit:,})" if limit is not None else ""
    return text + (f", {plan.rows_without_key:,} of them without a key" if plan.rows_without_key else "")


def _billed(bill: Bill) -> str:
    size = reads.in_words(bill.size)
    if bill.reads == 1:
        return f"{size} for {'each read, one or more for each time zone' if bill.per_zone else 'one read'}"
    more = ", for each time zone" if bill.per_zone else ""
    return f"{reads.in_words(bill.total)}: about {bill.reads:,} reads of {size}{more}"


def _snapshot(plan: Plan) -> str:
    run_id = plan.resumes.id if plan.resumes else "<run>"
    table = table_of(plan.project, plan.campaign.audience, run_id)
    return f"the audience is copied to {table} of `{plan.campaign.audience.source}`, and dropped when the run ends"


def ask(plan: Plan, accounts: Accounts, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError.of(
            "not-confirmed", "this asks before it runs, and there is nobody to ask", "`--yes` runs without asking"
        )
    real = plan.project.mode is Mode.live and reaches_people(accounts)
    question = f"Send to up to {plural(plan.rows, 'person', 'people')} for real?" if real else "Run it?"
    if not typer.confirm(question, err=True):
        raise UserError.of("not-confirmed", "nothing was sent")


def _run(
    plan: Plan, ledger: Ledger, accounts: Accounts, json: bool, goes_on: str, lease: timedelta, workers: int
) -> int:
    destination = open_destination(plan.project, wiring.open_warehouse)
    job = begin(plan, ledger, SystemClock(), system_random, accounts, destination, wiring.open_warehouse)
    failure: ConnectError | None = None
    stopped = False
    began = time.monotonic()
    with _watching(plan) as watch, loops.long_running():
        try:
            with asyncio.Runner(loop_factory=loops.event_loop) as runner:
                runner.run(_until_signalled(plan.project, job, ledger, watch, lease, workers))
        except Stopped:
            stopped = True
        except ConnectError as problem:
            failure = problem
    record = ledger.run(job.record.id)
    assert record is not None
    report = run_report(ledger, record, watch.problems)
    ended = _STOPPED if stopped else 1 if _went_wrong(report) else 0
    if json:
        return _print(report, failure, ended)
    _show(report, time.monotonic() - began, goes_on)
    if failure is not None:
        raise failure
    return ended


def _print(report: Report, failure: ConnectError | None, ended: int) -> int:
    """One JSON document: the report, and what stopped the run if something did. Returns the exit code."""
    stopped_by = [problem_as_json(problem) for problem in failure.problems] if failure else []
    print_json({**report.as_json(), "stopped_by": stopped_by})
    if failure is None:
        return ended
    show_frames(failure)
    return failure.exit_code


def _went_wrong(report: Report) -> bool:
    """Deliveries failed or are in doubt; or nobody got anything although somebody should have.

    Who was skipped for the mode would have got it.
    """
    if report.total(Outcome.failed) + report.total(Outcome.unknown):
        return True
    would = any(tally.reason == Reason.mode for tally in report.tallies)
    return not report.total(Outcome.sent) and not would and report.total(Outcome.refused) > 0


async def _until_signalled(
    project: Project, job: Job, ledger: Ledger, watch: Watch, lease: timedelta, workers: int
) -> None:
    """Execute; the first Ctrl-C or SIGTERM stops well, the second at once."""
    stop = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None

    def stopping() -> None:
        if stop.is_set():
            task.cancel()
            return
        stop.set()
        err.print("\nstopping: finishing what is in the air (again to stop at once)")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    try:
        async with of_one_run(project, SystemClock()) as tell:
            tools = Tools(ledger, SystemClock(), SystemRandom(), stop, watch, lease, local.crew_of(workers), tell=tell)
            await execute(job, tools)
    except asyncio.CancelledError:
        raise Stopped from None


def _show(report: Report, seconds: float, goes_on: str) -> None:
    record = report.runs[0]
    out.print(f"\nrun [bold]{record.id}[/] {state_text(record)}")
    show_report(report, out)
    sent = report.total(Outcome.sent)
    if sent and seconds > 1:
        err.print(f"[dim]{seconds:.1f} s, {sent / seconds:,.0f} sent a second[/]")
    if not record.state.ended:
        err.print(f"`{goes_on}` goes on where it stopped" if goes_on else "a send does not go on", markup=False)


class Watch:
    """Live progress on a terminal: share of the hash space, sent, rate, and what is waited for."""

    def __init__(self, bar: Bar | None, resumes: bool) -> None:
        self.problems: Counter[str] = Counter()
        self._bar = bar
        self._began = time.monotonic()
        self._said = ""
        self._base = None if resumes else (0.0, 0.0)
        """(share, seconds) from which the speed is measured: what was done before a resume says nothing about it."""
        self._task = bar.add_task("", total=1.0, counts="") if bar else None

    def __call__(self, progress: Progress) -> None:
        self.problems = progress.problems
        if self._bar is None or self._task is None:
            self._say(progress.waiting)
            return
        seconds = time.monotonic() - self._began
        done = sum(progress.totals.values())
        sent = sum(count for (_, _, outcome, _), count in progress.totals.items() if outcome is Outcome.sent)
        left = self.left(progress.share, seconds)
        words = [f"{done:,} deliveries", f"{sent:,} sent", f"{done / max(seconds, 0.001):,.0f}/s"]
        words += [f"about {_duration(left)} left"] if left is not None and seconds > 2 else []
        words += [progress.waiting] if progress.waiting else []
        self._bar.update(self._task, completed=progress.share, counts=" · ".join(words))

    def _say(self, waiting: str) -> None:
        """Where nothing moves on a screen: once what it waits for."""
        if waiting and waiting != self._said:
            err.print(waiting, markup=False)
        self._said = waiting or self._said

    def left(self, share: float, seconds: float) -> float | None:
        """Seconds that the rest will take, if it goes on like this; None while that is anybody's guess."""
        if self._base is None and share:
            self._base = (share, seconds)
        share_before, seconds_before = self._base or (share, seconds)
        done = share - share_before
        return (seconds - seconds_before) * (1 - share) / done if done > 0.01 else None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def _watching(plan: Plan) -> Iterator[Watch]:
    if not err.is_terminal:
        yield Watch(None, plan.resumes is not None)
        return
    with Bar(BarColumn(30), TextColumn("{task.fields[counts]}"), console=err, transient=True) as bar:
        yield Watch(bar, plan.resumes is not None)
