"""Values of a campaign that hold secrets: `${NAME}` stays in the file, in the ledger and on the way to a worker, and is
put in where a request is made (`Project.reveal`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from connect.project.content import BY_NAME_SCHEMA, CONTENT_SCHEMA, given, read_text
from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import Reading, reading, refuse
from connect.project.text import Text
from connect.project.vault import FORMS, MALFORMED, REFERENCE


class SecretText(BaseModel):
    """Text with references in it, as it stands in the file."""

    model_config = ConfigDict(frozen=True)

    references: str


def _secret(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if not isinstance(value, Scalar):
        raise refuse("wrong-type", "this must be a reference to a secret", FORMS)
    _check_references(value)
    if not REFERENCE.search(value):
        place = replace(value.place, text="") if value.place else None
        raise refuse("literal-secret", "a secret is written literally", f"refer to it: {FORMS}", place)
    return _found(value, context)


def _check_references(value: Scalar) -> None:
    if wrong := MALFORMED.search(REFERENCE.sub("", value)):
        raise refuse("bad-reference", f"`{wrong[0]}` is not a reference", f"write {FORMS}")


def _found(value: Scalar, context: Reading) -> SecretText:
    """What has no value is reported now, and not when the first request is made."""
    for name in REFERENCE.findall(value):
        if context.vault is not None and context.vault.value(name) is None:
            context.report("missing-secret", *context.vault.missing(name), node=value)
    return SecretText(references=str(value))


SecretField = Annotated[SecretText, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": "[$][{]"})]


def _header(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if isinstance(value, Items):
        raise refuse("wrong-type", "this must be text, not a list")
    if isinstance(value, Scalar) and not value.commented and "${" in value:
        _check_references(value)
        if REFERENCE.search(value):
            if "{{" in value or "{%" in value:
                said = "a header with a secret in it can not be a template too"
                raise refuse("secret-in-template", said, "split it into two headers, or leave the Liquid out")
            return _found(value, context)
    return read_text(value, context)


HeaderField = Annotated[Text | SecretText, BeforeValidator(_header), WithJsonSchema(CONTENT_SCHEMA)]
"""Liquid, or text with secrets in it."""
HeadersField = Annotated[dict[str, HeaderField], BeforeValidator(given), WithJsonSchema(BY_NAME_SCHEMA)]
