"""`connect send`: a message of messages/, without a campaign, to the people that are given."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target
from connect.cli.run import Sandbox, Yes

if TYPE_CHECKING:
    from connect.project.campaigns import Loaded
    from connect.project.project import Project

People = list[dict[str, Any]]

_RUN_OF = "message "
"""What the runs of messages are called, before the message's name. No campaign has a space in its name."""


def is_a_send(campaign: str) -> bool:
    """Whether a run of this name sent a message without a campaign."""
    return campaign.startswith(_RUN_OF)


def send(
    message: Annotated[str, typer.Argument(help="The message's name in messages/.")],
    person: Annotated[
        list[str] | None, typer.Argument(metavar="[COLUMN=VALUE]...", help="One person, such as id=7 email=a@b.c")
    ] = None,
    people: Annotated[
        str | None, typer.Option(help="A file of JSON rows (a list, or one a line); - reads standard input.")
    ] = None,
    project: ProjectFolder = Path(),
    target: Target = None,
    mode: ModeOption = None,
    sandbox: Sandbox = False,
    yes: Yes = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Send a message without a campaign. The people are kept in memory only, so an interrupted send is not resumed."""
    from connect.cli.opening import open_project
    from connect.cli.running import run_campaign

    rows = _people(person or [], people)
    opened = open_project(project, target, mode)
    loaded = _as_campaign(opened, message, rows)
    raise typer.Exit(run_campaign(opened, loaded, yes=yes, again=True, json=json, goes_on="", sandbox=sandbox))


def _people(pairs: list[str], source: str | None) -> People:
    from connect.errors import UserError

    if pairs and source:
        raise UserError.of("bad-person", "people are given twice: as COLUMN=VALUE and with `--people`", "choose one")
    return _rows(source) if source else [_person(pairs)]


def _person(pairs: list[str]) -> dict[str, Any]:
    from connect.errors import UserError

    cells = dict(pair.partition("=")[::2] for pair in pairs if "=" in pair)
    if len(cells) != len(pairs) or not cells:
        raise UserError.of(
            "bad-person", "a person is given as COLUMN=VALUE pairs", "such as: id=7 email=ada@example.com"
        )
    return dict(cells)


def _rows(source: str) -> People:
    """Rows from a file or standard input; what is wrong is told by its line, never by its text."""
    from connect.errors import OutsideError, UserError

    name = "standard input" if source == "-" else source
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    except OSError as error:
        raise OutsideError.of("missing-file", f"{name} can not be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError.of("not-utf-8", f"{name} is not UTF-8 text", "save it as UTF-8") from None
    rows = _parsed(text, name)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError.of("bad-rows", f"{name} must hold JSON objects, one for each person")
    return rows


def _parsed(text: str, name: str) -> list[Any]:
    """A list, or a value a line. Lines end where JSON's do: U+2028 is a character like others."""
    import json

    from connect.errors import UserError

    whole = text.lstrip().startswith("[")
    pieces = [(1, text)] if whole else [(at, line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    found: list[Any] = []
    for at, piece in pieces:
        try:
            value = json.loads(piece)
        except json.JSONDecodeError as error:
            raise UserError.of("bad-rows", f"{name} is not JSON: line {at + error.lineno - 1}") from None
        found += value if whole else [value]
    return found


def _as_campaign(project: Project, name: str, rows: People) -> Loaded:
    """The message as a campaign that runs once, now, for these people."""
    from connect.project.audience import Audience
    from connect.project.campaign import Campaign, digest
    from connect.project.campaigns import Loaded, load_message
    from connect.project.policy import Policy
    from connect.project.trigger import Immediate
    from connect.vocabulary import CampaignStatus

    loaded = load_message(project, name)
    campaign = None
    if loaded.message is not None:
        campaign = Campaign.model_construct(
            name=f"{_RUN_OF}{name}",
            description="",
            status=CampaignStatus.live,
            trigger=Immediate(type="immediate", timezone=project.timezone),
            audience=Audience.model_construct(
                source=project.default_source, people=tuple(rows), key=_key(rows), params={}
            ),
            examples=(),
            message=loaded.message,
            policy=Policy(),
            file=loaded.file,
            digest="",
        )
        campaign = campaign.model_copy(update={"digest": digest(campaign)})
    return Loaded(campaign, loaded.problems, loaded.texts, loaded.file)


def _key(rows: People) -> tuple[str, ...]:
    """What tells people apart: the first of these that all of them have."""
    from connect.errors import UserError

    for name in _KEYS:
        if all(name in row for row in rows):
            return (name,)
    said = "nothing tells these people apart" if len(rows) > 1 else "nothing says who this person is"
    hint = f"give each one of {', '.join(_KEYS)}, such as: id=7"
    raise UserError.of("bad-person", said, hint)


_KEYS = ("id", "email", "phone_number", "device_token")
