"""What is to be done about a delivery that its account may have taken: leave it in doubt, or ask again."""

from __future__ import annotations

from connect.clock import Clock
from connect.ledger.records import Intent
from connect.pipeline.deliveries import Ended
from connect.pipeline.exact import Gathering
from connect.pipeline.recovery import IN_DOUBT, how_it_ended
from connect.providers.interface import Idempotency, Provider
from connect.vocabulary import InDoubt


def may_repeat(provider: Provider, in_doubt: InDoubt) -> bool:
    """Whether a delivery in doubt may be sent again: the provider deduplicates, or the user said so."""
    return provider.capabilities.idempotency is not Idempotency.none or in_doubt is InDoubt.resend


class Doubt:
    """Of one account. `gathering` holds the calls from before a crash that can still be repeated as they were."""

    def __init__(self, provider: Provider, in_doubt: InDoubt, gathering: Gathering, clock: Clock) -> None:
        self._capabilities, self._in_doubt = provider.capabilities, in_doubt
        self._gathering, self._clock = gathering, clock

    def how_it_ended(self, before: Intent) -> Ended | None:
        """How a delivery that was near the air before a crash counts; None when it is to be sent (again)."""
        stored = how_it_ended(before)
        if stored is None and not (self._in_doubt is InDoubt.resend or self._still_knows(before)):
            return IN_DOUBT
        return stored

    def _still_knows(self, before: Intent) -> bool:
        """Whether the provider recognises a message that it was given back then."""
        kind, lifetime = self._capabilities.idempotency, self._capabilities.idempotency_lifetime
        if kind is Idempotency.none or (kind is Idempotency.request_key and before.call not in self._gathering):
            return False
        return not lifetime or not before.released_at or self._clock.now() - before.released_at < lifetime
