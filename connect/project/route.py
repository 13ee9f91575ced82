"""Which provider accounts carry a content: one, several in failover order, or others for each platform of a device."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema, model_validator

from connect.project import suggest
from connect.project.nodes import Block, Items, Node, Scalar, is_null
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

    @property
    def written(self) -> str | list[str] | dict[str, str | list[str]]:
        """As people write it: one name, a list, or a mapping by platform."""
        if not self.platforms:
            return _written(self.accounts)
        routes = {platform.value: names for platform, names in self.platforms.items()}
        return {key: _written(names) for key, names in {**routes, DEFAULT: self.accounts}.items() if names}


def _written(names: tuple[str, ...]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _accounts_only(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if isinstance(value, Block):
        said = "this must be the name of a provider, or a list of them"
        raise refuse("wrong-type", said, "only `push` differs by platform")
    return Route(accounts=_accounts(value, context))


def _route(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Block):
        return _accounts_only(value, info)
    given = {key: node for key, node in value.items() if not is_null(node)}
    known = [*(platform.value for platform in Platform), DEFAULT]
    for key, node in given.items():
        if key not in known:
            hint = suggest.hint(key, known)
            raise refuse("unknown-key", f"unknown key `{value.key_path(key)}`", hint, value.key_places.get(key))
        if isinstance(node, Block):
            raise refuse("wrong-type", "this must be the name of a provider, or a list of them", at=node.place)
    if not given:
        raise refuse("bad-value", "no provider is named", _NAME_ONE)
    accounts = {key: _accounts(node, context) for key, node in given.items()}
    default = accounts.pop(DEFAULT, ())
    return Route(accounts=default, platforms={Platform(key): names for key, names in accounts.items()})


_NAME_ONE = "name one, or several in failover order"


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
        raise refuse("bad-value", "no provider is named", _NAME_ONE, value.place)
    return tuple(names)


_NAMES = {"anyOf": [NAME_SCHEMA, {"type": "array", "items": NAME_SCHEMA, "minItems": 1}]}
_OR_UNSET = {"anyOf": [*_NAMES["anyOf"], {"type": "null"}]}
_BY_PLATFORM = {
    "type": "object",
    "properties": dict.fromkeys((*(platform.value for platform in Platform), DEFAULT), _OR_UNSET),
    "additionalProperties": False,
    "minProperties": 1,
}
AccountsField = Annotated[Route, BeforeValidator(_accounts_only), WithJsonSchema(_NAMES)]
"""One account, or several in failover order."""
RouteField = Annotated[Route, BeforeValidator(_route), WithJsonSchema({"anyOf": [*_NAMES["anyOf"], _BY_PLATFORM]})]
"""The same, and for push others for each platform."""
