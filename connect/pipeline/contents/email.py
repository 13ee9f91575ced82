"""The content of an e-mail, compiled."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connect.channels.email import Bad
from connect.channels.form import FIELDS, EmailForm
from connect.channels.message import Attachment, Device, Message
from connect.channels.parts import EmailParts
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.pipeline import gates
from connect.pipeline.contents.bound import (
    Asked,
    Columns,
    Compile,
    Recipient,
    Render,
    RenderBody,
    Scope,
    Unsubscribe,
    Where,
    constant,
)
from connect.pipeline.deliveries import Ended
from connect.pipeline.tracking import ContentTracking
from connect.project.message import Attachment as AttachmentContent
from connect.project.message import EmailContent
from connect.project.route import Route
from connect.vocabulary import Channel


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
        tracking: ContentTracking | None,
        real: bool,
    ) -> None:
        self.route = content.provider
        self._unsubscribe, self._tracking = unsubscribe, tracking
        self._to = Recipient(content.to, library)
        texts = {"sender": content.sender, "subject": content.subject, "html": content.html, "text": content.text}
        texts |= {"reply_to": content.reply_to, "preheader": content.preheader}
        texts |= {"cc": content.cc, "bcc": content.bcc} if real else {}
        templates = {name: compile_text(text, name == "html") for name, text in texts.items() if text is not None}
        self._headers = [(name, compile_text(text, False)) for name, text in content.headers.items()]
        self._attachments = [_AttachmentTemplates(file, compile_text) for file in content.attachments]
        same = {name: text for name, template in templates.items() if (text := constant(template, scope)) is not None}
        self._templates = {name: template for name, template in templates.items() if name not in same}
        # Whatever stands in the inbox beside the subject is put into the page: that has to be text then, but for links,
        # which are found faster in octets.
        self._bodies = {"text"} if "preheader" in templates and tracking is None else {"html", "text"}
        self._form = self._empty_form(same)

    def _empty_form(self, same: Mapping[str, str]) -> EmailForm:
        varies = {"to", *self._templates}
        varies |= {"headers"} if self._headers else set()
        varies |= {"attachments"} if self._attachments else set()
        fields: dict[str, Any] = {"sender": "", "to": "", "subject": "", **same}
        rewriter = self._tracking.rewriter if self._tracking else None
        return EmailForm(EmailParts(**fields), frozenset(varies) & FIELDS, rewriter)

    def over(self, columns: Columns, scope: Scope) -> BoundEmail:
        return BoundEmail(
            self.route,
            self._form,
            self._to.over(columns, scope),
            [(name, self._render(name, template)(columns, scope)) for name, template in self._templates.items()],
            [(name, template.over(columns, scope)) for name, template in self._headers],
            [attachment.over(columns, scope) for attachment in self._attachments],
            self._unsubscribe,
            self._tracking,
        )

    def _render(self, name: str, template: Template) -> Callable[[Columns, Scope], RenderBody]:
        return template.wire if name in self._bodies else template.over


class BoundEmail:
    """An e-mail content with a batch of rows."""

    def __init__(
        self,
        route: Route,
        form: EmailForm,
        to: Callable[[int], str],
        fields: Sequence[tuple[str, RenderBody]],
        headers: Sequence[tuple[str, Render]],
        attachments: Sequence[Callable[[Asked], Attachment]],
        unsubscribe: Unsubscribe | None,
        tracking: ContentTracking | None,
    ) -> None:
        self.route, self._form, self._to, self._fields = route, form, to, fields
        self._headers, self._attachments, self._unsubscribe = headers, attachments, unsubscribe
        self._tracking = tracking

    def addresses(self, row: int) -> Sequence[Where | Ended]:
        return (gates.address(Channel.email, self._to(row)),)

    def build(self, asked: Asked) -> Message | Bad:
        row, key, urls = asked.row, asked.key, asked.urls
        assert not isinstance(asked.to, Device)
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
            marks=self._tracking.marks(asked) if self._tracking else None,
        )
