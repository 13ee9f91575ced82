"""People with no, one, two or three devices: what is counted is a device, and somebody without any as one of their own.

A device's number is four times its person's, and its place among theirs; who has none is counted at the fourth place.
A device that gets a new token stays the same one: nobody is to hear twice on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import duckdb

from benchmarks.chaos.people import CHURN, Audience, Standing, ahead, key_of
from connect.identity import message_key
from connect.testing.receivers import DEAD

_PLACES, _NONE = 4, 3
_HAVE = (0, 1, 1, 1, 2, 3)
"""Devices of six people who follow one another."""
PER_PERSON = sum(max(1, count) for count in _HAVE) / len(_HAVE)
_DEAD = 40
"""One device in so many is not there any more."""
_PLATFORMS = ("android", "ios", "web", None)


@dataclass
class Devices(Audience):
    """Who is in the warehouse with which devices, and which deliveries the run must count."""

    present: dict[int, list[str]] = field(default_factory=dict)
    """Person → tokens."""
    last: int = 0
    """The highest number of a person until now."""
    tokens: dict[int, set[str]] = field(default_factory=dict)
    """Device → every token it has had."""

    @classmethod
    def settle(cls, file: Path, count: int) -> Devices:
        """A warehouse with people who make about so many deliveries."""
        made = cls(file, set())
        with duckdb.connect(str(file)) as connection:
            connection.execute(
                "create table people (id integer, channels json, device_token varchar, platform varchar, "
                "subscribed boolean)"
            )
        people = range(1, round(count / PER_PERSON) + 1)
        made._add({person: made._new(person) for person in people})
        made.expected = {device for person in people for device in made._devices(person)}
        return made

    def of(self, address: str) -> int:
        person, place = address.removeprefix(DEAD).split("-")[1:3]
        return int(person) * _PLACES + int(place)

    def of_keys(self, keys: set[bytes], secret: bytes) -> set[int]:
        if not keys:
            return set()
        return {
            device
            for device, tokens in self.tokens.items()
            for token in tokens
            if message_key(secret, key_of(device // _PLACES), "push", token) in keys
        }

    def churn(self, standing: Standing | None, random: Random) -> None:
        """Some leave, some join, some devices get a new token, some people get their first device.

        It is always a person's first device that gets a new token. If it were another one, and the call to the first
        had not begun, the run could take either for the one that was in the air.
        """
        near = self.of_keys(standing.near, standing.secret) if standing else set()
        doubt = self.of_keys(standing.in_doubt, standing.secret) if standing else set()
        chosen = random.sample(sorted(self.present), 2 * CHURN)
        doubtful = sorted({device // _PLACES for device in doubt} & self.present.keys())
        chosen = list(dict.fromkeys([*chosen, *random.sample(doubtful, min(4, len(doubtful)))]))
        random.shuffle(chosen)
        leaving, changing = chosen[::2], chosen[1::2]
        self._leave(leaving, near, doubt, standing)
        changed = {person: tokens for person in changing if (tokens := self._changed(person, random))}
        for person in changed:
            self.moved |= {person * _PLACES} & doubt
            if person * _PLACES in near:  # under a token that is gone: any that was not begun may be the same device
                self.moved |= self._devices(person) - near
            if not self.present[person] and ahead(key_of(person), standing):
                self.expected ^= {person * _PLACES + _NONE, person * _PLACES}
        first = self.last + 1
        joining = {person: self._new(person) for person in range(first, first + CHURN)}
        self._drop([*leaving, *changed])
        self._add(changed | joining)
        self.expected |= {
            device for person in joining if ahead(key_of(person), standing) for device in self._devices(person)
        }

    def _leave(self, people: Iterable[int], near: set[int], doubt: set[int], standing: Standing | None) -> None:
        for person in people:
            devices = self._devices(person)
            self.left |= devices
            self.gone |= devices & doubt
            if ahead(key_of(person), standing):
                self.expected -= devices - near

    @property
    def without(self) -> set[int]:
        return {number for number in self.expected if number % _PLACES == _NONE}

    @property
    def dead(self) -> set[int]:
        return {
            number for number in self.expected if any(token.startswith(DEAD) for token in self.tokens.get(number, ()))
        }

    def _devices(self, person: int) -> set[int]:
        count = len(self.present[person])
        return {person * _PLACES + place for place in range(count)} or {person * _PLACES + _NONE}

    def _new(self, person: int) -> list[str]:
        return [self._token(person, place) for place in range(_HAVE[person % len(_HAVE)])]

    def _token(self, person: int, place: int, generation: int = 0) -> str:
        dead = (person * 3 + place) % _DEAD == 0 and not generation
        return f"{DEAD if dead else ''}device-{person}-{place}-{generation}"

    def _changed(self, person: int, random: Random) -> list[str]:
        """Their tokens, the first one new; none where nothing changes."""
        tokens = self.present[person]
        if tokens and tokens[0].startswith(DEAD):
            return []
        return [self._token(person, 0, random.randrange(1, 10**6)), *tokens[1:]]

    def _drop(self, people: Iterable[int]) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("delete from people where id in (select unnest(?))", [list(people)])
        for person in people:
            del self.present[person]

    def _add(self, people: dict[int, list[str]]) -> None:
        self.present |= people
        self.last = max(self.last, *people)
        for person, tokens in people.items():
            for place, token in enumerate(tokens):
                self.tokens.setdefault(person * _PLACES + place, set()).add(token)
        rows = [_row(person, tokens) for person, tokens in people.items()]
        columns = [list(column) for column in zip(*rows, strict=True)]
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(
                "insert into people select unnest(?::integer[]), unnest(?::varchar[])::json, unnest(?::varchar[]), "
                "unnest(?::varchar[]), true",
                columns,
            )


def _row(person: int, tokens: list[str]) -> tuple[int, str | None, str | None, str | None]:
    """(id, channels, device_token, platform). Half of those with a single device have it in a column of its own."""
    platforms = [_PLATFORMS[(person + place) % len(_PLATFORMS)] for place in range(len(tokens))]
    if len(tokens) == 1 and person % 2:
        return person, None, tokens[0], platforms[0]
    entries = [
        {"type": "push", "address": token, "platform": platform}
        for token, platform in zip(tokens, platforms, strict=True)
    ]
    return person, json.dumps(entries), None, None
