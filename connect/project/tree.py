"""JSON with Liquid in its strings: the body of an HTTP content, and what is added to a push message as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from connect.project.content import CONTENT_SCHEMA, read_text, text_of
from connect.project.nodes import Block, Items, Node, Scalar
from connect.project.reading import Reading, reading, refuse
from connect.project.text import Text, TextKind

SLOT = "$text"
"""A string stands in the tree as `{"$text": n}`: the n-th of the texts."""


class Tree(BaseModel):
    """A JSON value whose strings are templates. Keys are taken as they are."""

    model_config = ConfigDict(frozen=True)

    value: Any = None
    texts: tuple[Text, ...] = ()

    def filled(self, string: Callable[[Text], object]) -> Any:
        """The value with what this makes of each text."""
        return _filled(self.value, [string(text) for text in self.texts])


def _filled(value: Any, made: list[object]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {SLOT}:
            return made[value[SLOT]]
        return {key: _filled(inner, made) for key, inner in value.items()}
    return [_filled(inner, made) for inner in value] if isinstance(value, list) else value


def tree_of(node: Node, context: Reading) -> Tree:
    """A mapping or list as it stands in the file. What is written without quotes and looks like JSON is that."""
    texts: list[Text] = []

    def read(node: Node) -> Any:
        if isinstance(node, Block):
            if SLOT in node:
                raise refuse("bad-value", f"a key can not be called `{SLOT}`", at=node.key_places.get(SLOT))
            return {key: read(inner) for key, inner in node.items()}
        if isinstance(node, Items):
            return [read(inner) for inner in node]
        return _scalar(node)

    def _scalar(node: Scalar) -> Any:
        from connect.project.types import free

        plain = free(node)
        if not isinstance(plain, str):
            return plain
        text = text_of(node)
        context.found(TextKind.liquid, text)
        texts.append(text)
        return {SLOT: len(texts) - 1}

    return Tree(value=read(node), texts=tuple(texts))


def _mapping(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if not isinstance(value, Block):
        raise refuse("wrong-type", "this must be a mapping")
    return tree_of(value, context)


TreeField = Annotated[Tree, BeforeValidator(_mapping), WithJsonSchema({"type": "object"})]
"""A mapping of anything."""


def _body(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if (isinstance(value, Block) and value.keys() != {"file"}) or isinstance(value, Items):
        return tree_of(value, context)
    return read_text(value, context)


BodyField = Annotated[
    Tree | Text,
    BeforeValidator(_body),
    WithJsonSchema({"anyOf": [CONTENT_SCHEMA, {"type": "object"}, {"type": "array"}]}),
]
"""A mapping or list with Liquid in its strings; or one template, literal or `{file: name}`."""
