"""`connect outbox`: browse what the outbox captured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import out, plural, print_json
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from connect.project.project import Project
    from connect.providers.interface import Captured


def outbox(
    run: Annotated[str, typer.Argument(help="Only this run's messages (the beginning of its id will do).")] = "",
    open_page: Annotated[bool, typer.Option("--open", help="Show them in the browser, from memory.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest last.")] = 50,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Browse the messages that were captured instead of sent."""
    from connect.cli.opening import open_project

    opened = open_project(project, target)
    found = [message for message in _captured(opened) if message.run_id.startswith(run)]
    captured = found[-limit:]
    if json:
        print_json([_as_json(message) for message in captured])
    elif open_page:
        _serve(captured, len(found))
    else:
        _list(captured, len(found))


def _captured(project: Project) -> list[Captured]:
    """Everything that accounts which keep messages on disk have kept."""
    from connect import wiring
    from connect.providers.interface import KeepsMessages

    accounts = wiring.open_accounts(project, project.providers)
    kept = [provider for provider, _ in accounts.values() if isinstance(provider, KeepsMessages)]
    return [message for provider in kept for message in provider.captured()]


def _list(captured: list[Captured], found: int) -> None:
    from rich.markup import escape

    if not captured:
        out.print("nothing was captured yet: `connect run NAME` writes here when a channel's provider is an outbox")
        return
    for message in captured:
        out.print(f"[dim]{escape(message.run_id)}[/] {message.channel:<5} {escape(_to(message))}  ", end="")
        out.print(_what(message), style="bold", markup=False)
        out.print(f"  {message.file}", style="dim", markup=False)
    out.print(f"\n{_how_many(captured, found)}; `connect outbox --open` shows them")


_LONGEST = 60
_LONGEST_TOKEN = 20


def _to(message: Captured) -> str:
    """Whom it is for; of a token its beginning, behind what it runs on."""
    if message.method:
        return f"{message.method} {message.to or '(the account’s endpoint)'}"
    if message.channel is not Channel.push:
        return message.to
    token = message.to if len(message.to) <= _LONGEST_TOKEN else message.to[: _LONGEST_TOKEN - 1] + "…"
    return f"{message.platform or ''} {token}".strip()


def _what(message: Captured) -> str:
    """The subject, or how the body begins; of a push message both."""
    body = " ".join((message.body or "").split())
    what = ": ".join(part for part in (message.subject, body) if part)
    return what if message.channel is Channel.email or len(what) <= _LONGEST else what[: _LONGEST - 1] + "…"


def _how_many(captured: list[Captured], found: int) -> str:
    newest = f"the newest {len(captured)} of " if len(captured) < found else ""
    return newest + plural(found, "message") + (" (`--limit` shows more)" if newest else "")


def _serve(captured: list[Captured], found: int) -> None:
    from connect.cli.pages import serve
    from connect.reports.pages import Shown, messages_page

    shown = [
        Shown(
            channel=message.channel,
            to=message.to,
            sender=message.sender,
            subject=message.subject,
            preheader="",
            html=message.html,
            text=message.text or message.body,
            label=message.run_id,
            notes=(),
            segments=message.segments,
            platform=message.platform or "",
            image=message.image,
            url=message.url,
            data=message.data,
            method=message.method,
            headers=message.headers,
            options=message.options,
        )
        for message in captured
    ]
    serve(messages_page("Outbox", f"{_how_many(captured, found)} captured, none sent to anyone", shown))


def _as_json(message: Captured) -> dict[str, object]:
    return {
        "run": message.run_id,
        "channel": message.channel.value,
        "from": message.sender,
        "to": message.to,
        "subject": message.subject,
        **_more(message),
        "file": str(message.file),
    }


def _more(message: Captured) -> dict[str, object]:
    """What only messages of its channel have."""
    match message.channel:
        case Channel.sms:
            return {"body": message.body, "segments": message.segments}
        case Channel.push:
            shown = {"platform": message.platform, "body": message.body, "url": message.url, "image": message.image}
            return {**shown, "data": dict(message.data), "options": dict(message.options)}
        case Channel.http:
            return {"method": message.method, "headers": list(message.headers), "body": message.body}
        case _:
            return {}
