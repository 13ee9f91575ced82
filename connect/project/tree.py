"""JSON with Liquid in its strings: the body of an HTTP content, and what is added to a push message as it is."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from connect.project.content import CONTENT_SCHEMA, read_text, text_of
from connect.project.nodes import Block, Items, Node, Scalar, is_null
from connect.project.reading import Reading, reading, refuse
from connect.project.text import Text, TextKind
from connect.project.types import free
from connect.project.yaml import QUOTE

SLOT = "$text"
"""A string stands in the tree as `{"$text": n}`: the n-th of the texts."""


class Tree(BaseModel):
    """A JSON value whose strings are templates. Keys are taken as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class _Growing:
    """A tree that is being read."""

    def __init__(self, context: Reading) -> None:
        self.context = context
        self.texts: list[Text] = []

    def read(self, node: Node) -> Any:
        if isinstance(node, Block):
            if SLOT in node:
                raise refuse("bad-value", f"a key can not be called `{SLOT}`", at=node.key_places.get(SLOT))
            return {key: self.read(inner) for key, inner in node.items()}
        if isinstance(node, Items):
            return [self.read(inner) for inner in node]
        plain = free(node)
        if isinstance(plain, Decimal):
            return float(plain)  # as JSON has it
        return self._text(node) if isinstance(plain, str) else plain

    def _text(self, node: Scalar) -> dict[str, int]:
        if node.commented:
            said = "` #` without quotes begins a comment: the rest of the line is lost"
            raise refuse("unquoted-comment", said, QUOTE, node.place)
        text = text_of(node)
        self.context.found(TextKind.liquid, text)
        self.texts.append(text)
        return {SLOT: len(self.texts) - 1}


def tree_of(node: Node, context: Reading) -> Tree:
    """A mapping or list as it stands in the file. What is written without quotes and looks like JSON is that."""
    growing = _Growing(context)
    return Tree(value=growing.read(node), texts=tuple(growing.texts))


def _mapping(value: Any, info: ValidationInfo) -> Any:
    context = reading(info)
    if context is None or not isinstance(value, Scalar | Items | Block):
        return value
    if not isinstance(value, Block):
        raise refuse("wrong-type", "this must be a mapping")
    return tree_of(_without_nulls(value), context)


def _without_nulls(tree: Block) -> Block:
    """It was put over what it inherits, where a null unsets."""
    made = tree.like()
    for key, node in tree.items():
        if not is_null(node):
            made.put(key, _without_nulls(node) if isinstance(node, Block) else node, tree.key_places.get(key))
    return made


TreeField = Annotated[Tree, BeforeValidator(_mapping), WithJsonSchema({"type": "object"})]
"""A mapping of anything; what it inherits is merged into it, and its nulls unset."""


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
"""A mapping or list with Liquid in its strings; or one template, literal or `{file: name}`. It inherits nothing, so its
nulls are JSON's."""
