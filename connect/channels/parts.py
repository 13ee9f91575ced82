"""What an e-mail is made of before it is one: rendered fields, and why they can not become an e-mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connect.channels.message import Attachment, Mailbox
from connect.vocabulary import Reason

if TYPE_CHECKING:
    from connect.liquid.wire import WireText


@dataclass(slots=True, unsafe_hash=True)  # frozen in spirit: freezing costs a microsecond
class EmailParts:
    """The fields of an e-mail's content, each rendered for one person."""

    sender: str
    to: str | Mailbox
    """As it was rendered, or the one mailbox in it where somebody has checked it already."""
    subject: str
    html: str | WireText | None = None
    text: str | WireText | None = None
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    preheader: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(slots=True, unsafe_hash=True)  # as above
class UnsubscribeHeaders:
    """Where List-Unsubscribe points to: a page (one-click by RFC 8058 when it is https) and an address."""

    url: str | None
    mailto: str | None


@dataclass(frozen=True, slots=True)
class Bad:
    """Why a message can not be built, and the field of the content to blame. Never the value."""

    reason: Reason
    field: str


class Refused(Exception):
    """Carries a `Bad` to the one who builds the e-mail; no further."""

    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(reason.value)
        self.bad = Bad(reason, field)
