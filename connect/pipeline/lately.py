"""What was said of opt-outs lately, by whichever process of this ledger: who repeats themselves, and who came back.

In memory, and in the ledger for half an hour, sealed. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from connect.clock import Clock
from connect.identity import KeyRing
from connect.ledger.optouts import KEPT
from connect.ledger.store import Ledger
from connect.pipeline.sealing import opened
from connect.pipeline.subscriptions import Change, Scope, normal, scope_of
from connect.vocabulary import SubscriptionStatus

_MOST = 100_000
"""Scopes that are remembered; who said something longest ago is forgotten first."""


class Lately:
    """Of one project."""

    def __init__(self, ledger: Ledger, ring: KeyRing, clock: Clock) -> None:
        self._ledger, self._ring, self._clock = ledger, ring, clock
        self._last = 0
        self._said: OrderedDict[Scope, dict[datetime, SubscriptionStatus]] = OrderedDict()
        self._when: dict[Scope, float] = {}
        self._news: list[Change] = []
        self._guard, self._looking = threading.Lock(), threading.Lock()

    def look(self) -> None:
        """Learn what has come into the ledger. Raises OutsideError."""
        with self._looking:
            while found := self._ledger.taken(self._last):
                came = [change for one in found if (change := opened(self._ring, one)) is not None]
                self._last = found[-1].id
                self.came(came)
                self._news += map(normal, came)

    def news(self) -> list[Change]:
        """What has come into the ledger since this was asked last. Raises OutsideError."""
        self.look()
        with self._looking:
            news, self._news = self._news, []
        return news

    def came(self, changes: Iterable[Change]) -> None:
        """Somebody said this; it may be looked up in the ledger, too, and counts once."""
        with self._guard:
            now = self._clock.monotonic()
            for change in map(normal, changes):
                scope = scope_of(change)
                self._said.setdefault(scope, {})[change.at] = change.status
                self._said.move_to_end(scope)
                self._when[scope] = now
            self._forget(now)

    def repeats(self, change: Change) -> bool:
        """Whether the same was said before, and not taken back meanwhile."""
        change = normal(change)
        with self._guard:
            said = self._said.get(scope_of(change), {})
            before = {at: status for at, status in said.items() if at < change.at}
        return bool(before) and before[max(before)] is change.status

    def _forget(self, now: float) -> None:
        while self._said:
            scope = next(iter(self._said))
            if len(self._said) <= _MOST and now - self._when[scope] <= KEPT.total_seconds():
                return
            del self._said[scope], self._when[scope]
