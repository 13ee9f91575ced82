"""`connect keys`: who may call the API."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connect.cli.options import Debug, Json, ProjectFolder, Target
from connect.cli.terminal import err, out, print_json
from connect.vocabulary import Scope

if TYPE_CHECKING:
    from connect.project.serve import ApiKey

app = typer.Typer(help="Make, list and check keys of the API.", no_args_is_help=True)

_VARIABLE = "CONNECT_API_KEY"


@app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Who calls with it: letters, digits, - and _.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may do; several times for several.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key, print it once, and what stands in connect.yml for it. Nothing is written."""
    from connect.errors import UserError
    from connect.project.api_keys import hash_of, new_key
    from connect.project.types import name_problem

    if wrong := name_problem(name):
        raise UserError.of("bad-name", wrong)
    scopes, key = list(dict.fromkeys(scope or [Scope.read])), new_key()
    if json:
        print_json({"name": name, "key": key, "hash": hash_of(key), "scopes": [each.value for each in scopes]})
        return
    out.print(key, markup=False, highlight=False, soft_wrap=True)
    err.print("\nThis is the key; it is shown once. Add to connect.yml:\n")
    lines = ["serve:", "  keys:", f"    {name}:", f"      hash: {hash_of(key)}", f"      scopes: [{', '.join(scopes)}]"]
    err.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_keys(project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False) -> None:
    """List who may call the API, for what, and how often."""
    from connect.cli.opening import open_project

    keys = open_project(project, target).serve.api_keys
    if json:
        print_json([_as_json(name, key) for name, key in keys.items()])
        return
    if not keys:
        out.print("nobody may call the API: `connect keys new NAME` makes a key")
    for name, key in keys.items():
        out.print(_line(name, key), markup=False)


@app.command("check")
def check_key(project: ProjectFolder = Path(), target: Target = None, json: Json = False, debug: Debug = False) -> None:
    """Tell whose a key is, and what it may do. It is read from CONNECT_API_KEY, else from standard input."""
    from connect.cli.opening import open_project
    from connect.errors import UserError
    from connect.project.api_keys import whose

    keys = open_project(project, target).serve.api_keys
    name = whose((os.environ.get(_VARIABLE) or sys.stdin.readline()).strip(), keys)
    if name is None:
        raise UserError.of("unknown-api-key", "connect.yml has no such key", "`connect keys list` tells which it has")
    if json:
        print_json(_as_json(name, keys[name]))
    else:
        out.print(_line(name, keys[name]), markup=False)


def _as_json(name: str, key: ApiKey) -> dict[str, object]:
    return {"name": name, "scopes": [scope.value for scope in key.scopes], "rate": str(key.rate)}


def _line(name: str, key: ApiKey) -> str:
    return f"{name}: {', '.join(key.scopes)}, at most {key.rate}"
