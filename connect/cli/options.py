"""The options that commands share, spelled and explained once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from connect.vocabulary import Mode

ProjectFolder = Annotated[
    Path, typer.Option("--project", "-C", help="A folder of the project.", show_default="here", file_okay=False)
]
Target = Annotated[
    str | None, typer.Option("--target", "-t", help="The target to use (else CONNECT_TARGET, else the default).")
]
ModeOption = Annotated[
    Mode | None, typer.Option("--mode", help="Make it safer than connect.yml says; it can never make it live.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; values stay hidden.")]


def typed(target: str | None, mode: Mode | None = None) -> str:
    """These options as they were given, for a command that is suggested: it must mean the same target."""
    given = [("--target", target), ("--mode", mode)]
    return "".join(f" {option} {shlex.quote(value)}" for option, value in given if value)
