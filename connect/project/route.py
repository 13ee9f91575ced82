"""Which provider accounts carry a content: one, several in failover order, or others for each platform of a device."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema, model_validator

from connect.project import suggest
from connect.project.nodes import Block, Items, Node, Scalar
from connect.project.reading import Reading, reading, refuse
from connect.project.types import NAME_SCHEMA
from connect.vocabulary import Platform

DEFAULT = "default"
"""The key of the accounts for devices of any other platform."""


class Route(BaseModel):
    """Names of accounts, each tuple in the order in which one takes over from another."""

    model_config = ConfigDict(frozen=True)

    accounts: tuple[str, ...] = ()
    platforms: dict[Platform, tuple[str, ...]] = {}

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        """As runs of earlier versions have it."""
        return {"accounts": (value,) if value else ()} if isinstance(value, str) else value

    def to(self, platform: Platform | None = None) -> tuple[str, ...]:
        """The accounts for a device of this platform, or for what is no device; () where there is none."""
        return self.platforms.get(platform, self.accounts) if platform else self.accounts

    @property
    def names(self) -> tuple[str, ...]:
        """Every account, once."""
        found = [*self.accounts, *(name for names in self.platforms.values() for name in names)]
        return tuple(dict.fromkeys(found))

    @property
    def by_platform(self) -> bool:
        return bool(self.platforms)


def _route(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if not isinstance(value, Block):
        return Route(accounts=_accounts(value, context))
    known = [*(platform.value for platform in Platform), DEFAULT]
    for key, node in value.items():
        if key not in known:
            hint = suggest.hint(key, known)
            raise refuse("unknown-key", f"unknown key `{value.key_path(key)}`", hint, value.key_places.get(key))
        if isinstance(node, Block):
            raise refuse("wrong-type", "this must be the name of a provider, or a list of them", at=node.place)
    accounts = {key: _accounts(node, context) for key, node in value.items()}
    default = accounts.pop(DEFAULT, ())
    return Route(accounts=default, platforms={Platform(key): names for key, names in accounts.items()})


def _accounts(value: Node, context: Reading) -> tuple[str, ...]:
    nodes = value if isinstance(value, Items) else [value]
    names = []
    for node in nodes:
        if not isinstance(node, Scalar) or node.is_null:
            raise refuse("wrong-type", "this must be the name of a provider", at=node.place)
        if node not in context.providers:
            hint = suggest.hint(node, context.providers)
            said = f"there is no provider `{node.written}` in connect.yml"
            raise refuse("unknown-provider", said, hint, node.place)
        if node in names:
            raise refuse("bad-value", f"`{node.written}` is named twice", "once is enough", node.place)
        names.append(str(node))
    if not names:
        raise refuse("bad-value", "no provider is named", "name one, or several in failover order")
    return tuple(names)


_NAMES = {"anyOf": [NAME_SCHEMA, {"type": "array", "items": NAME_SCHEMA, "minItems": 1}]}
_BY_PLATFORM = {
    "type": "object",
    "properties": dict.fromkeys((*(platform.value for platform in Platform), DEFAULT), _NAMES),
    "additionalProperties": False,
}
RouteField = Annotated[Route, BeforeValidator(_route), WithJsonSchema({"anyOf": [*_NAMES["anyOf"], _BY_PLATFORM]})]
