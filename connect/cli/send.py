"""`connect send`: a message of messages/, without a campaign, to the people that are given."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from connect.cli.options import Debug, Json, ModeOption, ProjectFolder, Target
from connect.cli.run import Sandbox, Yes

People = list[dict[str, Any]]


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
    from connect.pipeline.sending import as_campaign
    from connect.project.campaigns import load_message

    rows = _people(person or [], people)
    opened = open_project(project, target, mode)
    loaded = as_campaign(opened, message, load_message(opened, message), rows)
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
