"""JSON with templates in its strings, over a batch: the body of an HTTP content, what is added to a push message.

A string that is exactly one `{{ … }}` keeps the type of its value (`connect.liquid.structures` says how); any other
becomes a string. Keys are as they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connect.liquid.names import Name
from connect.liquid.refusals import not_json
from connect.liquid.structures import structure
from connect.liquid.template import RenderValue, Template
from connect.liquid.trouble import Refusal, Skip
from connect.project.text import Text
from connect.project.tree import SLOT, Tree


class TreeTemplate:
    """A tree, compiled once."""

    def __init__(self, value: Any, templates: Sequence[Template]) -> None:
        """`value` and what its texts compile to, as a `Tree` has them."""
        self.templates = tuple(templates)
        self._value = value

    @classmethod
    def of(cls, tree: Tree, compile_text: Callable[[Text], Template]) -> TreeTemplate:
        return cls(tree.value, [compile_text(text) for text in tree.texts])

    @property
    def names(self) -> tuple[Name, ...]:
        """Of all of its templates."""
        return tuple(name for template in self.templates for name in template.names)

    @cached_property
    def columns(self) -> frozenset[str] | None:
        """The columns that it may read; None if it may need the whole row."""
        read = [template.columns for template in self.templates]
        return None if None in read else frozenset().union(*(columns for columns in read if columns))

    @cached_property
    def constant(self) -> bool:
        """Within one run it is the same for everyone."""
        return all(template.constant for template in self.templates)

    def over(self, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object]) -> RenderValue:
        """Bound to a batch: (row, random seed, the row's `url`) → the JSON value. Raises Skip or Refusal.

        What is the same for all rows is one object in all of them: nothing in a value may be changed.
        """
        made = _joined(self._value, [_bound(template, columns, scope) for template in self.templates])
        if not isinstance(made, _Same):
            return made
        value = made.value
        return lambda row, seed, url: value


@dataclass(frozen=True, slots=True)
class _Same:
    """The same for all rows."""

    value: Any


_Made = _Same | RenderValue


def _bound(template: Template, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object]) -> _Made:
    over = template.values if template.alone else template.over
    if template.constant:
        with suppress(Skip, Refusal):  # then each person is told
            return _Same(over({}, scope)(0, b"", {}))
    return over(columns, scope)


def _joined(node: Any, made: Sequence[_Made]) -> _Made:
    if isinstance(node, dict):
        return made[node[SLOT]] if node.keys() == {SLOT} else _mapping(node, made)
    return _list(node, made) if isinstance(node, list) else _Same(structure(node))


def _mapping(node: Mapping[str, Any], made: Sequence[_Made]) -> _Made:
    fixed, varying = _parted({key: _joined(inner, made) for key, inner in node.items()})
    if not varying:
        return _Same(fixed)

    def render(row: int, seed: bytes, url: object) -> Any:
        value = fixed.copy()  # with all keys in their order
        for key, inner in varying:
            value[key] = inner(row, seed, url)
        return value

    return render


def _list(node: Sequence[Any], made: Sequence[_Made]) -> _Made:
    fixed, varying = _parted(dict(enumerate(_joined(inner, made) for inner in node)))
    items = list(fixed.values())
    if not varying:
        return _Same(items)

    def render(row: int, seed: bytes, url: object) -> Any:
        value = items.copy()
        for index, inner in varying:
            value[index] = inner(row, seed, url)
        return value

    return render


def _parted(parts: dict[Any, _Made]) -> tuple[dict[Any, Any], list[tuple[Any, RenderValue]]]:
    """What is the same for all rows, with None in the place of the rest; and the rest."""
    fixed = {key: part.value if isinstance(part, _Same) else None for key, part in parts.items()}
    return fixed, [(key, part) for key, part in parts.items() if not isinstance(part, _Same)]


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_HALVES = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> bytes:
    """A JSON value in UTF-8; halves of characters, which UTF-8 can not write, are replaced. Raises Refusal."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        refusal = not_json("what was rendered can not be written as JSON")
    else:
        try:
            return text.encode()
        except UnicodeEncodeError:
            return _HALVES.sub("\ufffd", text).encode()
    raise refusal
