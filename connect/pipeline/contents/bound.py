"""What the contents of every channel have in common: compiled once, bound to a batch of rows, asked row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from connect.channels.email import Bad
from connect.channels.message import Device, Mailbox, Message
from connect.channels.parts import UnsubscribeHeaders
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip
from connect.liquid.wire import WireText
from connect.pipeline.deliveries import Ended
from connect.pipeline.links import Urls
from connect.project.route import Route
from connect.project.text import Text

Where = Mailbox | Device | str
"""A checked address: a mailbox, a device, a number or a URL."""
Columns = Mapping[str, Sequence[Any]]
Scope = Mapping[str, object]
Render = Callable[[int, bytes, object], str]
"""(row, random seed, the row's `url`) → the text."""
RenderBody = Callable[[int, bytes, object], str | WireText]
"""As Render, for a body of an e-mail."""
Unsubscribe = Callable[[Urls], UnsubscribeHeaders | None]
"""What List-Unsubscribe says."""
Compile = Callable[[Text, bool], Template]
"""(text, whether it is HTML) → the template."""


@dataclass(slots=True)
class Asked:
    """One delivery that is to be rendered."""

    row: int
    key: bytes
    correlation: str
    urls: Urls
    address: str
    """Checked, and in its normal form."""
    to: Where
    """As it is written in the message."""
    redirected: bool = False
    """It goes to the test recipient."""


class Bound(Protocol):
    """A content with a batch of rows."""

    @property
    def route(self) -> Route:
        """The accounts that carry it."""

    def addresses(self, row: int) -> Sequence[Where | Ended]:
        """Where it goes, checked, one delivery each; or why it does not. Never empty. Raises Skip or Refusal."""

    def build(self, asked: Asked) -> Message | Bad:
        """Raises Skip or Refusal."""


class Templates(Protocol):
    """A content, compiled once."""

    def over(self, columns: Columns, scope: Scope) -> Bound:
        """Bound to a batch of rows."""


_COLUMN = re.compile(r"\s*\{\{-?\s*user\.(\w+)\s*-?\}\}\s*")


class Recipient:
    """`to`, which is nearly always one column: then its text is taken as it is, without Liquid."""

    def __init__(self, text: Text, library: Library) -> None:
        # A null address is no address, also where nulls are refused elsewhere.
        self._template = library.compile(text, escape=False, undefined="refuse", nulls="blank")
        found = _COLUMN.fullmatch(text.source)
        self._column = found[1] if found else ""
        self.constant = self._template.constant
        """Everybody's is the same."""

    def over(self, columns: Columns, scope: Scope) -> Callable[[int], str]:
        render = self._template.over(columns, scope)
        values = columns.get(self._column)
        if values is None:
            return lambda row: render(row, b"", {})

        def to(row: int) -> str:
            value = values[row]
            return value if isinstance(value, str) else render(row, b"", {})

        return to


def constant(template: Template, scope: Scope) -> str | None:
    """What it renders to for everybody; None where that differs, or can not be rendered: then each person is told."""
    if template.constant:
        with suppress(Skip, Refusal):
            return template.render(scope)
    return None
