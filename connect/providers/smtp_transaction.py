"""One message in one SMTP transaction, and exactly what is known of it when the connection breaks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime

from aiosmtplib import SMTP, SMTPServerDisconnected

from connect.channels import mime
from connect.channels.message import Email, Mailbox, Outgoing
from connect.providers.interface import Receipt, Status, hide
from connect.providers.smtp_connections import Connection, Connections
from connect.providers.smtp_replies import Reply, Stage, queue_id, refusal


class _Refused(Exception):
    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(reply.code)
        self.stage = stage
        self.reply = reply


class Transaction:
    """MAIL FROM, RCPT TO, DATA. Run it once; then `settle`, whatever happened."""

    def __init__(self, outgoing: Outgoing, connections: Connections, date: datetime) -> None:
        assert isinstance(outgoing.message, Email)
        self._outgoing = outgoing
        self._email = outgoing.message
        self._date = date
        self._connections = connections
        self._connection: Connection | None = None
        self._waiting = False
        """A reply is due: a connection that is left now would hand it to the next message."""
        self._written = False
        """The final dot is written: from here on, silence says nothing."""
        self._completed = False

    async def run(self) -> Receipt:
        """Send the message. Raises NotReady, OSError or SMTPException when there is no connection, or it breaks."""
        content = _stuffed(mime.encode(self._email, date=self._date))
        utf8 = _needs_smtputf8(self._email)
        self._connection = await self._connections.take()
        if utf8 and not self._client.supports_extension("smtputf8"):
            return Receipt(Status.rejected_content, "smtputf8_unsupported")
        try:
            await self._mail(self._mail_options(utf8, len(content)))
            left_out = await self._recipients()
            return self._accepted(await self._data(content), left_out)
        except _Refused as refused:
            return refusal(refused.stage, refused.reply, self._outgoing)

    def broken(self, reason: str, text: str = "") -> Receipt:
        """The receipt of a message whose connection broke: in doubt once the final dot is written."""
        detail = hide(text, self._outgoing)
        if self._written:
            return Receipt(Status.ambiguous, f"{reason}_after_data", detail=detail)
        return Receipt(Status.transient, reason, detail=detail)

    def settle(self) -> None:
        """Give the connection back, or close it where a reply is still due."""
        if self._connection is None:
            return
        if self._waiting:
            self._client.close()
        self._connection.dirty = not self._completed
        self._connections.give_back(self._connection)

    @property
    def _client(self) -> SMTP:
        assert self._connection is not None
        return self._connection.client

    def _mail_options(self, utf8: bool, size: int) -> list[bytes]:
        options = [f"SIZE={size}".encode()] if self._client.supports_extension("size") else []
        return [*options, b"SMTPUTF8"] if utf8 else options

    async def _mail(self, options: list[bytes]) -> None:
        """MAIL FROM. Where the server closed a kept connection meanwhile, a new one is taken: nothing was said yet."""
        assert self._connection is not None
        kept = self._connection.used
        try:
            reply = await self._mail_from(options)
        except SMTPServerDisconnected:
            if not kept:
                raise
            reply = Reply(421, "")
        if kept and reply.code == 421:
            self._client.close()
            self._waiting = False
            self._connection = await self._connections.fresh()
            reply = await self._mail_from(options)
        if not reply.accepted:
            raise _Refused(Stage.mail, reply)

    async def _mail_from(self, options: list[bytes]) -> Reply:
        return await self._command(b"MAIL", b"FROM:" + _path(self._email.sender), *options)

    async def _recipients(self) -> Reply | None:
        """Offer every recipient; returns the first refusal, if the message goes all the same.

        The delivery is to `to`: where nobody in it is accepted, nobody gets a copy either.
        """
        refused = await self._offer(self._email.to)
        if len(refused) == len(self._email.to):
            raise _Refused(Stage.rcpt, refused[0])
        refused += await self._offer((*self._email.cc, *self._email.bcc))
        return refused[0] if refused else None

    async def _offer(self, mailboxes: tuple[Mailbox, ...]) -> list[Reply]:
        """RCPT TO for each; returns the refusals."""
        refused = []
        for mailbox in mailboxes:
            reply = await self._command(b"RCPT", b"TO:" + _path(mailbox))
            if reply.code == 421:
                raise _Refused(Stage.rcpt, reply)
            if not reply.accepted:
                refused.append(reply)
        return refused

    async def _data(self, content: bytes) -> Reply:
        """DATA, the content and the final dot. Every byte before the dot is given to the network before it."""
        start = await self._command(b"DATA")
        if start.code != 354:
            raise _Refused(Stage.data, start)
        reply = await self._content(content)
        if reply.code == 421:
            self._client.close()
        if not reply.accepted:
            raise _Refused(Stage.data, reply)
        self._completed = True
        return reply

    async def _content(self, content: bytes) -> Reply:
        """As aiosmtplib's `data`, which does not tell whether the final dot was written; hence its protocol."""
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("connection lost")
        self._waiting = True
        *body, last = _chunks(content)
        for chunk in body:
            protocol.write(chunk)
            await protocol._drain_helper()
            await asyncio.sleep(0)  # lets a connection that broke say so, before more is written into it
        protocol.write(last + b".\r\n")  # raises before it writes, when the connection is gone
        self._written = True
        response = await protocol.read_response()
        self._waiting = False
        return Reply(response.code, response.message)

    async def _command(self, *words: bytes) -> Reply:
        self._waiting = True
        response = await self._client.execute_command(*words)
        self._waiting = False
        return Reply(response.code, response.message)

    def _accepted(self, reply: Reply, left_out: Reply | None) -> Receipt:
        assert self._connection is not None
        self._connection.carried += 1
        provider_id = queue_id(reply.text)
        if left_out is None:
            return Receipt(Status.accepted, provider_id=provider_id)
        detail = hide(f"{left_out.code} {left_out.text}", self._outgoing)
        return Receipt(Status.accepted, "some_recipients_refused", provider_id=provider_id, detail=detail)


def _path(mailbox: Mailbox) -> bytes:
    return b"<" + mailbox.address.encode() + b">"


def _needs_smtputf8(email: Email) -> bool:
    """An address outside ASCII, in the envelope or in a header, needs a server that knows RFC 6531."""
    mailboxes = (email.sender, *email.to, *email.cc, *email.bcc, *email.reply_to)
    return not all(mailbox.address.isascii() for mailbox in mailboxes)


_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


def _stuffed(content: bytes) -> bytes:
    """Content as DATA wants it: lines end in CRLF, the last one too, and no line can be taken for the final dot."""
    lines = _LINE_END.sub(b"\r\n", content)
    ended = lines if lines.endswith(b"\r\n") else lines + b"\r\n"
    return _LEADING_DOT.sub(b"..", ended)


_CHUNK = 65536


def _chunks(content: bytes) -> Iterator[bytes]:
    """At least one chunk; nearly every message is one."""
    for start in range(0, len(content) or 1, _CHUNK):
        yield content[start : start + _CHUNK]
