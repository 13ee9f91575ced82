"""Values of a campaign that hold secrets: `${NAME}` stays in the file, in the ledger and on the way to a worker, and is
put in where a request is made."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from connect.project.content import text_of
from connect.project.nodes import Scalar
from connect.project.reading import reading, refuse
from connect.project.secrets import FORMS, REFERENCE
from connect.project.text import Text, TextKind
from connect.project.types import WORD_SCHEMA


class SecretText(BaseModel):
    """Text with references in it, as it stands in the file."""

    model_config = ConfigDict(frozen=True)

    references: str


def _secret(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar):
        return value
    if not REFERENCE.search(value):
        raise refuse("literal-secret", "a secret is written literally", f"refer to it: {FORMS}")
    return SecretText(references=str(value))


SecretField = Annotated[SecretText, BeforeValidator(_secret), WithJsonSchema({"type": "string"})]


def _header(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar):
        return value
    if REFERENCE.search(value):
        if "{{" in value or "{%" in value:
            said = "a header with a secret in it can not be a template too"
            raise refuse("secret-in-template", said, "split it into two headers, or leave the Liquid out")
        return SecretText(references=str(value))
    made = text_of(value)
    context.found(TextKind.liquid, made)
    return made


HeaderField = Annotated[Text | SecretText, BeforeValidator(_header), WithJsonSchema(WORD_SCHEMA)]
"""Liquid, or text with secrets in it."""
