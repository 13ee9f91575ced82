"""What a worker that died left behind: deliveries with an intent, each settled already or in doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from connect.identity import mark_of
from connect.ledger.records import Intent
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Outcome, Reason

IN_DOUBT = Ended(Outcome.unknown, Reason.in_doubt)


class Recovered:
    """Intents by person, taken as their people are met again."""

    def __init__(self, intents: Iterable[Intent] = ()) -> None:
        self._people: dict[bytes, list[Intent]] = {}
        self._calls: dict[str, dict[int, list[Intent]]] = {}
        for intent in intents:
            self._people.setdefault(mark_of(intent.key), []).append(intent)
            self._calls.setdefault(intent.account, {}).setdefault(intent.call, []).append(intent)

    def __bool__(self) -> bool:
        return bool(self._people)

    def take(self, mark: bytes, channel: Channel, key: bytes | None, others: Collection[bytes] = ()) -> Intent | None:
        """The intent of this person on this channel: with this key, else with one of an address they had before.

        `others` are the keys of their other deliveries, whose intents are not anybody else's.
        """
        mine = [intent for intent in self._people.get(mark, ()) if intent.channel is channel]
        before = (intent for intent in mine if intent.key not in others)
        found = next((intent for intent in mine if intent.key == key), None) or next(before, None)
        if found is not None:
            self._people[mark].remove(found)
            if not self._people[mark]:
                del self._people[mark]
        return found

    def knows(self, mark: bytes, key: bytes) -> bool:
        """Whether this very delivery of the person was near the air, and was not met yet."""
        return any(intent.key == key for intent in self._people.get(mark, ()))

    def channels_of(self, mark: bytes) -> set[Channel]:
        """The channels on which this person was near the air."""
        return {intent.channel for intent in self._people.get(mark, ())}

    def whole_calls(self, account: str) -> dict[int, list[bytes]]:
        """Calls to this account of which all members are in doubt: number → message keys, in the order of the call."""
        return {
            number: [intent.key for intent in sorted(members, key=lambda intent: intent.sequence)]
            for number, members in self._calls.get(account, {}).items()
            if len(members) == members[0].call_size and all(intent.outcome is None for intent in members)
        }

    def meet(self, keys: Iterable[bytes]) -> None:
        """These people were met by somebody else's copy."""
        for key in keys:
            mine = self._people.get(mark_of(key), [])
            mine[:] = [intent for intent in mine if intent.key != key]
            if not mine:
                self._people.pop(mark_of(key), None)

    @property
    def last_call(self) -> int:
        """The highest number of a call that is remembered; new calls are numbered on from it."""
        return max((intent.call for intent in self.intents()), default=0)

    def channels(self) -> set[Channel]:
        return {intent.channel for intent in self.intents()}

    def gone(self) -> list[tuple[Intent, Ended]]:
        """Those whose people were not met again, and how they count: as settled, or as unknown for ever."""
        left, self._people = self.intents(), {}
        return [(intent, how_it_ended(intent) or Ended(Outcome.unknown, Reason.gone)) for intent in left]

    def in_doubt(self) -> int:
        """How many have no outcome."""
        return sum(intent.outcome is None for intent in self.intents())

    def intents(self) -> list[Intent]:
        """Those whose people were not met yet."""
        return [intent for mine in self._people.values() for intent in mine]


def how_it_ended(intent: Intent) -> Ended | None:
    """The outcome that was stored before the crash; None when it is in doubt."""
    return Ended(intent.outcome, intent.reason) if intent.outcome is not None else None
