"""Messages become packed calls: as many in one as the provider takes, and those that wait for their next try."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from connect.channels.message import Email, Outgoing
from connect.clock import Clock
from connect.pipeline.rates import Slot
from connect.pipeline.verdicts import Ticket
from connect.providers.interface import Capabilities
from connect.vocabulary import Channel


@dataclass(slots=True)
class Packed:
    """Messages that leave in one call, all of one channel."""

    tickets: Sequence[Ticket]
    exact: bool = False
    """Repeated with exactly these members, or not at all."""
    slot: Slot | None = None
    """When it may leave, where there is a rate."""
    began: float | None = None
    """When it left, where the account's pace is watched."""


class Packer:
    """Fills calls in order, each for one channel, up to what the provider takes in one."""

    def __init__(self, most: Capabilities, clock: Clock) -> None:
        self._most, self._clock = most, clock
        self._packing: dict[Channel, list[Ticket]] = {}
        self._bytes: Counter[Channel] = Counter()
        self.since = 0.0
        """When the oldest of what waits came, in monotonic seconds."""

    def __bool__(self) -> bool:
        """Whether something waits for its call to be full."""
        return bool(self._packing)

    def add(self, ticket: Ticket) -> list[Packed]:
        """Take a delivery; returns the calls that are full now."""
        most, channel = self._most, ticket.outgoing.channel
        if most.max_batch == 1:
            return [Packed([ticket])]
        if not self._packing:
            self.since = self._clock.monotonic()
        full: list[Packed] = []
        if most.max_call_bytes:
            weight = _weight(ticket.outgoing)
            if self._bytes[channel] + weight > most.max_call_bytes:
                full = self._close(channel)
            self._bytes[channel] += weight
        packing = self._packing.setdefault(channel, [])
        packing.append(ticket)
        return full + self._close(channel) if len(packing) >= most.max_batch else full

    def tickets(self) -> Iterator[Ticket]:
        """What waits for its call to be full."""
        return itertools.chain.from_iterable(self._packing.values())

    def flush(self) -> list[Packed]:
        """What is packed, as calls."""
        return [call for channel in list(self._packing) for call in self._close(channel)]

    def _close(self, channel: Channel) -> list[Packed]:
        self._bytes.pop(channel, None)
        packed = self._packing.pop(channel, [])
        return [Packed(_in_order(packed))] if packed else []


@dataclass(order=True, slots=True)
class _Later:
    due: float
    order: int
    call: Packed = field(compare=False)


class Retries:
    """Calls that wait for their next try."""

    def __init__(self, most: Capabilities) -> None:
        self._most = most
        self._heap: list[_Later] = []
        self._order = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, call: Packed, due: float) -> None:
        """Try this again at `due`, in monotonic seconds."""
        heapq.heappush(self._heap, _Later(due, next(self._order), call))

    @property
    def next_due(self) -> float:
        return self._heap[0].due

    def clear(self) -> None:
        self._heap.clear()

    def calls(self) -> Iterator[Packed]:
        """All of them, in no order."""
        return (later.call for later in self._heap)

    def all(self) -> list[tuple[Packed, float]]:
        """Take out everything, with the seconds at which each is due."""
        found = [(later.call, later.due) for later in sorted(self._heap)]
        self._heap.clear()
        return found

    def take(self, now: float) -> Packed | None:
        """One call of what is due: as many as fit into one, or one that must stay as it was."""
        if self._is_due(now) and self._heap[0].call.exact:
            return heapq.heappop(self._heap).call
        due: list[Ticket] = []
        weight, limit = 0, self._most.max_call_bytes
        while self._is_due(now) and not self._heap[0].call.exact and len(due) < self._most.max_batch:
            (ticket,) = self._heap[0].call.tickets
            if due and ticket.outgoing.channel is not due[0].outgoing.channel:
                break
            weight += _weight(ticket.outgoing)
            if due and limit and weight > limit:
                break
            due.append(ticket)
            heapq.heappop(self._heap)
        return Packed(_in_order(due)) if due else None

    def _is_due(self, now: float) -> bool:
        return bool(self._heap) and self._heap[0].due <= now


def _in_order(tickets: list[Ticket]) -> list[Ticket]:
    """In the order that the ledger remembers, by which a call is known again after a crash."""
    return sorted(tickets, key=attrgetter("sequence"))


def _weight(outgoing: Outgoing) -> int:
    """About how many bytes a message takes in a call."""
    message = outgoing.message
    if isinstance(message, Email):
        attached = sum(len(attachment.content) for attachment in message.attachments)
        return len(message.html or "") + len(message.text or "") + attached * 4 // 3 + 1024
    return len(message.said) + 256
