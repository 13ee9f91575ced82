"""What a provider is: settings, capabilities as data, and five verbs.

    settings → open → send(batch) → receipts → close;  check() for `connect doctor`

An adapter turns what its provider says into receipts and nothing else: it never retries, never waits for a throttle,
never counts and never branches on who sends. The pipeline does all of that, from the receipts and the capabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from connect.channels.message import Outgoing
from connect.providers.hiding import hide as hide  # what adapters make a receipt's detail with
from connect.vocabulary import Channel, Platform


class Status(StrEnum):
    """What became of one message of a call. A provider's statuses map to these in dict literals."""

    accepted = "accepted"  # the provider took responsibility
    rejected_recipient = "rejected_recipient"  # this address, for good
    rejected_content = "rejected_content"  # this message, for good
    throttled = "throttled"  # not accepted: the account must slow down
    quota = "quota"  # not accepted: the account's quota is used up
    config = "config"  # not accepted: credentials, sender or settings are wrong; a person must mend it
    transient = "transient"  # not accepted: try this message again later
    ambiguous = "ambiguous"  # written and not answered: it may have been accepted
    undecidable = "undecidable"  # it may have been accepted, and asking again would not tell (same key, other body)


@dataclass(slots=True, unsafe_hash=True)  # frozen in spirit: freezing costs a microsecond
class Receipt:
    """What a provider said of one message."""

    status: Status
    reason: str = ""
    """A normalised reason in snake_case, e.g. `mailbox_unavailable`. Never an address, never the provider's text."""
    retry_after: timedelta | None = None
    provider_id: str = ""
    detail: str = ""
    """The provider's own words with every address of the message hidden (see `connect.providers.interface.hide`)."""


LEASE_OVER = "lease_over"
"""The reason of a `transient` receipt for what was not written, because this process could not be sure of its run."""


class Idempotency(StrEnum):
    none = "none"
    message_key = "message_key"  # each message carries its key: repeated in whatever call, it is not sent again
    request_key = "request_key"  # a call carries one: repeated with the same members and bytes, it is not sent again


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the pipeline and the contract suite branch on, instead of a provider's name."""

    channels: frozenset[Channel]
    max_batch: int = 1
    """Messages in one call, at most."""
    max_call_bytes: int | None = None
    max_message_bytes: int | None = None
    idempotency: Idempotency = Idempotency.none
    """Keys are the `Outgoing.key` of a message, or the `connect.identity.call_key` of a call's messages."""
    idempotency_lifetime: timedelta | None = None
    attachments: bool = True
    custom_headers: bool = True
    reaches_people: bool = True
    """False where nothing is sent to anyone (outbox, memory): what live needs does not apply."""
    persists_messages: bool = False
    """True where messages are written to disk for a developer to look at; said loudly before a run."""
    default_concurrency: int = 8
    platforms: frozenset[Platform] = frozenset(Platform)
    """Devices that a push message can be handed to it for."""
    sandbox: bool = False
    """It has a mode in which it checks messages and sends none (`Account.sandbox`)."""
    tracks: bool = False
    """It can count openings and clicks by itself, where its account says so."""


class ProviderSettings(BaseModel):
    """Fields of one `providers:` entry beside `type`, `rate` and `concurrency`; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signed_url: ClassVar[str] = ""
    """Where the provider signs the URL that it reports to: the setting that says it, instead of `serve.base_url`."""


def _always() -> bool:
    return True


@dataclass(slots=True)
class Margin:
    """Whether this process may still send: it may have been suspended, and another has taken over meanwhile."""

    holds: Callable[[], bool] = _always
    """Set by whoever sends; cheap enough to be asked for each message."""

    def __reduce__(self) -> tuple[type[Margin], tuple[()]]:
        return Margin, ()  # another process has a margin of its own


@dataclass(frozen=True, slots=True)
class Account:
    """One configured provider account."""

    name: str
    settings: ProviderSettings
    root: Path
    """The project's folder, for settings that are relative paths."""
    concurrency: int
    timeout: timedelta = timedelta(seconds=30)
    margin: Margin = field(default_factory=Margin, compare=False, repr=False)
    sandbox: bool = False
    """The provider is to check messages and to send none; only where its capabilities have that."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One message that a provider kept on disk instead of sending it."""

    run_id: str
    channel: Channel
    sender: str
    to: str
    subject: str
    date: datetime | None
    html: str | None
    text: str | None
    body: str | None
    """The body of what is no e-mail; of a request, with its JSON spread over lines."""
    file: Path
    segments: int = 0
    """Of a text message."""
    platform: Platform | None = None
    """Of the device that a push message went to; `to` is the token, and `subject` the title."""
    image: str = ""
    url: str = ""
    """What a tap on a push message opens."""
    data: tuple[tuple[str, str], ...] = ()
    """What a push message says to the app."""
    method: str = ""
    """Of a request; `to` is its URL, blank for the account's own endpoint."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of a request, those with secrets hidden."""
    options: tuple[tuple[str, str], ...] = ()
    """Whatever else was set: (name, value)."""


class Provider(Protocol):
    """An adapter. Constructing one does no work; `open` connects, and may be called once."""

    Settings: ClassVar[type[ProviderSettings]]
    capabilities: ClassVar[Capabilities]

    def __init__(self, account: Account) -> None: ...

    async def open(self) -> None:
        """Get ready to send. Raises RunTrouble (pause) when that can not work until somebody mends something."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        """One call for at most `capabilities.max_batch` messages; one receipt for each, in order.

        Never raises for what a provider says or does: a call that broke before it was written is `transient`,
        one that broke afterwards is `ambiguous`. Being cancelled leaves the call in doubt.

        Nothing is written later than the account's `timeout` after the call; or, where messages may wait for their
        turn, only while `account.margin` holds: then they are `transient`, for `LEASE_OVER`.
        """

    async def check(self) -> str:
        """For `connect doctor`: prove that the account works without sending; returns what was found.

        Raises RunTrouble with the remedy as its hint.
        """

    async def close(self) -> None:
        """Let go of connections. Safe to call twice, and without `open`."""


Heard = Callable[["Receipt | Exception"], None]
"""Called once with what became of a message; with an error only where that is the program's own."""


@runtime_checkable
class Posts(Protocol):
    """What an adapter offers besides that sends one message in a call, and for which a coroutine would be dear."""

    def post(self, outgoing: Outgoing, heard: Heard) -> None:
        """As `send` of one message, for the running loop. It may be heard of before this returns."""

    def drop(self) -> None:
        """As if every call were cancelled: nothing more of them is written, and nothing is heard of them."""


@runtime_checkable
class StaysConnected(Protocol):
    """What an adapter offers besides whose `open` makes a connection that lasts."""

    @property
    def connected(self) -> bool:
        """Whether a connection is open and idle now, as far as is known."""


@runtime_checkable
class KeepsMessages(Protocol):
    """What an adapter with `persists_messages` offers besides."""

    def captured(self) -> Iterator[Captured]:
        """What was kept, run after run, each in the order of writing."""
