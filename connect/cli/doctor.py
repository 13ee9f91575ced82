"""`connect doctor`: does everything that a run needs work, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from connect.cli import terminal
from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, print_json
from connect.errors import ConnectError

if TYPE_CHECKING:
    from connect.project.project import Project

Check = tuple[str, str, Callable[[], str]]
"""(what, which, how to prove that it works)"""


def doctor(project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False) -> None:
    """Test the secret, each source, each provider and the ledger; say the remedy."""
    from connect.cli.opening import open_project

    findings = [_examine(check) for check in _checks(open_project(project, target))]
    sound = all(finding["ok"] for finding in findings)
    if json:
        print_json({"ok": sound, "checks": findings})
    else:
        for finding in findings:
            _show(finding)
    raise typer.Exit(0 if sound else 3)


def _checks(project: Project) -> Iterator[Check]:
    from connect import wiring

    yield "secret", project.target, lambda: _secret(project)
    yield "ledger", project.target, lambda: _ledger(project)
    for name in project.sources:
        yield "source", name, lambda name=name: wiring.open_warehouse(project, name).check()  # type: ignore[misc]
    for name in project.providers:
        yield "provider", name, lambda name=name: _provider(project, name)  # type: ignore[misc]


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


def _examine(check: Check) -> dict[str, Any]:
    what, which, prove = check
    try:
        ok, found, hint = True, prove(), ""
    except ConnectError as error:
        problem = error.problems[0]
        ok, found, hint = False, problem.message, problem.hint
    hidden = terminal.redactor.text
    return {"what": what, "name": which, "ok": ok, "found": hidden(found), "hint": hidden(hint)}


def _show(finding: dict[str, Any]) -> None:
    from rich.markup import escape

    mark = "[green]✓[/green]" if finding["ok"] else "[red]✗[/red]"
    out.print(f"{mark} {finding['what']} [bold]{escape(finding['name'])}[/bold]: ", end="")
    out.print(finding["found"], markup=False)
    if finding["hint"]:
        out.print(f"  hint: {finding['hint']}", style="cyan", markup=False)
