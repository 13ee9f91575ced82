"""`connect webhooks`: the endpoints of yours that are told what happens, and a sample for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, print_json
from connect.vocabulary import HappeningType

if TYPE_CHECKING:
    from connect.errors import Location
    from connect.pipeline.posting import Post
    from connect.pipeline.sample import Answered
    from connect.project.project import Project
    from connect.project.webhooks import Hook

app = typer.Typer(help="The endpoints of yours that are told what happens.", no_args_is_help=True)


@app.command("list")
def show(project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False) -> None:
    """The endpoints of connect.yml, and what each is told."""
    from connect.cli.opening import open_project

    opened = open_project(project, target)
    if json:
        print_json([_as_json(name, hook) for name, hook in opened.webhooks.items()])
        return
    if not opened.webhooks:
        err.print("connect.yml has no `webhooks`", markup=False)
    for name, hook in opened.webhooks.items():
        state = "" if hook.enabled else "  (not enabled)"
        out.print(f"{name}  {_redacted(hook.url)}{state}\n    {_events(hook)}", markup=False)


def _as_json(name: str, hook: Hook) -> dict[str, object]:
    events = [each.value for each in hook.events]
    told = {"name": name, "url": hook.url, "events": events}
    return {**told, "enabled": hook.enabled, "allow_private": hook.allow_private}


def _redacted(text: str) -> str:
    from connect.cli import terminal

    return terminal.redactor.text(text)


def _events(hook: Hook) -> str:
    return "everything" if set(hook.events) == set(HappeningType) else ", ".join(each.value for each in hook.events)


@app.command("test")
def send_sample(
    name: Annotated[str, typer.Argument(help="The endpoint's name in `webhooks`.")],
    event: Annotated[HappeningType, typer.Option(help="What it is told.")] = HappeningType.clicked,
    project: ProjectFolder = Path(),
    target: Target = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell an endpoint of an invented person, once, marked as a test; show what was asked and what it answered."""
    import asyncio

    from connect.cli.opening import open_project
    from connect.clock import SystemClock
    from connect.pipeline.sample import ask_once, sample

    opened = open_project(project, target)
    hook = _hook(opened, name)
    asked = sample(hook, event, opened.target, SystemClock().now())
    if not json:
        _show_asked(asked)
    answered = asyncio.run(ask_once(hook, asked, SystemClock()))
    if json:
        print_json(answered.as_json())
    else:
        _show_answered(answered)
    if not answered.taken:
        raise _not_taken(name, answered, _place(opened, name))


def _hook(project: Project, name: str) -> Hook:
    from connect.errors import UserError
    from connect.project import suggest

    if name not in project.webhooks:
        hint = suggest.hint(name, project.webhooks) or "add it under `webhooks`"
        raise UserError.of("unknown-webhook", f"connect.yml has no webhook `{name}`", hint)
    return project.webhooks[name]


def _place(project: Project, name: str) -> Location | None:
    from connect.project.nodes import block

    return block(project.tree.get("webhooks")).key_places.get(name)


def _show_asked(asked: Post) -> None:
    out.print(f"POST {_redacted(asked.url)}", markup=False)
    for header, value in asked.headers.items():
        out.print(f"{header}: {value}", markup=False)
    out.print(f"\n{asked.body.decode()}\n", markup=False)


def _show_answered(answered: Answered) -> None:
    if not answered.status:
        return
    out.print(f"answered {answered.status} in {answered.seconds * 1000:,.0f} ms", markup=False)
    for header, value in answered.headers.items():
        out.print(f"{header}: {value}", markup=False)
    if answered.words:
        out.print(f"\n{_redacted(answered.words)}", markup=False)


def _not_taken(name: str, answered: Answered, place: Location | None) -> Exception:
    from connect.errors import OutsideError

    if answered.status:
        said = f"the endpoint `{name}` answers {answered.status}: what it is told is not taken"
    else:
        said = f"the endpoint `{name}` does not answer: {answered.reason}"
    hint = _HINTS.get(answered.reason, "any 2xx within 15 seconds takes it; what it does with that is for later")
    return OutsideError.of("webhook-not-taken", said, hint, place)


_HINTS = {
    "private_address": "it is on this machine or in a private network: `allow_private: true` if that is meant",
    "untrusted_certificate": "its certificate is not signed by an authority that this machine trusts",
    "unreachable": "see that it runs, and that its name and port are right",
    "status_410": "410 says that it wants to hear nothing any more, and a server heeds that until its next start",
    "status_401": "does it check `webhook-signature` with the same secret as `signing_secret`?",
    "status_403": "does it check `webhook-signature` with the same secret as `signing_secret`?",
}
