"""`connect doctor`: does everything that a run needs work, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connect.cli import terminal
from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, plural, print_json
from connect.errors import ConnectError

if TYPE_CHECKING:
    from connect.pipeline.domains import Records
    from connect.project.campaign import Campaign
    from connect.project.project import Project

Check = tuple[str, str, Callable[[], str]]
"""(what, which, how to prove that it works)"""


def doctor(
    project: ProjectFolder = Path(),
    target: Target = None,
    dns: Annotated[
        bool, typer.Option("--dns", help="Look up SPF, DKIM and DMARC of the domains that e-mails are from.")
    ] = False,
    grants: Annotated[
        bool, typer.Option("--grants", help="Show the SQL that allows each source's user no more than it needs.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Test the secret, each source, each provider and the ledger, and how e-mails will be met; say the remedy."""
    from connect.cli.opening import open_project

    opened = open_project(project, target)
    findings = [examine(check) for check in [*_checks(opened), *_mail(opened, dns)]]
    sound = all(finding["ok"] for finding in findings)
    granted = _grants(opened) if grants else {}
    if json:
        print_json({"ok": sound, "checks": findings, **({"grants": granted} if grants else {})})
    else:
        for finding in findings:
            show(finding)
        _show_grants(granted)
    raise typer.Exit(0 if sound else 3)


def _checks(project: Project) -> Iterator[Check]:
    from connect import wiring

    yield "secret", project.target, lambda: _secret(project)
    yield "ledger", project.target, lambda: _ledger(project)
    for name in project.sources:
        yield "source", name, lambda name=name: wiring.open_warehouse(project, name).check()  # type: ignore[misc]
    if project.subscriptions is not None and project.subscriptions.write:
        yield "subscriptions", project.subscriptions.write, lambda: _optouts(project)
        yield "held opt-outs", project.target, lambda: _held(project)
    if project.destination is not None:
        yield "destination", project.destination.deliveries, lambda: _history(project)
    for name in project.providers:
        yield "provider", name, lambda name=name: _provider(project, name)  # type: ignore[misc]


def _optouts(project: Project) -> str:
    """Whether what is written is there to be written to, and read."""
    from connect import wiring
    from connect.errors import UserError
    from connect.pipeline import subscriptions

    written = subscriptions.writable(project)
    warehouse = wiring.open_warehouse(project, written.source)
    try:
        subscriptions.check_table(warehouse, written)
        if unread := subscriptions.unread(written, warehouse.dialect.sqlglot):
            raise UserError(*unread)
    finally:
        warehouse.close()
    return f"unsubscribes, hard bounces and complaints are added to this table of source {written.source}"


_LONG = timedelta(minutes=15)
"""A warehouse that was away for less needs no doctor."""


def _held(project: Project) -> str:
    """Whether opt-outs wait in the ledger that nobody writes into the warehouse."""
    from connect.cli.opening import ledger_of
    from connect.errors import OutsideError, UserError
    from connect.pipeline.sealing import unopened, unreadable
    from connect.schedule.times import utc

    with ledger_of(project) as ledger:
        held, now = ledger.waiting(), ledger.now()
        lost = unopened(ledger, project.secret) if held.count else 0
    if lost:
        raise UserError(unreadable(lost))
    if held.since is None:
        return "none waits in the ledger for the warehouse"
    waits = plural(held.count, "opt-out waits", "opt-outs wait")
    said = f"{waits} in the ledger for the warehouse since {utc(held.since)}"
    if now - held.since < _LONG:
        return f"{said}; runs heed them"
    hint = "`connect serve` and `connect daemon` write them, and their logs say `opt-outs-held` and why not; start one"
    raise OutsideError.of("opt-outs-waiting", f"{said}, and runs heed them", hint)


def _history(project: Project) -> str:
    """Whether the tables that deliveries and events are written to are there, and whole."""
    from connect import wiring
    from connect.pipeline.history import must_be_there

    destination = project.destination
    assert destination is not None
    warehouse = wiring.open_warehouse(project, destination.source)
    try:
        must_be_there(warehouse, project)
    finally:
        warehouse.close()
    return f"deliveries are written to this table of source {destination.source}, events to {destination.events}"


def _grants(project: Project) -> dict[str, dict[str, list[str]]]:
    """Source → what it is for → the least privilege, as SQL."""
    from connect import wiring
    from connect.pipeline.access import accesses
    from connect.project.campaigns import load_campaigns

    campaigns = [one.campaign for one in load_campaigns(project).values() if one.campaign]
    opened = {name: wiring.open_warehouse(project, name) for name in project.sources}
    found = accesses(project, campaigns, opened)
    return {
        name: {
            "read": list(warehouse.grants(found[name].reading)),
            "write": list(warehouse.grants(found[name].writing)),
        }
        for name, warehouse in opened.items()
    }


_PURPOSES = {"read": "to read audiences and opt-outs", "write": "to write what connect.yml asks for"}


def _show_grants(granted: dict[str, dict[str, list[str]]]) -> None:
    """SQL as it can be run, by somebody who may grant."""
    for name, purposes in granted.items():
        for purpose, statements in purposes.items():
            if statements:
                out.print(f"\n-- source {name}, {_PURPOSES[purpose]}", markup=False, style="dim")
            for statement in statements:
                out.print(
                    terminal.redactor.text(statement if statement.startswith("--") else f"{statement};"), markup=False
                )


def _mail(project: Project, dns: bool) -> Iterator[Check]:
    """What becomes of messages after a provider took them."""
    from connect.project.campaigns import load_campaigns

    campaigns = [one.campaign for one in load_campaigns(project).values() if one.campaign]
    if campaigns:
        yield "deliverability", project.target, lambda: _warned(project)
    if dns:
        for domain, records in _domains(project, campaigns).items():
            yield "domain", domain, lambda records=records: _proven(records)  # type: ignore[misc]


def _warned(project: Project) -> str:
    from connect.cli.checks import mail_warnings

    found = mail_warnings(project)
    codes = sorted({problem.code for problems in found.values() for problem in problems})
    campaigns = plural(len(found), "campaign")
    if not codes:
        return f"nothing to mend in {campaigns}"
    return f"warnings in {sum(map(bool, found.values()))} of {campaigns}, see `connect validate`: {', '.join(codes)}"


def _domains(project: Project, campaigns: list[Campaign]) -> dict[str, list[Records]]:
    from connect.cli.checks import domains_of
    from connect.pipeline import domains

    lookups = domains.Lookups(domains.system_resolver())
    found: dict[str, list[Records]] = {}
    for campaign in campaigns:
        for sender, records in domains_of(project, campaign, lookups):
            found.setdefault(sender.domain, []).append(records)
    return found


def _proven(looked_up: list[Records]) -> str:
    from connect.errors import OutsideError

    problems = dict.fromkeys(problem for records in looked_up for problem in records.problems)
    if problems:
        raise OutsideError(*problems)
    said = [*(records.summary for records in looked_up), *(note for records in looked_up for note in records.notes)]
    return "; ".join(filter(None, dict.fromkeys(said)))


def _secret(project: Project) -> str:
    sealed = project.secret.seal("doctor", b"proof")
    project.secret.open("doctor", sealed)
    older = len(project.secret.secrets) - 1
    return "seals and opens" + (f"; {older} older ones still open" if older else "")


def _ledger(project: Project) -> str:
    from connect.cli.opening import ledger_of

    with ledger_of(project) as ledger:
        return ledger.check()


def _provider(project: Project, name: str) -> str:
    import asyncio

    from connect import wiring

    provider, _ = wiring.open_accounts(project, [name])[name]

    async def check() -> str:
        try:
            return await provider.check()
        finally:
            await provider.close()

    return asyncio.run(check())


def examine(check: Check) -> dict[str, Any]:
    """What was found, or what is in the way and what to do."""
    what, which, prove = check
    try:
        ok, found, hint = True, prove(), ""
    except ConnectError as error:
        ok, found, hint = False, "; ".join(problem.message for problem in error.problems), error.problems[0].hint
    hidden = terminal.redactor.text
    return {"what": what, "name": which, "ok": ok, "found": hidden(found), "hint": hidden(hint)}


def show(finding: dict[str, Any]) -> None:
    """A finding in a line, with its remedy."""
    from rich.markup import escape

    mark = "[green]✓[/green]" if finding["ok"] else "[red]✗[/red]"
    out.print(f"{mark} {finding['what']} [bold]{escape(finding['name'])}[/bold]: ", end="")
    out.print(finding["found"], markup=False)
    if finding["hint"]:
        out.print(f"  hint: {finding['hint']}", style="cyan", markup=False)
