"""The book of a slice: what is near the air, as its holder knows it, so that a write need not ask the database.

It is right as long as nobody else has written to the slice, which `version` tells. When a write fails the book is
thrown away, and read again from the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from connect.ledger import intents
from connect.ledger.bundles import GONE, IN_DOUBT, MOST, Bundle, Members
from connect.ledger.intents import Settled
from connect.ledger.refusals import Unaccounted

_NOT_TO_RELEASE = "a settled delivery was to be sent again"
_TWICE = "a delivery was released twice in one call"
_NOT_TO_SETTLE = "a delivery was settled twice, or without having been released"
_NOT_TO_WITHDRAW = "a delivery was withdrawn that is settled or was never released"
_BACKWARDS = "the cursor was to go backwards"


class Book:
    """What is near the air in one slice. Changed in memory first, then written with `write`."""

    def __init__(self, slice_id: int, version: int, cursor: str | None, bundles: Iterable[Bundle] = ()) -> None:
        self.version = version
        self.cursor = cursor
        self.has_moved = False
        """Whether the run has got any further, and was told so."""
        self._slice_id = slice_id
        self._bundles: dict[bytes, Bundle] = {}
        self._next = intents.first_id(slice_id)
        self._open: dict[tuple[str, str], Bundle] = {}
        """Bundles of this write that take more, by channel and account."""
        self._changed: dict[Bundle, None] = {}
        for bundle in bundles:
            near = (key for key, state in zip(bundle.members.keys, bundle.states, strict=True) if state != GONE)
            self._bundles |= dict.fromkeys(near, bundle)
            self._next = max(self._next, bundle.id + 1)

    def release(self, members: Members, now: int) -> None:
        """A delivery whose fate was in doubt may be released again; one that is settled never."""
        keys = members.keys
        for key in [key for key in keys if key in self._bundles]:
            self._leave(key, _NOT_TO_RELEASE)
        near = len(self._bundles)
        for start in range(0, len(keys), MOST):
            part = members if len(keys) <= MOST else members.part(start, start + MOST)
            self._bundles |= dict.fromkeys(part.keys, self._add(part, now))
        if len(self._bundles) != near + len(keys):
            raise Unaccounted(_TWICE)

    def _add(self, members: Members, now: int) -> Bundle:
        """To the bundle of this write that has room, or a new one."""
        kind = (members.channel, members.account)
        bundle = self._open.get(kind)
        if bundle is None or len(bundle.states) + len(members.keys) > MOST:
            empty = Members(*kind, [], [], [], [])
            bundle = self._open[kind] = Bundle(self._next, now, empty, bytearray())
            self._changed[bundle] = None
            self._next += 1
        bundle.add(members)
        return bundle

    def settle(self, outcomes: Sequence[Settled]) -> None:
        bundle_of, last, state, states = self._bundles.get, None, 0, bytearray()
        for key, outcome, reason in outcomes:
            bundle = bundle_of(key)
            if bundle is None:
                raise Unaccounted(_NOT_TO_SETTLE)
            if (bundle, outcome, reason) != last:  # most are like the one before
                last, state, states = (
                    (bundle, outcome, reason),
                    bundle.state_of((str(outcome), str(reason))),
                    bundle.states,
                )
                self._changed[bundle] = None
            place = bundle.place_of(key)
            if states[place] not in (IN_DOUBT, state):
                raise Unaccounted(_NOT_TO_SETTLE)
            states[place] = state

    def withdraw(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._leave(key, _NOT_TO_WITHDRAW)

    def _leave(self, key: bytes, complaint: str) -> None:
        """One that is in doubt is not near the air any more, or will be in another bundle."""
        bundle = self._bundles.pop(key, None)
        if bundle is None or bundle.states[place := bundle.place_of(key)] != IN_DOUBT:
            raise Unaccounted(complaint)
        bundle.states[place] = GONE
        bundle.left -= 1
        self._changed[bundle] = None

    def pass_by(self, keys: Sequence[bytes]) -> None:
        """The cursor passes these. Keys that never had an intent (skipped deliveries) are fine."""
        pop = self._bundles.pop
        bundles = [pop(key, None) for key in keys]
        partly = set()
        for bundle, count in Counter(bundles).items():
            if bundle is not None:
                bundle.left -= count
                self._changed[bundle] = None
                if bundle.left:
                    partly.add(bundle)
        if partly:
            self._mark_gone(keys, bundles, partly)

    def _mark_gone(self, keys: Sequence[bytes], bundles: Sequence[Bundle | None], partly: set[Bundle]) -> None:
        for key, bundle in zip(keys, bundles, strict=True):
            if bundle is not None and bundle in partly:
                bundle.states[bundle.place_of(key)] = GONE

    def advance(self, cursor: str) -> None:
        """It may stay, and never goes back."""
        if self.cursor is not None and cursor < self.cursor:
            raise Unaccounted(_BACKWARDS)
        self.cursor = cursor

    def write(self, connection: Connection) -> None:
        """Bring the rows of the ledger to what this book says."""
        changed, self._changed, self._open = list(self._changed), {}, {}
        new = [bundle for bundle in changed if bundle.left and not bundle.stored]
        intents.delete_rows(connection, [bundle for bundle in changed if bundle.stored and not bundle.left])
        intents.update_rows(connection, [bundle for bundle in changed if bundle.stored and bundle.left])
        intents.insert_rows(connection, self._slice_id, new)
        for bundle in new:
            bundle.stored = True
