"""What a worker that died left behind: deliveries with an intent, each settled already or in doubt."""

from __future__ import annotations

from collections.abc import Iterable

from connect.ledger.records import Intent
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Outcome, Reason

IN_DOUBT = Ended(Outcome.unknown, Reason.in_doubt)


class Recovered:
    """Intents by message key, taken as their people are met again."""

    def __init__(self, intents: Iterable[Intent] = ()) -> None:
        self._left = {intent.key: intent for intent in intents}

    def __contains__(self, key: object) -> bool:
        return key in self._left

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self, key: bytes) -> Intent | None:
        """The intent of this delivery, if it was near the air before."""
        return self._left.pop(key, None)

    @property
    def last_call(self) -> int:
        """The highest number of a call that is remembered; new calls are numbered on from it."""
        return max((intent.call for intent in self._left.values()), default=0)

    def channels(self) -> set[Channel]:
        return {intent.channel for intent in self._left.values()}

    def gone(self) -> list[tuple[Intent, Ended]]:
        """Those whose people were not met again, and how they count: as settled, or as unknown for ever."""
        left, self._left = list(self._left.values()), {}
        return [(intent, how_it_ended(intent) or Ended(Outcome.unknown, Reason.gone)) for intent in left]


def how_it_ended(intent: Intent) -> Ended | None:
    """The outcome that was stored before the crash; None when it is in doubt."""
    return Ended(intent.outcome, intent.reason) if intent.outcome is not None else None
