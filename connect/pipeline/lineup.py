"""What waits to be released: messages for their call to be full, calls for their turn, and for their next try."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import attrgetter

from connect.clock import Clock
from connect.pipeline.packing import Packed, Packer, Retries
from connect.pipeline.verdicts import Ticket
from connect.providers.interface import Capabilities


class Lineup:
    """Of one account."""

    def __init__(self, most: Capabilities, clock: Clock) -> None:
        self._packer, self._later = Packer(most, clock), Retries(most)
        self._clock = clock
        self._queue: deque[Packed] = deque()
        self._due: deque[Packed] = deque()
        """Calls whose next try is due: in turn with the others, so that neither keeps the other waiting."""
        self.first: Packed | None = None
        """Whose turn it is, and who may not leave yet."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.first or self._queue or self._due or self._later or self._packer)

    def clear(self) -> None:
        self.first = None
        self._packer.flush()
        for waiting in (self._queue, self._due, self._later):
            waiting.clear()

    # In

    def add(self, ticket: Ticket) -> None:
        """Take a delivery, for a call with others."""
        self._queue.extend(self._packer.add(ticket))

    def put(self, calls: Iterable[Packed]) -> None:
        self._queue.extend(calls)

    def flush(self) -> None:
        """What is packed becomes a call."""
        self._queue.extend(self._packer.flush())

    @property
    def packs_for(self) -> float:
        """Seconds that the oldest message has waited for its call to be full."""
        return self._clock.monotonic() - self._packer.since if self._packer else 0.0

    def again(self, call: Packed, due: float) -> None:
        """It is tried again then, in monotonic seconds."""
        self._later.add(call, due)

    def take_those_due(self) -> float:
        """Those whose next try is due line up; returns when the next ones are."""
        now = self._clock.monotonic()
        while due := self._later.take(now):
            self._due.append(due)
        return self._later.next_due if self._later else math.inf

    def leave(self, goes: Callable[[Ticket], bool]) -> list[Ticket]:
        """Take out the deliveries that go elsewhere, in their order. Calls that must stay as they were do."""
        left: list[Ticket] = []
        if not any(map(goes, self._free())):
            return left

        def staying(call: Packed) -> list[Packed]:
            if call.exact:
                return [call]
            left.extend(ticket for ticket in call.tickets if goes(ticket))
            kept = [ticket for ticket in call.tickets if not goes(ticket)]
            return [Packed(kept)] if kept else []

        self.flush()
        first = staying(self.first) if self.first else []
        self.first = None
        for waiting in (self._due, self._queue):
            kept = [call for each in waiting for call in staying(each)]
            waiting.clear()
            waiting.extend(kept)
        self._due.extendleft(first)
        for call, due in self._later.all():
            for kept_call in staying(call):
                self._later.add(kept_call, due)
        return sorted(left, key=attrgetter("sequence"))

    def _free(self) -> Iterator[Ticket]:
        """Every delivery that is not in a call which must stay as it was."""
        calls = chain((self.first,) if self.first else (), self._due, self._queue, self._later.calls())
        yield from self._packer.tickets()
        yield from (ticket for call in calls if not call.exact for ticket in call.tickets)

    # How many

    @property
    def new(self) -> int:
        """Calls that were never tried."""
        return len(self._queue)

    @property
    def calls(self) -> int:
        """Calls that could leave, if they may."""
        return len(self._queue) + len(self._due) + (self.first is not None)

    @property
    def messages(self) -> int:
        """The same in messages."""
        first = (self.first,) if self.first else ()
        return sum(len(call.tickets) for call in chain(first, self._queue, self._due))

    # Out

    def in_turn(self, down: bool) -> Iterator[Packed]:
        """Take what waits: one that was never tried, one that is due again, and so on.

        `down`: nobody gets through. Then the same few find out when that changes, and nobody new is touched.
        """
        if self.first is not None:
            first, self.first = self.first, None
            yield first
        while self._queue or self._due:
            if self._due and down:
                yield self._probe()
                continue
            for waiting in (self._queue, self._due):
                if waiting:
                    yield waiting.popleft()

    def _probe(self) -> Packed:
        probe = min(self._due, key=lambda packed: packed.tickets[0].sequence)
        self._due.remove(probe)
        return probe
