"""What rigs share: accounts, addresses where nobody listens, and messages as they are read."""

from __future__ import annotations

import socket
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

from connect.channels.message import Email, Outgoing
from connect.providers.interface import Account, ProviderSettings
from connect.testing.providers import Arrived

TIMEOUT = timedelta(seconds=60)
"""Longer than any answer takes on a busy machine; where nobody is to answer, the contract shortens it."""


def account(settings: ProviderSettings, root: Path) -> Account:
    return Account("contract", settings, root, concurrency=4, timeout=TIMEOUT)


class Nobody:
    """An address on this machine where nobody listens; close it when it is not needed any more."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # and never listens

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


def as_given(outgoing: Outgoing) -> Arrived:
    """A message as the pipeline hands it over."""
    message = outgoing.message
    if isinstance(message, Email):
        return Arrived(message.address, message.subject, message.text, message.html)
    return Arrived(message.address, None, message.said)


def as_parsed(address: str, content: bytes) -> Arrived:
    """A message as the standard library reads it."""
    parsed = message_from_bytes(content, policy=policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return Arrived(
        address,
        str(parsed["Subject"]),
        text.get_content() if text else None,
        html.get_content() if html else None,
    )
