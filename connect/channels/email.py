"""Rendered strings become an e-mail that is safe to send, or the reason why they can not.

Whatever comes from data is text here and stays text: it can not add a header, nor a recipient beyond the ones that
its field allows.
"""

from __future__ import annotations

from connect.channels.fields import CORRELATION_HEADER, MAX_BYTES, MAX_RECIPIENTS, header_problem
from connect.channels.form import FIELDS, EmailForm
from connect.channels.message import Email
from connect.channels.parts import Bad, EmailParts, UnsubscribeHeaders

__all__ = [
    "CORRELATION_HEADER",
    "MAX_BYTES",
    "MAX_RECIPIENTS",
    "Bad",
    "EmailForm",
    "EmailParts",
    "UnsubscribeHeaders",
    "build_email",
    "header_problem",
]

_ANY = EmailForm(EmailParts(sender="", to="", subject=""), FIELDS)


def build_email(
    parts: EmailParts, *, message_key: bytes, correlation_id: str, unsubscribe: UnsubscribeHeaders | None
) -> Email | Bad:
    """The e-mail for these parts, or why there is none. Pure: the same parts give the same bytes.

    `to` and `from` are one mailbox each; cc, bcc and reply_to may be several. Text is made from HTML where it is
    absent. The Message-ID is the correlation id at the sender's domain, so that servers can see a repetition.
    For many people and one content, an `EmailForm` does what is the same for all of them once.
    """
    return _ANY.build(parts, message_key=message_key, correlation_id=correlation_id, unsubscribe=unsubscribe)
