"""Fields that hold Liquid or SQL: a literal with its exact place, or a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from connect.project import files, suggest
from connect.project.nodes import Block, Items, Scalar, SqlFile, is_null
from connect.project.reading import Reading, reading, refuse
from connect.project.text import Text, TextKind
from connect.project.types import WORD_SCHEMA
from connect.project.yaml import QUOTE


def text_of(scalar: Scalar) -> Text:
    """A literal as Text at its place."""
    if scalar.place is None or scalar.spot is None:
        return Text(source=str(scalar))
    spot = scalar.spot
    made = Text(
        source=str(scalar),
        file=scalar.place.file,
        line=spot.line,
        column=spot.column,
        indent=spot.indent,
        marks=spot.marks,
    )
    return made.showing(spot.shown)


def _reader(kind: TextKind, names_a_file: bool = False) -> Callable[[Any, ValidationInfo], Any]:
    def read(value: Any, info: ValidationInfo) -> Any:
        context = reading(info)
        if context is None or not isinstance(value, Scalar | Block | Items):
            return Text(source=value) if isinstance(value, str) else value
        made = _from_file(value, context) if _is_file(value) else _literal(value, kind, context, names_a_file)
        context.found(kind, made)
        return made

    return read


def read_text(value: Scalar | Block, context: Reading) -> Text:
    """Liquid where a field takes something else besides."""
    made = _from_file(value, context) if _is_file(value) else _literal(value, TextKind.liquid, context, False)
    context.found(TextKind.liquid, made)
    return made


def _is_file(value: Scalar | Block | Items) -> bool:
    return isinstance(value, Block | SqlFile)


def _from_file(value: Scalar | Block | Items, context: Reading) -> Text:
    if isinstance(value, SqlFile):
        return files.read_text(context.root, files.AUDIENCES, str(value), value.place)
    assert isinstance(value, Block)
    name = value.get("file")
    if not isinstance(name, Scalar) or name.is_null:
        raise refuse("wrong-type", "this must be text, or `{file: name}`", _quote_hint(value))
    if extra := [key for key in value if key != "file"]:
        raise refuse("unknown-key", f"unknown key `{extra[0]}` beside `file`", at=value.key_places.get(extra[0]))
    return files.read_text(context.root, files.TEMPLATES, str(name), name.place)


def _quote_hint(value: Block) -> str:
    return suggest.hint(next(iter(value)), ["file"]) if value else ""


def _literal(value: Scalar | Block | Items, kind: TextKind, context: Reading, names_a_file: bool) -> Text:
    if not isinstance(value, Scalar):
        raise refuse("wrong-type", "this must be text, not a list")
    if value.commented:
        said = "` #` without quotes begins a comment: the rest of the line is lost"
        raise refuse("unquoted-comment", said, QUOTE)
    made = text_of(value)
    if not names_a_file:
        _check_not_a_name(value, kind, context.root)
    if kind is TextKind.liquid_html and not re.search(r"<[a-zA-Z!/]|\{%", value):
        context.found(kind, made)
        raise refuse("html-without-tag", "this `html` has no tag in it", "use `text`, or `{file: name}` for a file")
    return made


_SQL = (TextKind.sql, TextKind.conversions)


def _check_not_a_name(value: Scalar, kind: TextKind, root: Path) -> None:
    folder = files.AUDIENCES if kind in _SQL else files.TEMPLATES
    if files.is_file(root, folder, value):
        name = value.strip()
        hint = f"`sql_file: {name}`" if kind in _SQL else f"`{{file: {name}}}`"
        raise refuse("literal-is-a-file", f"this is text, and {folder}/{name} is a file", f"to use the file: {hint}")


_FILE = {
    "type": "object",
    "properties": {"file": {**WORD_SCHEMA, "description": "a file in templates/"}},
    "required": ["file"],
    "additionalProperties": False,
}
CONTENT_SCHEMA: dict[str, Any] = {"anyOf": [WORD_SCHEMA, _FILE]}
BY_NAME_SCHEMA = {"type": "object", "additionalProperties": {"anyOf": [WORD_SCHEMA, _FILE, {"type": "null"}]}}


def given(value: Any) -> Any:
    """A mapping without the keys that a null unsets."""
    if not isinstance(value, Block):
        return value
    return value.without(*(key for key, node in value.items() if is_null(node)))


Liquid = Annotated[Text, BeforeValidator(_reader(TextKind.liquid)), WithJsonSchema(CONTENT_SCHEMA)]
Liquids = Annotated[dict[str, Liquid], BeforeValidator(given), WithJsonSchema(BY_NAME_SCHEMA)]
"""Texts by name."""
FileName = Annotated[Text, BeforeValidator(_reader(TextKind.liquid, names_a_file=True)), WithJsonSchema(WORD_SCHEMA)]
Html = Annotated[Text, BeforeValidator(_reader(TextKind.liquid_html)), WithJsonSchema(CONTENT_SCHEMA)]
Sql = Annotated[Text, BeforeValidator(_reader(TextKind.sql)), WithJsonSchema({"type": "string"})]
ConversionsSql = Annotated[Text, BeforeValidator(_reader(TextKind.conversions)), WithJsonSchema({"type": "string"})]


def _file_bytes(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar):
        return value
    return files.read_bytes(context.root, files.TEMPLATES, str(value), value.place)


FileBytes = Annotated[bytes, BeforeValidator(_file_bytes), WithJsonSchema(WORD_SCHEMA)]
"""The content of a file in templates/, as it is."""
