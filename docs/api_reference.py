"""The part of docs/api.md that follows from the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from connect.server.api import EVERYWHERE
from connect.server.openapi import document

Part = dict[str, Any]

_EVERYWHERE = [(f"`{status}`", words) for status, words in EVERYWHERE.items()]


def reference() -> str:
    """Every operation: what it takes, what it answers."""
    whole = document("1")
    ways = [(path, method, told) for path, way in whole["paths"].items() for method, told in way.items()]
    always = f"Whatever is asked may be answered with one of these.\n\n{_table('answer', _EVERYWHERE)}"
    return "\n\n".join([always, *(_operation(whole, *way) for way in ways)])


def _operation(whole: Part, path: str, method: str, told: Part) -> str:
    parts = [f"### {method.upper()} {path}", told["description"], f"Scope: `{told['x-scope']}`."]
    parameters = [(each["name"], each.get("description", ""), each["in"]) for each in told.get("parameters", ())]
    if parameters:
        parts.append(_table("parameter", [(f"`{name}` ({place})", words) for name, words, place in parameters]))
    if "requestBody" in told:
        parts.append(_body(whole, told["requestBody"]))
    parts.append(_table("answer", list(_answers(whole, told["responses"]))))
    return "\n\n".join(parts)


def _body(whole: Part, body: Part) -> str:
    schema = _resolved(whole, body["content"]["application/json"]["schema"])
    rows = [(f"`{name}`", each.get("description", "")) for name, each in schema["properties"].items()]
    example = json.dumps(schema["examples"][0])
    return f"{_table('body', rows)}\n\n```json\n{example}\n```"


def _answers(whole: Part, responses: Part) -> Iterator[tuple[str, str]]:
    for status, told in responses.items():
        if int(status) in EVERYWHERE:
            continue
        kinds = told.get("content", {})
        schema = kinds.get("application/json", {}).get("schema", {})
        words = told["description"]
        if int(status) < 400:
            fields = ", ".join(f"`{name}`" for name in _resolved(whole, schema).get("properties", {}))
            words = f"{words.removesuffix('.')}: {fields}."
        yield f"`{status}`", words


def _resolved(whole: Part, schema: Part) -> Part:
    """A schema, where it stands behind a reference, or beside null."""
    several = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if several:
        return _resolved(whole, several[0])
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Part = whole["components"]["schemas"][name] if name else schema
    return found


def _table(what: str, rows: list[tuple[str, str]]) -> str:
    return "\n".join([f"| {what} | |", "|---|---|", *(f"| {name} | {words} |" for name, words in rows)])
