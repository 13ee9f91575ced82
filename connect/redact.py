"""Secrets that can not be printed by accident, and a log filter that keeps them out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line's help needs a redactor, and no pydantic
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

HIDDEN = "***"


class Secret:
    """A value that only `reveal()` shows: str, repr, JSON and tracebacks print `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def made(value: object) -> Secret:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                raise ValueError("a secret is text")
            return cls(value)

        return core_schema.no_info_plain_validator_function(
            made,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: HIDDEN),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"\$\{[^}]+\}",
            "description": "a reference: ${ENV_NAME}, ${file:path} or ${keyring:service/name}",
        }


class Redactor(logging.Filter):
    """Replaces every known secret in text and in log records."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._known: set[str] = set()
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide these values from now on. Values under four characters would hide ordinary words."""
        self._known.update(secret for secret in secrets if len(secret) >= 4)

    def text(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.text(record.getMessage()), None
        return True
