"""The contents of a message, compiled: each is bound to a batch of rows, and then makes one message for a row."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from connect.channels.email import Bad
from connect.channels.form import FIELDS, EmailForm
from connect.channels.message import Attachment, Mailbox, Message
from connect.channels.parts import EmailParts, UnsubscribeHeaders
from connect.channels.sms import build_sms
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip
from connect.liquid.wire import WireText
from connect.pipeline.links import Urls
from connect.project.message import Attachment as AttachmentContent
from connect.project.message import EmailContent, SmsContent
from connect.project.text import Text

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
    to: Mailbox | str
    """As it is written in the message."""


class Bound(Protocol):
    """A content with a batch of rows."""

    def to(self, row: int) -> str:
        """The address as it was rendered, with a name where the content gives one. Raises Skip or Refusal."""

    def build(self, asked: Asked) -> Message | Bad:
        """Raises Skip or Refusal."""


_COLUMN = re.compile(r"\s*\{\{-?\s*user\.(\w+)\s*-?\}\}\s*")


class _Recipient:
    """`to`, which is nearly always one column: then its text is taken as it is, without Liquid."""

    def __init__(self, text: Text, library: Library) -> None:
        # A null address is no address, also where nulls are refused elsewhere.
        self._template = library.compile(text, escape=False, undefined="refuse", nulls="blank")
        found = _COLUMN.fullmatch(text.source)
        self._column = found[1] if found else ""

    def over(self, columns: Columns, scope: Scope) -> Callable[[int], str]:
        render = self._template.over(columns, scope)
        values = columns.get(self._column)
        if values is None:
            return lambda row: render(row, b"", {})

        def to(row: int) -> str:
            value = values[row]
            return value if isinstance(value, str) else render(row, b"", {})

        return to


class _AttachmentTemplates:
    """An attachment: its name in Liquid, and a file as it is or text in Liquid."""

    def __init__(self, file: AttachmentContent, compile_text: Compile) -> None:
        self._type = file.content_type
        self._filename = compile_text(file.filename, False)
        self._content = compile_text(file.content, False) if file.content else None
        self._data = file.data or b""
        self.constant = self._filename.constant and (self._content is None or self._content.constant)

    def over(self, columns: Columns, scope: Scope) -> Callable[[Asked], Attachment]:
        name = self._filename.over(columns, scope)
        content = self._content.over(columns, scope) if self._content else None

        def attachment(asked: Asked) -> Attachment:
            filename = name(asked.row, asked.key, asked.urls)
            data = content(asked.row, asked.key, asked.urls).encode() if content else self._data
            content_type = self._type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
            return Attachment(filename, content_type, data)

        return attachment


class EmailTemplates:
    """An e-mail content, compiled once. Copies (cc, bcc) are dropped where the address is a test recipient's."""

    def __init__(
        self,
        content: EmailContent,
        library: Library,
        compile_text: Compile,
        scope: Scope,
        *,
        unsubscribe: Unsubscribe | None,
        real: bool,
    ) -> None:
        self.account = content.provider.to()[0]
        self._unsubscribe = unsubscribe
        self._to = _Recipient(content.to, library)
        texts = {"sender": content.sender, "subject": content.subject, "html": content.html, "text": content.text}
        texts |= {"reply_to": content.reply_to, "preheader": content.preheader}
        texts |= {"cc": content.cc, "bcc": content.bcc} if real else {}
        templates = {name: compile_text(text, name == "html") for name, text in texts.items() if text is not None}
        self._headers = [(name, compile_text(text, False)) for name, text in content.headers.items()]
        self._attachments = [_AttachmentTemplates(file, compile_text) for file in content.attachments]
        constant = {name: text for name, template in templates.items() if (text := _same(template, scope)) is not None}
        self._templates = {name: template for name, template in templates.items() if name not in constant}
        # Whatever stands in the inbox beside the subject is put into the page: that has to be text then.
        self._bodies = {"text"} if "preheader" in templates else {"html", "text"}
        self._form = self._empty_form(constant)

    def _empty_form(self, constant: Mapping[str, str]) -> EmailForm:
        varies = {"to", *self._templates}
        varies |= {"headers"} if self._headers else set()
        varies |= {"attachments"} if self._attachments else set()
        fields: dict[str, Any] = {"sender": "", "to": "", "subject": "", **constant}
        return EmailForm(EmailParts(**fields), frozenset(varies) & FIELDS)

    def over(self, columns: Columns, scope: Scope) -> BoundEmail:
        return BoundEmail(
            self._form,
            self._to.over(columns, scope),
            [(name, self._render(name, template)(columns, scope)) for name, template in self._templates.items()],
            [(name, template.over(columns, scope)) for name, template in self._headers],
            [attachment.over(columns, scope) for attachment in self._attachments],
            self._unsubscribe,
        )

    def _render(self, name: str, template: Template) -> Callable[[Columns, Scope], RenderBody]:
        return template.wire if name in self._bodies else template.over


class BoundEmail:
    """An e-mail content with a batch of rows."""

    def __init__(
        self,
        form: EmailForm,
        to: Callable[[int], str],
        fields: Sequence[tuple[str, RenderBody]],
        headers: Sequence[tuple[str, Render]],
        attachments: Sequence[Callable[[Asked], Attachment]],
        unsubscribe: Unsubscribe | None,
    ) -> None:
        self._form, self.to, self._fields = form, to, fields
        self._headers, self._attachments, self._unsubscribe = headers, attachments, unsubscribe

    def build(self, asked: Asked) -> Message | Bad:
        row, key, urls = asked.row, asked.key, asked.urls
        parts = EmailParts("", asked.to, "")
        for name, render in self._fields:
            setattr(parts, name, render(row, key, urls))
        if self._headers:
            parts.headers = tuple((name, render(row, key, urls)) for name, render in self._headers)
        if self._attachments:
            parts.attachments = tuple(attachment(asked) for attachment in self._attachments)
        return self._form.build(
            parts,
            message_key=key,
            correlation_id=asked.correlation,
            unsubscribe=self._unsubscribe(urls) if self._unsubscribe else None,
        )


class SmsTemplates:
    """A text message's content, compiled once."""

    def __init__(self, content: SmsContent, library: Library, compile_text: Compile) -> None:
        self.account = content.provider.to()[0]
        self._to = _Recipient(content.to, library)
        self._body = compile_text(content.body, False)
        self._sender = compile_text(content.sender, False) if content.sender else None

    def over(self, columns: Columns, scope: Scope) -> BoundSms:
        sender = self._sender.over(columns, scope) if self._sender else None
        return BoundSms(self._to.over(columns, scope), self._body.over(columns, scope), sender)


class BoundSms:
    """A text message's content with a batch of rows."""

    def __init__(self, to: Callable[[int], str], body: Render, sender: Render | None) -> None:
        self.to, self._body, self._sender = to, body, sender

    def build(self, asked: Asked) -> Message | Bad:
        body = self._body(asked.row, asked.key, asked.urls)
        sender = self._sender(asked.row, asked.key, asked.urls) if self._sender else ""
        return build_sms(asked.address, body, sender)


Templates = EmailTemplates | SmsTemplates


def _same(template: Template, scope: Scope) -> str | None:
    """What it renders to for everybody; None where that differs, or can not be rendered: then each person is told."""
    if template.constant:
        with suppress(Skip, Refusal):
            return template.render(scope)
    return None
