"""Writes messages to files instead of sending them, for a developer to look at.

    outbox/<run id>/<name>.eml          an e-mail, as it would have gone out
    outbox/<run id>/<name>.json         a text message
    outbox/<run id>/<name>.push.json    a push message to one device
    outbox/<run id>/<name>.http.json    a request to an endpoint

It is the one provider that keeps contact data on purpose, and says so (`persists_messages`): files are readable by
their owner only, and the folder keeps itself out of git. A name is a hash of the message key, so that a message that
is written again lands on its own file.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

from connect.channels.message import Outgoing
from connect.errors import Disposition, Problem, RunTrouble
from connect.identity import read_correlation_id
from connect.providers.interface import (
    Account,
    Capabilities,
    Captured,
    Idempotency,
    ProviderSettings,
    Receipt,
    Status,
)
from connect.providers.outbox_files import SUFFIXES, content_of, files_of
from connect.vocabulary import Channel

_WITHOUT_RUN = "other"


class Settings(ProviderSettings):
    path: str = "outbox"
    """The folder to write to, relative to the project's root."""
    rejects: tuple[str, ...] = ()
    """Addresses, tokens and URLs (patterns such as `*@bounces.example.com`) that it answers as one that says no."""
    loses: tuple[str, ...] = ()
    """Those whose answer is lost, so that nobody can know: to see what `unknown` looks like."""


class Outbox:
    """Every message becomes a file; nothing is sent to anyone."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset(Channel),
        max_batch=50,
        idempotency=Idempotency.message_key,
        reaches_people=False,
        persists_messages=True,
        default_concurrency=2,
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._folder = account.root / account.settings.path
        self._settings = account.settings

    async def open(self) -> None:
        try:
            await asyncio.to_thread(_prepare, self._folder)
        except OSError as error:
            raise _not_writable(self._folder, error) from None

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return await asyncio.to_thread(lambda: [self._answer(outgoing) for outgoing in batch])

    def _answer(self, outgoing: Outgoing) -> Receipt:
        address = outgoing.message.address
        if any(fnmatchcase(address, pattern) for pattern in self._settings.rejects):
            return Receipt(Status.rejected_recipient, _NO[outgoing.channel])
        written = _write(self._folder, outgoing)
        if any(fnmatchcase(address, pattern) for pattern in self._settings.loses):
            return Receipt(Status.undecidable, "no_answer")
        return written

    def captured(self) -> Iterator[Captured]:
        return messages(self._folder)

    async def check(self) -> str:
        await self.open()
        return f"writes messages to {self._folder}, readable, for a developer to look at; nothing is sent to anyone"

    async def close(self) -> None:
        """Nothing is held open between two messages."""


_NO = {
    Channel.email: "mailbox_unavailable",
    Channel.sms: "mailbox_unavailable",
    Channel.push: "unregistered",
    Channel.http: "refused",
}
"""What a provider of the channel says of an address that it does not take."""


def _prepare(folder: Path) -> None:
    """Make the folder, prove that it can be written to, and keep what is in it out of git."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(folder / ".gitignore", b"*\n")


def _not_writable(folder: Path, error: OSError) -> RunTrouble:
    message = f"the outbox {folder} can not be written to: {error.strerror or type(error).__name__}"
    hint = "give `path` a folder that this user may write to, relative to the project's root"
    return RunTrouble(Disposition.pause, Problem("outbox-not-writable", message, hint))


def _write(folder: Path, outgoing: Outgoing) -> Receipt:
    run_id, started = _run(outgoing)
    name = hashlib.blake2b(outgoing.key, digest_size=8).hexdigest()
    content = content_of(outgoing, started)
    file = folder / run_id / f"{name}{SUFFIXES[outgoing.channel]}"
    try:
        return _written(file, content)
    except OSError as error:
        return _failed(error)


def _written(file: Path, content: bytes) -> Receipt:
    """The same message again is answered, not written again; another one under its key stays unwritten."""
    if file.exists():
        same = file.read_bytes() == content
        return Receipt(Status.accepted) if same else Receipt(Status.undecidable, "same_key_other_body")
    file.parent.mkdir(mode=0o700, exist_ok=True)
    _replace(file, content)
    return Receipt(Status.accepted)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}


def _failed(error: OSError) -> Receipt:
    """A full disk may empty itself; anything else has to be mended by a person."""
    detail = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return Receipt(Status.transient, "outbox_full", detail=detail)
    return Receipt(Status.config, "outbox_not_writable", detail=detail)


def _replace(file: Path, content: bytes) -> None:
    """Write a whole file or none: under a hidden name beside it, then renamed."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as handle:
        handle.write(content)
    part.replace(file)


def _run(outgoing: Outgoing) -> tuple[str, datetime | None]:
    """The run of a message and when it started, both from the correlation id."""
    known = read_correlation_id(outgoing.correlation_id)
    if known is None:
        return _WITHOUT_RUN, None
    try:
        seconds = int.from_bytes(base64.b32hexdecode(known[0].upper())[:5], "big")
        return known[0], datetime.fromtimestamp(seconds, UTC)
    except (binascii.Error, ValueError, OverflowError, OSError):
        return _WITHOUT_RUN, None


def messages(path: Path) -> Iterator[Captured]:
    """What is in the outbox at this path, run after run, each in the order of writing. Empty when there is none."""
    runs = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    for run in runs:
        yield from files_of(run)
