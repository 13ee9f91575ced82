"""`connect subscriptions`: who may be written to and why not; opt-outs by hand and from files, into your own table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.run import Yes
from connect.cli.terminal import err, out, plural, print_json, show_problems
from connect.vocabulary import Channel, SubscriptionStatus

if TYPE_CHECKING:
    from connect.pipeline.optout_file import OptOutFile
    from connect.pipeline.subscriber import Entry, Person, Subscriber
    from connect.pipeline.subscriptions import Change
    from connect.project.project import Project, Subscriptions
    from connect.warehouses.interface import Warehouse

app = typer.Typer(help="Show who has opted out; opt people out and in again; import opt-outs.", no_args_is_help=True)

Who = Annotated[
    list[str],
    typer.Argument(
        metavar="PERSON...",
        help="An id, an e-mail address, a phone number with its +; or several of one person. Or `device=TOKEN`.",
    ),
]
OfChannel = Annotated[Channel | None, typer.Option("--channel", help="Of this channel only.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Of this topic only.")]
Because = Annotated[str | None, typer.Option("--reason", help="A few words, for the column `reason`.")]


@dataclass(frozen=True)
class _Opened:
    project: Project
    warehouse: Warehouse

    @property
    def subscriptions(self) -> Subscriptions:
        assert self.project.subscriptions is not None
        return self.project.subscriptions

    def look_up(self, who: Person, topic: str | None = None) -> Subscriber:
        from connect.clock import SystemClock
        from connect.pipeline.preferences import heeding
        from connect.pipeline.subscriber import look_up

        held = self._held()
        topics = [topic] if topic else []
        topics += [change.topic for change in held if change.topic]
        return heeding(look_up(self.project, self.warehouse, who, SystemClock().now(), topics), held, who)

    def _held(self) -> list[Change]:
        """Opt-outs that wait for the warehouse."""
        from connect.cli.opening import ledger_of
        from connect.clock import SystemClock
        from connect.pipeline.waiting import Waiting

        with ledger_of(self.project) as ledger:
            waiting = Waiting(ledger, self.project.secret, SystemClock())
            waiting.look()
            return waiting.changes()

    def drain(self) -> datetime:
        """What waits is older than what is about to be written. Raises OutsideError where it can not be written.

        Returns the time by the ledger's clock, which servers go by too.
        """
        from connect.cli.opening import ledger_of
        from connect.pipeline.sealing import drain

        with ledger_of(self.project) as ledger:
            drain(ledger, self.project.secret, self.subscriptions, lambda: self.warehouse)
            return ledger.now()

    def note(self, changes: Sequence[Change]) -> None:
        """They are written: runs that have read their rows already are told."""
        from connect.cli.opening import ledger_of
        from connect.pipeline.sealing import note

        with ledger_of(self.project) as ledger:
            note(self.project, ledger, changes)

    @property
    def now(self) -> datetime:
        """By the ledger's clock."""
        from connect.cli.opening import ledger_of

        with ledger_of(self.project) as ledger:
            return ledger.now()

    @property
    def is_running(self) -> bool:
        """Whether a run may have read rows before now."""
        from connect.cli.opening import ledger_of
        from connect.vocabulary import RunState

        with ledger_of(self.project) as ledger:
            return bool(ledger.runs(state=RunState.running, limit=1))


@contextmanager
def _opened(project: Path, target: str | None, *, writes: bool = True) -> Iterator[_Opened]:
    """The project, and the warehouse of its opt-outs. With `writes` connect.yml has to say where they are written."""
    from connect import wiring
    from connect.cli.opening import open_project
    from connect.pipeline.subscriptions import writable

    opened = open_project(project, target)
    subscriptions = writable(opened) if writes else opened.subscriptions
    warehouse = wiring.open_warehouse(opened, subscriptions.source if subscriptions else opened.default_source)
    try:
        yield _Opened(opened, warehouse)
    finally:
        warehouse.close()


@app.command("init")
def init_table(
    project: ProjectFolder = Path(),
    target: Target = None,
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Show the statements that make the table of `subscriptions.write`, ask, and run them."""
    from connect.pipeline.subscriptions import check_table, create, statements

    with _opened(project, target) as opened:
        for statement in statements(opened.warehouse, opened.subscriptions):
            out.print(f"{statement};", markup=False)
        _ask(f"Run this on source `{opened.subscriptions.source}`?", yes, "nothing was made")
        create(opened.warehouse, opened.subscriptions)
        check_table(opened.warehouse, opened.subscriptions)
        err.print(f"the table {opened.subscriptions.write} is there", markup=False)
        _warn(opened)


def _ask(question: str, yes: bool, otherwise: str) -> None:
    from connect.errors import UserError

    if yes:
        return
    if not sys.stdin.isatty():
        said = f"this asks before it writes, and there is nobody to ask: {otherwise}"
        raise UserError.of("not-confirmed", said, "`--yes` writes without asking")
    if not typer.confirm(question, err=True):
        raise UserError.of("not-confirmed", otherwise)


def _warn(opened: _Opened) -> None:
    """What is written has to be read."""
    from connect.pipeline.subscriptions import unread

    show_problems(unread(opened.subscriptions, opened.warehouse.dialect.sqlglot))


# One person


@app.command("show")
def show_person(
    who: Who, project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False
) -> None:
    """Show what is on record about a person, and on which channels and topics they may be written to."""
    from connect.cli import subscriber
    from connect.pipeline.subscriber import person

    meant = person(who)
    with _opened(project, target, writes=False) as opened:
        found = opened.look_up(meant)
    if json:
        print_json(subscriber.as_json(found, meant))
    else:
        subscriber.show(found, meant)


@app.command()
def unsubscribe(
    who: Who,
    channel: OfChannel = None,
    topic: OfTopic = None,
    reason: Because = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Opt a person out, of everything or of one channel or topic. Opt-outs are real in every mode."""
    from connect.pipeline.subscriber import leaving, person
    from connect.pipeline.subscriptions import check_table, record

    meant = person(who)
    channels = meant.on(channel)
    with _opened(project, target) as opened:
        check_table(opened.warehouse, opened.subscriptions)
        changes = leaving(meant, channel, topic, opened.drain(), reason)
        record(opened.warehouse, opened.subscriptions, changes)
        opened.note(changes)
        found = opened.look_up(meant, topic)
    _tell(opened, meant, found, json, "unsubscribed", _scope(meant, channel, topic))
    _must_be_heard(found, channels, topic, opened)


def _scope(who: Person, channel: Channel | None, topic: str | None) -> str:
    channels = who.on(channel)
    named = "every channel" if len(channels) == len(Channel) else " and ".join(channels)
    return f"{named}, {f'topic {topic}' if topic else 'every topic'}"


def _tell(opened: _Opened, who: Person, found: Subscriber, json: bool, said: str, scope: str) -> None:
    from connect.cli import subscriber

    if json:
        print_json(subscriber.as_json(found, who))
        return
    mode = opened.project.mode
    real = "" if mode == "live" else f"; this target is in mode {mode}, and opt-outs are real in every mode"
    out.print(f"{said}: {scope}{real}", markup=False)


def _must_be_heard(found: Subscriber, channels: Sequence[Channel], topic: str | None, opened: _Opened) -> None:
    """What was written has to be what runs read now."""
    from connect.errors import UserError

    if any(found.verdict(channel, topic).reason is None for channel in channels):
        said = f"it is written to `{opened.subscriptions.write}`, but runs would not skip this person"
        hint = "`subscriptions.sql` has to return what is in that table; `connect validate` says what it lacks"
        raise UserError.of("opt-outs-unread", said, hint)


@app.command()
def resubscribe(
    who: Who,
    channel: OfChannel = None,
    topic: OfTopic = None,
    bounced: Annotated[bool, typer.Option("--bounced", help="Take back hard bounces too: the address works.")] = False,
    complained: Annotated[
        bool, typer.Option("--complained", help="Take back complaints too: they asked for messages again.")
    ] = False,
    reason: Because = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take back what keeps messages from a person who asked for them again. Opt-outs are real in every mode."""
    from connect.pipeline.subscriber import coming_back, person
    from connect.pipeline.subscriptions import check_table, record

    meant = person(who)
    channels = meant.on(channel)
    with _opened(project, target) as opened:
        check_table(opened.warehouse, opened.subscriptions)
        now = opened.drain()
        before = opened.look_up(meant, topic)
        standing = [entry for entry in before.entries if entry.stands and entry.about(channel, topic)]
        _must_be_taken_back_as_one(standing, channel, topic)
        _must_be_meant(standing, bounced, complained)
        changes = coming_back(standing, now, reason)
        record(opened.warehouse, opened.subscriptions, changes)
        opened.note(changes)
        found = opened.look_up(meant, topic) if standing else before
    _tell(
        opened,
        meant,
        found,
        json,
        "resubscribed" if standing else "nothing to take back",
        _scope(meant, channel, topic),
    )
    _must_be_free(found, channels, topic)


def _must_be_taken_back_as_one(standing: Sequence[Entry], channel: Channel | None, topic: str | None) -> None:
    """A row about every topic can not be taken back for one of them: nobody knows all the others."""
    from connect.errors import UserError

    for entry in standing:
        every = "channel" if channel and entry.channel is None else "topic" if topic and entry.topic is None else ""
        if every and not (every == "topic" and entry.status in ("bounced", "complained")):
            said = f"they opted out of every {every}, which can not be taken back for one {every} alone"
            hint = f"take it back without `--{every}`, then `connect subscriptions unsubscribe` from the others"
            raise UserError.of("broader-opt-out", said, hint)


def _must_be_meant(standing: Sequence[Entry], bounced: bool, complained: bool) -> None:
    from connect.errors import UserError

    allowed = {"unsubscribed", *(["bounced"] if bounced else []), *(["complained"] if complained else [])}
    graver = sorted({entry.status.value for entry in standing} - allowed)
    if graver:
        said = f"the record says {' and '.join(graver)}, and nothing was changed"
        hint = f"if that is no longer so, add {' '.join(f'`--{one}`' for one in graver)}"
        raise UserError.of("not-taken-back", said, hint)


def _must_be_free(found: Subscriber, channels: Sequence[Channel], topic: str | None) -> None:
    from connect.errors import UserError

    if any(found.verdict(channel, topic).reason is not None for channel in channels):
        said = "runs would still skip this person"
        hint = "`connect subscriptions show` says why; `subscriptions.sql` has to return `status` and `at`"
        raise UserError.of("opt-outs-unread", said, hint)


# Many people


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A CSV of id, address, channel, topic, status, at: some or all.")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When rows without a time were said: ISO 8601.")
    ] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    yes: Yes = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Add the opt-outs of a file, once all of its rows are right. Repeated, it adds nothing. Real in every mode."""
    from connect.pipeline.subscriptions import check_table

    with _opened(project, target) as opened:
        optouts = _file(opened, file, at)
        counts = {status.value: count for status, count in sorted(optouts.check().items())}
        check_table(opened.warehouse, opened.subscriptions)
        if not json:
            _warn(opened)
        rows = sum(counts.values())
        told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        err.print(f"{plural(rows, 'row')}, all of them right: {told}", markup=False)
        _ask(f"Add them to {opened.subscriptions.write}?", yes, "nothing was written")
        _write(opened, optouts, rows)
    if json:
        print_json({"table": opened.subscriptions.write, "rows": rows, "statuses": counts})
    else:
        out.print(f"{plural(rows, 'row is', 'rows are')} in {opened.subscriptions.write}", markup=False)


def _file(opened: _Opened, path: Path, at: str | None) -> OptOutFile:
    from connect.pipeline.optout_file import OptOutFile
    from connect.schedule.times import given

    zone = opened.project.timezone
    said: datetime | None = given(at, zone, "--at") if at else None
    return OptOutFile(path, zone, opened.now, said, opened.subscriptions.subscribed_values)


def _write(opened: _Opened, file: OptOutFile, rows: int) -> None:
    from connect.errors import ConnectError
    from connect.pipeline.subscriptions import record

    written = 0

    def wrote(count: int) -> None:
        nonlocal written
        written = count
        passing = err.is_terminal and count < rows
        err.print(f"{count:,} of {plural(rows, 'row')}", markup=False, end="\r" if passing else "\n")

    optouts: list[Change] = []
    try:
        record(opened.warehouse, opened.subscriptions, _heard(file.changes(), optouts), wrote)
    except ConnectError:
        err.print(f"{written:,} of {plural(rows, 'row')} are in the table; repeated, none is added twice", markup=False)
        raise
    if opened.is_running:
        _tell_runs(opened, optouts)


def _heard(changes: Iterator[Change], optouts: list[Change]) -> Iterator[Change]:
    """The same; the first opt-outs among them are remembered, and one more."""
    from connect.pipeline.sealing import MOST_NOTED

    for change in changes:
        if change.status is not SubscriptionStatus.subscribed and len(optouts) <= MOST_NOTED:
            optouts.append(change)
        yield change


def _tell_runs(opened: _Opened, optouts: Sequence[Change]) -> None:
    """Those who are at work. Who begins now reads the table."""
    from connect.pipeline.sealing import MOST_NOTED

    opened.note(optouts[:MOST_NOTED])
    if len(optouts) > MOST_NOTED:
        said = f"a run is at work: of the rows that it has read already, it heeds the first {MOST_NOTED:,} of these"
        err.print(f"{said}; pause and resume it to have it heed all (`connect runs pause`)", markup=False)
