"""An e-mail content as a form to fill in: what is the same for everybody is checked and folded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from connect.channels.fields import (
    CORRELATION_HEADER,
    MAX_RECIPIENTS,
    attached,
    check_size,
    custom,
    line,
    mended,
    one,
    several,
)
from connect.channels.message import Attachment, Email, Folded, Mailbox, Prepared
from connect.channels.mime import fold, is_plain_id
from connect.channels.parts import Bad, EmailParts, Refused, UnsubscribeHeaders
from connect.channels.plain import text_from_html
from connect.channels.preheader import with_preheader
from connect.channels.tracked import Marks, Rewriter
from connect.channels.unsubscribe import unsubscribe_fields
from connect.vocabulary import Reason

if TYPE_CHECKING:
    from connect.liquid.wire import WireText

T = TypeVar("T")
Step = Callable[[EmailParts], T]
Body: TypeAlias = "tuple[str, bytes] | tuple[WireText, WireText] | tuple[None, None]"
"""The text of a body, and its UTF-8; or both in one."""

FIELDS = frozenset(field.name for field in fields(EmailParts))


class Letterhead(NamedTuple):
    """What stands around the words of an e-mail: nearly always the same for everybody."""

    sender: Mailbox
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]


class EmailForm:
    """Builds one content's e-mails. `constant` holds what is the same for everybody, `varies` names the other fields.

    Checks are made in one order, whichever fields vary: an e-mail with two faults is refused for the same one.
    """

    def __init__(self, constant: EmailParts, varies: frozenset[str], rewriter: Rewriter | None = None) -> None:
        """`rewriter`: what is done to the links of the page, for each delivery."""
        self._constant, self._varies, self._rewriter = constant, varies, rewriter
        self._raw_html: Step[str | WireText | None] = self._step(attrgetter("html"), "html")
        self._raw_text: Step[str | WireText | None] = self._step(attrgetter("text"), "text")
        self._preheader = self._step(_preheader, "preheader")
        self._sender = self._step(_sender, "sender")
        self._to = self._step(_to, "to")
        self._subject = self._step(_subject, "subject")
        self._text = self._step(self._readable, "text", "html")
        self._html = self._step(self._page, "html", "preheader")
        self._cc = self._step(_cc, "cc")
        self._bcc = self._step(_bcc, "bcc")
        self._reply_to = self._step(_reply_to, "reply_to")
        self._headers = self._step(_headers, "headers")
        self._attachments = self._step(_attachments, "attachments")
        self._letterhead: Letterhead | None = None
        self._folded: Folded | None = None

    def __reduce__(self) -> tuple[type[EmailForm], tuple[EmailParts, frozenset[str], Rewriter | None]]:
        return EmailForm, (self._constant, self._varies, self._rewriter)

    def build(
        self,
        parts: EmailParts,
        *,
        message_key: bytes,
        correlation_id: str,
        unsubscribe: UnsubscribeHeaders | None,
        marks: Marks | None = None,
    ) -> Email | Bad:
        """As `build_email`; of `parts`, only the fields that vary are read. `marks`: where the page is rewritten."""
        try:
            return self._build(parts, correlation_id, unsubscribe, marks)
        except Refused as refused:
            return refused.bad

    def _step(self, check: Step[T], *names: str) -> Step[T]:
        """The check for each person where one of these fields varies; else its result, or its refusal, for all."""
        if not self._varies.isdisjoint(names):
            return check
        once = cache(partial(check, self._constant))
        return lambda parts: once()

    def _build(
        self, parts: EmailParts, correlation_id: str, unsubscribe: UnsubscribeHeaders | None, marks: Marks | None
    ) -> Email:
        around = self._letterhead or self._around(parts)
        sender, cc, bcc, reply_to, customs, attachments = around
        # Before text is made from HTML, which takes seconds for megabytes; and again with that text.
        raw_html, raw_text = self._raw_html(parts), self._raw_text(parts)
        check_size(raw_html, raw_text, attachments)
        to, subject = self._to(parts), self._subject(parts)
        text, text_data = self._text(parts)
        html, html_data = self._html(parts) if marks is None else self._rewritten(parts, marks)
        if html is not raw_html or text is not raw_text:
            check_size(html, text, attachments)
        links, links_folded = unsubscribe_fields(unsubscribe)
        headers = (*customs, *links, (CORRELATION_HEADER, correlation_id))
        message_id = f"{correlation_id}@{sender.address.rpartition('@')[2]}"
        email = Email(sender, (to,), subject, message_id, None, None, cc, bcc, reply_to, headers, attachments)
        if text is None or isinstance(text, str):
            email.text = text
        else:
            del email.text  # it becomes text when somebody asks for it
        if html is None or isinstance(html, str):
            email.html = html
        else:
            del email.html
        folded = self._folded or self._fold(email, around)
        if is_plain_id(message_id):
            ours = f"{links_folded}{CORRELATION_HEADER}: {correlation_id}\r\n"
            email.prepared = Prepared(folded, text_data, html_data, f"Message-ID: <{message_id}>\r\n", ours)
        else:
            email.prepared = Prepared(folded, text_data, html_data)
        return email

    def _around(self, parts: EmailParts) -> Letterhead:
        cc, bcc = self._cc(parts), self._bcc(parts)
        found = Letterhead(
            self._sender(parts), cc, bcc, self._reply_to(parts), self._headers(parts), self._attachments(parts)
        )
        if (cc or bcc) and 1 + len(cc) + len(bcc) > MAX_RECIPIENTS:
            raise Refused(Reason.too_many_recipients, "cc" if cc else "bcc")
        if self._varies.isdisjoint(Letterhead._fields):
            self._letterhead = found
        return found

    def _fold(self, email: Email, around: Letterhead) -> Folded:
        self._folded = fold(email, FIELDS - self._varies, len(around.headers))
        return self._folded

    def _readable(self, parts: EmailParts) -> Body:
        """The text for people who do not see HTML: the content's own, else made from its page."""
        text = self._raw_text(parts)
        if text is not None:
            return mended(text) if isinstance(text, str) else (text, text)
        html = self._raw_html(parts)
        return (None, None) if html is None else mended(text_from_html(_text(html)))

    def _page(self, parts: EmailParts) -> Body:
        html = self._raw_html(parts)
        if html is None:
            return None, None
        return _begun(html, self._preheader(parts))

    def _rewritten(self, parts: EmailParts, marks: Marks) -> Body:
        """As `_page`, with the links of this delivery."""
        html, rewriter = self._raw_html(parts), self._rewriter
        if html is None or rewriter is None:
            return self._html(parts)
        if isinstance(html, str):
            made: str | WireText = rewriter.text(html, marks, lasting="html" not in self._varies)
        else:
            made = rewriter.octets(html, marks)
        return _begun(made, self._preheader(parts))


def _begun(html: str | WireText, preheader: str) -> Body:
    """With the line beside the subject."""
    if isinstance(html, str):
        return mended(with_preheader(html, preheader))
    return mended(with_preheader(str(html), preheader)) if preheader else (html, html)


def _text(body: str | WireText) -> str:
    return mended(body)[0] if isinstance(body, str) else str(body)


def _sender(parts: EmailParts) -> Mailbox:
    return one("from", parts.sender, Reason.invalid_email)


def _to(parts: EmailParts) -> Mailbox:
    return one("to", parts.to, Reason.no_address)


def _subject(parts: EmailParts) -> str:
    return line("subject", parts.subject)


def _preheader(parts: EmailParts) -> str:
    return line("preheader", parts.preheader)


def _cc(parts: EmailParts) -> tuple[Mailbox, ...]:
    return several("cc", parts.cc)


def _bcc(parts: EmailParts) -> tuple[Mailbox, ...]:
    return several("bcc", parts.bcc)


def _reply_to(parts: EmailParts) -> tuple[Mailbox, ...]:
    return several("reply_to", parts.reply_to)


def _headers(parts: EmailParts) -> tuple[tuple[str, str], ...]:
    return custom(parts.headers)


def _attachments(parts: EmailParts) -> tuple[Attachment, ...]:
    return tuple(map(attached, parts.attachments))
