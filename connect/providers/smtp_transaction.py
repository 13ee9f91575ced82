"""One message in one SMTP transaction: what to say, and exactly what is known of it after each reply.

It reads and writes nothing itself. With PIPELINING (RFC 2920) the whole envelope is said at once, DATA last; without,
a command at a time. Copies change that: whether they go depends on the recipient, so DATA waits for the answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from connect.channels import mime
from connect.channels.message import Email, Outgoing
from connect.providers.interface import Heard, Receipt, Status, hide
from connect.providers.smtp_replies import Reply, Stage, queue_id, refusal
from connect.providers.smtp_session import Offers
from connect.providers.smtp_wire import Said


class Encode(Protocol):
    """How an e-mail becomes bytes, the same ones each time: `mime.encode`, or that and a signature."""

    def __call__(self, email: Email, *, date: datetime, eight_bit: bool = False) -> bytes: ...


class Submission:
    """One message, carried by whichever connection has room. It has one date, so that it is the same bytes each time
    that it is encoded: for as long as it waits, and once it is written, nobody keeps them.
    """

    __slots__ = ("assigned", "date", "email", "encode", "heard", "outgoing", "over")

    def __init__(self, outgoing: Outgoing, date: datetime, heard: Heard, encode: Encode = mime.encode) -> None:
        assert isinstance(outgoing.message, Email)
        self.outgoing = outgoing
        self.email = outgoing.message
        self.date = date
        self.encode = encode
        self.heard = heard
        self.assigned = False
        """Whether a connection carries it, or is being opened for it."""
        self.over = False
        """It was heard of, or nobody waits for it any more."""


class Move(Enum):
    """What comes next."""

    wait = auto()  # for the next reply
    say = auto()  # `words`
    content = auto()  # `content`, which ends in the final dot
    settled = auto()  # there is a receipt


@dataclass(frozen=True, slots=True)
class _Refusal:
    stage: Stage
    reply: Reply


class Transaction:
    """One try at one submission, on one connection. Raises what its `encode` raises."""

    __slots__ = (
        "_answered",
        "_envelope",
        "_last",
        "_lone_dot",
        "_pipelining",
        "_refused",
        "_refused_mail",
        "_said",
        "_welcome",
        "content",
        "receipt",
        "started",
        "submission",
        "words",
        "written",
    )

    def __init__(self, submission: Submission, offers: Offers) -> None:
        self.submission = submission
        self.words = b""
        self.receipt: Receipt | None = None
        self.started = 0.0
        """When its first byte was written, on the loop's clock; 0 before."""
        self.written = False
        """The final dot was given to the network: from here on, silence says nothing."""
        self._answered = 0
        self._welcome = False
        self._refused: _Refusal | None = None
        self._refused_mail = False
        self._lone_dot = False
        self._pipelining = offers.pipelining
        self._said = 0
        self._envelope = b""
        self._last = 0
        """Where DATA stands in the envelope: MAIL is 0, then come the recipients, those of `to` first."""
        self.content = b""
        self._prepare(offers)

    @property
    def answered(self) -> bool:
        """Whether the server said anything about this message."""
        return self._answered > 0

    @property
    def said(self) -> bool:
        """Whether the first of it was written."""
        return self._said > 0

    @property
    def abandoned(self) -> bool:
        """Nobody waits for its receipt any more."""
        return self.submission.over

    @property
    def clean(self) -> bool:
        """Whether the server is done with it: after the final dot's reply no RSET is needed."""
        return self._answered > self._last + 1

    def opening(self) -> bytes:
        """What is said first."""
        return self._say()

    def reply(self, code: int, text: bytes) -> Move:
        """Hear the next reply to what was said. A 421 settles it: the server is leaving (RFC 5321 3.8)."""
        place = self._answered
        self._answered = place + 1
        if place > self._last:
            return self._ended(code, text)
        if place == self._last:
            return self._data(code, text)
        if not 200 <= code < 300:
            self._note(place, code, text)
        elif 0 < place <= len(self.submission.email.to):
            self._welcome = True
        if code == 421:
            return self._settle(self._refusal())
        return Move.wait if place + 1 < self._said else self._more()

    def welcomed(self, replies: Sequence[Said], at: int) -> int:
        """Hear at once that the whole envelope is taken, as those from `at` on say nearly always, and that the content
        may come: how many that were. Of anything else it hears nothing, and returns 0."""
        last = self._last
        if self._answered or self._said <= last or len(replies) - at <= last or replies[at + last][0] != 354:
            return 0
        for code, _ in replies[at : at + last]:
            if not 200 <= code < 300:
                return 0
        self._answered, self._welcome = last + 1, True
        return last + 1

    def broken(self, reason: str, text: str = "") -> Receipt:
        """The receipt of a message whose connection broke: in doubt once the final dot is written."""
        if self.receipt is not None:
            return self.receipt
        if self._turned_away():
            return self._refusal()
        detail = hide(text, self.submission.outgoing)
        if self.written:
            return Receipt(Status.ambiguous, f"{reason}_after_data", detail=detail)
        return Receipt(Status.transient, reason, detail=detail)

    def _prepare(self, offers: Offers) -> None:
        """The envelope and the content, or the receipt where the server can not take such a message."""
        submission = self.submission
        email = submission.email
        recipients = _recipients(email)
        utf8 = not recipients.isascii() or _needs_smtputf8(email)
        if utf8 and not offers.smtputf8:
            self.receipt = Receipt(Status.rejected_content, "smtputf8_unsupported")
            return
        content = submission.encode(email, date=submission.date, eight_bit=offers.eight_bit)
        if offers.size and len(content) > offers.size:
            self.receipt = Receipt(Status.rejected_content, "message_too_large")
            return
        self.content = _stuffed(content)
        options = _options(offers, len(content), offers.eight_bit and not content.isascii(), utf8)
        self._last = 1 + len(email.to) + len(email.cc) + len(email.bcc)
        self._envelope = _whole(f"MAIL FROM:<{email.sender.address}>{options}\r\n{recipients}DATA\r\n", self._last + 1)

    def _say(self) -> bytes:
        """The next commands, as many as may be written at once."""
        start, end = self._said, self._last + 1
        if not self._pipelining:
            end = start + 1
        elif start == 0 and _has_copies(self.submission.email):
            end -= 1
        elif start == 0:
            self._said = end
            return self._envelope
        self._said = end
        return b"".join(self._envelope.splitlines(keepends=True)[start:end])

    def _note(self, place: int, code: int, text: bytes) -> None:
        """A refusal of MAIL or RCPT: the first one counts."""
        self._refused_mail = self._refused_mail or place == 0
        if self._refused is None:
            self._refused = _Refusal(Stage.rcpt if place else Stage.mail, _reply(code, text))

    def _turned_away(self) -> bool:
        """Nobody gets this message: the sender was refused, or every recipient in `to`. Copies alone are not sent."""
        return self._refused_mail or (not self._welcome and self._answered > len(self.submission.email.to))

    def _refusal(self) -> Receipt:
        assert self._refused is not None
        return refusal(self._refused.stage, self._refused.reply, self.submission.outgoing)

    def _more(self) -> Move:
        """Everything that was said is answered: say the next, unless it is all for nothing."""
        if self._turned_away():
            return self._settle(self._refusal())
        self.words = self._say()
        return Move.say

    def _data(self, code: int, text: bytes) -> Move:
        """The reply to DATA. A server that says 354 without a recipient waits for content, and gets none.

        (RFC 2920 3.1.)
        """
        turned_away = self._turned_away()
        if code == 354 and turned_away:
            self.receipt, self._lone_dot, self.content = self._refusal(), True, b".\r\n"
        if code == 354:
            return Move.content
        if turned_away:
            return self._settle(self._refusal())
        return self._settle(refusal(Stage.data, _reply(code, text), self.submission.outgoing))

    def _ended(self, code: int, text: bytes) -> Move:
        """The reply to the content."""
        if self._lone_dot:
            return Move.settled
        if not 200 <= code < 300:
            return self._settle(refusal(Stage.data, _reply(code, text), self.submission.outgoing))
        if not self.written:
            return self._settle(self.broken("connection_lost", "accepted before it was sent"))
        return self._settle(self._accepted(text.decode(errors="replace")))

    def _accepted(self, text: str) -> Receipt:
        provider_id, left_out = queue_id(text), self._refused
        if left_out is None:
            return Receipt(Status.accepted, provider_id=provider_id)
        detail = hide(f"{left_out.reply.code} {left_out.reply.text}", self.submission.outgoing)
        return Receipt(Status.accepted, "some_recipients_refused", provider_id=provider_id, detail=detail)

    def _settle(self, receipt: Receipt) -> Move:
        self.receipt = receipt
        return Move.settled


def _reply(code: int, text: bytes) -> Reply:
    return Reply(code, text.decode(errors="replace"))


def _has_copies(email: Email) -> bool:
    return bool(email.cc or email.bcc)


def _recipients(email: Email) -> str:
    """A RCPT for each, those of `to` first."""
    mailboxes = (*email.to, *email.cc, *email.bcc) if _has_copies(email) else email.to
    return "".join([f"RCPT TO:<{mailbox.address}>\r\n" for mailbox in mailboxes])


def _whole(envelope: str, commands: int) -> bytes:
    """The envelope as bytes. Raises ValueError where an address would be a command of its own."""
    if envelope.count("\n") != commands or envelope.count("\r") != commands:
        raise ValueError("an address holds a line end")
    return envelope.encode()


def _options(offers: Offers, size: int, eight_bit: bool, utf8: bool) -> str:
    given = f" SIZE={size}" if offers.size is not None else ""
    if eight_bit:
        given += " BODY=8BITMIME"
    return given + " SMTPUTF8" if utf8 else given


def _needs_smtputf8(email: Email) -> bool:
    """An address outside ASCII, in a header too, needs a server that knows RFC 6531."""
    if not email.sender.address.isascii():
        return True
    return bool(email.reply_to) and not all(mailbox.address.isascii() for mailbox in email.reply_to)


_LEADING_DOT = re.compile(rb"\n\.")  # twice as fast as `in`, at 8 KB


def _stuffed(content: bytes) -> bytes:
    """Content as DATA wants it, with the final dot: no line of it can be taken for that (RFC 5321 4.5.2).

    Line ends are CRLF already; a bare LF, which some servers would take for one, could still not smuggle a dot.
    """
    if _LEADING_DOT.search(content):
        content = content.replace(b"\n.", b"\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
