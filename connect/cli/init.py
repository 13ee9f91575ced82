"""`connect init`: a new project that runs at once, with a secret, a small warehouse and a first campaign."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from connect.cli.options import Debug, Json
from connect.cli.terminal import err, out, print_json
from connect.errors import UserError

_CONNECT = """\
# yaml-language-server: $schema=.connect/schemas/connect.schema.json
name: {name}
timezone: UTC
secret: ${{CONNECT_SECRET}}          # from .env, which git ignores

{sources}
providers:
  outbox:                          # writes messages into outbox/ for you to look at; sends nothing to anyone
    type: outbox

channels:
  email: outbox
  sms: outbox

default_target: dev
targets:
  dev:
    mode: live                     # live is safe here: the outbox reaches nobody
"""

_SOURCE = """\
sources:
  warehouse:
    url: {url}
"""

_NO_SOURCE = """\
# sources:
#   warehouse:
#     url: duckdb:///warehouse.duckdb      # your warehouse; a path is relative to this file
"""

_CAMPAIGN = """\
# yaml-language-server: $schema=../.connect/schemas/campaign.schema.json
description: A first campaign; `connect preview hello` shows it
trigger:
  type: immediate
audience:
  people:                          # replace by `sql:` over your own warehouse
    - {id: 1, email: ada@example.com, first_name: Ada}
    - {id: 2, email: grace@example.com, first_name: Grace}
message:
  content:
    - channel: email
      from: Hello <hello@example.com>
      subject: "Hello {{ user.first_name | default: 'there' }}"
      html: |
        <p>Hi {{ user.first_name | default: 'there' }},</p>
        <p>this message was rendered from a row of your warehouse.</p>
"""

_IGNORED = (".env", ".connect/", "outbox/", "*.duckdb", "*.duckdb.wal")


def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the project.")] = Path(),
    warehouse: Annotated[
        str | None, typer.Option(help="Your warehouse's URL, e.g. duckdb:///shop.duckdb (relative to the project).")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a new project: connect.yml, a first campaign, and a secret in a git-ignored .env."""
    folder = folder.resolve()
    if (folder / "connect.yml").exists():
        raise UserError.of("project-exists", f"{folder} has a connect.yml already", "choose another folder")
    if warehouse and "://" not in warehouse:
        raise UserError.of("bad-value", "`--warehouse` is not a URL", f"a DuckDB file: duckdb:///{warehouse}")
    (folder / "campaigns").mkdir(parents=True, exist_ok=True)
    sources = _SOURCE.format(url=warehouse) if warehouse else _NO_SOURCE
    (folder / "connect.yml").write_text(_CONNECT.format(name=_name(folder), sources=sources))
    _write_new(folder / "campaigns" / "hello.yml", _CAMPAIGN)
    _add_secret(folder / ".env")
    _ignore(folder / ".gitignore")
    _write_schemas(folder / ".connect" / "schemas")
    if json:
        print_json({"project": str(folder), "name": _name(folder)})
        return
    out.print(f"made a project in {folder}\n")
    place = "" if folder == Path.cwd() else f"cd {folder}\n  "
    out.print(f"next:\n  {place}connect validate\n  connect preview hello --open\n  connect run hello", markup=False)


def _name(folder: Path) -> str:
    cleaned = "".join(letter if letter.isalnum() else "-" for letter in folder.name.lower()).strip("-")
    return cleaned or "project"


def _write_new(file: Path, text: str) -> None:
    """Write a file unless the user has one of that name already."""
    if not file.exists():
        file.write_text(text)


def _add_secret(file: Path) -> None:
    """A new secret for the project, readable by its owner only; an old one stays."""
    text = file.read_text() if file.exists() else ""
    if "CONNECT_SECRET=" in text:
        return
    file.touch(mode=0o600)
    text += "\n" if text and not text.endswith("\n") else ""
    file.write_text(text + f"CONNECT_SECRET={secrets.token_urlsafe(32)}\n")
    err.print("put a new CONNECT_SECRET into .env; keep it: it opens unsubscribe links for years")


def _ignore(file: Path) -> None:
    lines = file.read_text().splitlines() if file.exists() else []
    lines += [line for line in _IGNORED if line not in lines]
    file.write_text("\n".join(lines) + "\n")


def _write_schemas(folder: Path) -> None:
    import json

    from connect.project.schema import schema

    folder.mkdir(parents=True, exist_ok=True)
    for name, document in schema().items():
        (folder / f"{name}.schema.json").write_text(json.dumps(document, indent=2) + "\n")
