"""The content of a push message, compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connect.channels.devices import devices
from connect.channels.email import Bad
from connect.channels.message import Device, Message
from connect.channels.push import build_push
from connect.liquid.template import Template
from connect.liquid.tree import TreeTemplate
from connect.pipeline.contents.bound import Asked, Columns, Compile, Render, Scope, Where
from connect.pipeline.deliveries import Ended
from connect.pipeline.gates import INVALID_DEVICE, NO_ADDRESS
from connect.project.message import PushContent
from connect.project.tree import Tree
from connect.vocabulary import Outcome, Reason

_MOST = 50
"""Devices of one person: a cell with a thousand of them is a mistake."""
_TOO_MANY = Ended(Outcome.refused, Reason.too_many_recipients)
_TEXTS = ("title", "body", "image", "badge", "sound", "url", "collapse_key")


class PushTemplates:
    """A push message's content, compiled once."""

    def __init__(self, content: PushContent, compile_text: Compile) -> None:
        self.route, self.ttl = content.provider, content.ttl
        texts = {name: getattr(content, name) for name in _TEXTS}
        self._texts = {name: compile_text(text, False) for name, text in texts.items() if text is not None}
        self._data = {name: compile_text(text, False) for name, text in content.data.items()}
        self._ios, self._android = (_tree(tree, compile_text) for tree in (content.ios, content.android))

    def over(self, columns: Columns, scope: Scope) -> BoundPush:
        def bind(templates: Mapping[str, Template]) -> list[tuple[str, Render]]:
            return [(name, template.over(columns, scope)) for name, template in templates.items()]

        trees = [tree.over(columns, scope) if tree else None for tree in (self._ios, self._android)]
        return BoundPush(self, columns, bind(self._texts), bind(self._data), trees)


def _tree(tree: Tree | None, compile_text: Compile) -> TreeTemplate | None:
    return TreeTemplate.of(tree, lambda text: compile_text(text, False)) if tree else None


class BoundPush:
    """A push message's content with a batch of rows."""

    def __init__(
        self,
        templates: PushTemplates,
        columns: Columns,
        texts: Sequence[tuple[str, Render]],
        data: Sequence[tuple[str, Render]],
        trees: Sequence[Any],
    ) -> None:
        self.route, self._ttl = templates.route, templates.ttl
        self._texts, self._data = texts, data
        self._ios, self._android = trees
        self._columns = [columns.get(name) for name in ("channels", "device_token", "platform")]

    def addresses(self, row: int) -> Sequence[Where | Ended]:
        """Every device of the person once; one refusal for each that can not be one."""
        found = devices(*(column[row] if column is not None else None for column in self._columns))
        if len(found.devices) + found.bad > _MOST:
            return (_TOO_MANY,)
        return (*found.devices, *([INVALID_DEVICE] * found.bad)) or (NO_ADDRESS,)

    def build(self, asked: Asked) -> Message | Bad:
        assert isinstance(asked.to, Device)
        row, key, urls = asked.row, asked.key, asked.urls
        texts = dict.fromkeys(_TEXTS, "") | {name: render(row, key, urls) for name, render in self._texts}
        return build_push(
            asked.to,
            **texts,
            data=tuple([(name, render(row, key, urls)) for name, render in self._data]),
            ttl=self._ttl,
            ios=self._ios(row, key, urls) if self._ios else {},
            android=self._android(row, key, urls) if self._android else {},
        )
