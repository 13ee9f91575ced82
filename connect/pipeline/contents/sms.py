"""The content of a text message, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connect.channels.email import Bad
from connect.channels.message import Message
from connect.channels.sms import build_sms
from connect.liquid.library import Library
from connect.pipeline import gates
from connect.pipeline.contents.bound import Asked, Columns, Compile, Recipient, Render, Scope, Where
from connect.pipeline.deliveries import Ended
from connect.project.message import SmsContent
from connect.vocabulary import Channel


class SmsTemplates:
    """A text message's content, compiled once."""

    def __init__(self, content: SmsContent, library: Library, compile_text: Compile) -> None:
        self.route, self._most = content.provider, content.max_segments
        self._to = Recipient(content.to, library)
        self._body = compile_text(content.body, False)
        self._sender = compile_text(content.sender, False) if content.sender else None

    def over(self, columns: Columns, scope: Scope) -> BoundSms:
        sender = self._sender.over(columns, scope) if self._sender else None
        return BoundSms(self, self._to.over(columns, scope), self._body.over(columns, scope), sender, self._most)


class BoundSms:
    """A text message's content with a batch of rows."""

    def __init__(
        self, templates: SmsTemplates, to: Callable[[int], str], body: Render, sender: Render | None, most: int | None
    ) -> None:
        self.route = templates.route
        self._to, self._body, self._sender, self._most = to, body, sender, most

    def addresses(self, row: int) -> Sequence[Where | Ended]:
        return (gates.address(Channel.sms, self._to(row)),)

    def build(self, asked: Asked) -> Message | Bad:
        body = self._body(asked.row, asked.key, asked.urls)
        sender = self._sender(asked.row, asked.key, asked.urls) if self._sender else ""
        return build_sms(asked.address, body, sender, self._most)
