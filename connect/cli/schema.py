"""`connect schema`: JSON Schemas, so that editors complete and check while one types."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connect.cli.terminal import err, print_json


class Kind(StrEnum):
    connect = "connect"
    campaign = "campaign"
    message = "message"


def schema(
    kind: Annotated[Kind | None, typer.Argument(help="Which file's schema; without it, all by name.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write connect.schema.json, campaign.schema.json, ... into this folder.")
    ] = None,
) -> None:
    """Print the JSON Schema of connect.yml, of campaigns and of messages."""
    from connect.project.schema import schema as schemas

    found = schemas()
    if write is None:
        print_json(found[kind.value] if kind else found)
        return
    write.mkdir(parents=True, exist_ok=True)
    for name in [kind.value] if kind else found:
        file = write / f"{name}.schema.json"
        file.write_text(json.dumps(found[name], indent=2) + "\n")
        err.print(f"wrote {file}")
