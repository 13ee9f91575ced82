"""The waves of a run: everybody whose deliveries open at one instant and close at another, as a sweep of their own.

Who is in which wave is a pure function of where they are (`connect.channels.zones.Place`), the fire time and the
policy, so that nobody's zone is remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import combinations
from typing import Any
from zoneinfo import available_timezones

from connect.channels.zones import Place, all_phone_zones
from connect.ledger.records import START, NewSlice, Slice
from connect.pipeline import quiet
from connect.pipeline.deliveries import Ended
from connect.pipeline.quiet import Clock
from connect.pipeline.windows import EXPIRED, IN_QUIET_HOURS, Window, Windows
from connect.vocabulary import Channel, Reach

_SPACE = 1 << 128

AT_ONCE = ""
"""The wave of everybody whose deliveries open at the fire time and never close."""


@dataclass(frozen=True)
class Timing(Windows):
    """When the deliveries of one run may be sent, and its waves. Built once per run."""

    def wave_of(self, window: Window) -> str:
        """The name of a wave; it tells the window."""
        return AT_ONCE if window == Window(self.fire_time) else f"{_written(window.opens)}-{_written(window.closes)}"

    def window_of(self, wave: str) -> Window:
        if wave == AT_ONCE:
            return Window(self.fire_time)
        opens, _, closes = wave.partition("-")
        return Window(datetime.fromisoformat(opens), datetime.fromisoformat(closes) if closes else None)

    def in_order(self, waves: Iterable[str]) -> list[str]:
        """Waves as they open, and close."""
        never = datetime.max.replace(tzinfo=UTC)
        return sorted(waves, key=lambda wave: (self.window_of(wave).opens, self.window_of(wave).closes or never))

    def waves(self, places: Iterable[Place]) -> frozenset[str]:
        """The waves of people in these places: at least one."""
        found = {self.wave_of(window) for place in places for _, window in self._windows(place)}
        return frozenset(found or {AT_ONCE})

    def _windows(self, place: Place) -> list[tuple[tuple[Channel, ...], Window]]:
        """The windows that a row of this place may have, each with its channels."""
        sizes = range(1, len(self.channels) + 1) if self.reach is Reach.first else (1,)
        sets = [channels for size in sizes for channels in combinations(self.channels, size)]
        found = [(channels, self.together(channels, place)) for channels in sets]
        return [(channels, window) for channels, window in found if isinstance(window, Window)]

    def slices(self, places: Iterable[Place], now: datetime) -> tuple[NewSlice, ...]:
        """The work of a run that starts now: waves × batches, as they open. `places` are those of the audience."""
        people = frozenset(places)
        waves = self.waves(people) if self.waits else {AT_ONCE}
        found = [one for wave in self.in_order(waves) for one in self._batches(wave, people, now)]
        return tuple(sorted(found, key=lambda one: one.opens_at or now))

    def _batches(self, wave: str, places: frozenset[Place], now: datetime) -> list[NewSlice]:
        """Equal parts of a wave; the first opens with it, the others one after the other."""
        batches = self.batches if self.live else None
        count, every = (batches.count, batches.every) if batches else (1, timedelta(0))
        begins = max(self.window_of(wave).opens, now)
        found = []
        for number in range(count):
            at = begins + number * every
            window = self.reopens(wave, at, places)
            opens = max(window.opens, at)
            at_once = opens <= now and window == self.window_of(wave)
            found.append(NewSlice(*_part(number, count), wave, None if at_once else opens, window.closes))
        return found

    def reopens(self, wave: str, at: datetime, places: Collection[Place] | None = None) -> Window:
        """The window of a wave at this instant or, when it has closed, the next one that is right for all its zones.

        Who is in it stays as it is. Zones that were in one wave may drift apart over daylight saving: then it opens
        with the last and closes with the first of them. Where it never does, it opens with the first, and those who
        would be met in quiet hours are skipped; so it is, at once, where nobody in it may be deferred.
        `places` are those of the audience; where they are not known, everywhere on earth.
        """
        window = self.window_of(wave)
        if window.closes is None or at < window.closes:
            return window
        clocks = (self._clocks_on_earth if places is None else self._clocks_of_waves(places)).get(wave, frozenset())
        if all(clock.quiet.skips for clock in clocks):
            return Window(at)
        opens = quiet.ends(clocks, at)
        if opens is not None:
            return Window(opens, quiet.begins(clocks, opens))
        alone = [(clock, opened) for clock in clocks if (opened := quiet.ends([clock], at))]
        return min(
            (Window(opened, quiet.begins([clock], opened)) for clock, opened in alone), key=lambda one: one.opens
        )

    @cached_property
    def _clocks_on_earth(self) -> dict[str, frozenset[Clock]]:
        countries = {"", *quiet.special_countries(self.written)}
        zones = {(zone,) for zone in available_timezones() - {"Factory", "localtime"}} | all_phone_zones() | {()}
        return self._clocks_of_waves(Place(zone, country) for zone in zones for country in countries)

    def _clocks_of_waves(self, places: Iterable[Place]) -> dict[str, frozenset[Clock]]:
        """Wave → the clocks of all of these places that are in it."""
        found: dict[str, frozenset[Clock]] = {}
        for place in places:
            for channels, window in self._windows(place):
                wave = self.wave_of(window)
                found[wave] = found.get(wave, frozenset()) | self.clocks(channels, place)
        return found


class Turn:
    """One slice's turn: which deliveries it sends, now that its window is open. It can be pickled.

    A delivery belongs to the wave of its window. Those of a wave that the run does not know, as of people who joined
    after it began, belong to the last one, and are skipped where that is not right for them. Those that end because
    of the time belong to the first. So each belongs to exactly one.
    """

    def __init__(self, timing: Timing, wave: str, known: Collection[str], window: Window) -> None:
        """`known` are the waves of all slices of the run, `window` is the one that this slice is open in."""
        self.timing, self.wave, self.window = timing, wave, window
        self.known = frozenset(known)
        in_order = timing.in_order(self.known)
        self.is_first, self.is_last = wave == in_order[0], wave == in_order[-1]
        self._decided: dict[tuple[tuple[Channel, ...], Place], Ended | bool] = {}

    @classmethod
    def of_slice(cls, timing: Timing, claimed: NewSlice | Slice, known: Collection[str]) -> Turn:
        opens = claimed.opens_at or timing.window_of(claimed.wave).opens
        return cls(timing, claimed.wave, known, Window(opens, claimed.closes_at))

    def decide(self, channels: tuple[Channel, ...], place: Place) -> Ended | bool:
        """Whether it is this slice that settles such a delivery: False not, True by sending it; or how it ends here.

        `channels` are those of which one is going to be used, such as one.
        """
        asked = channels, place
        if asked not in self._decided:
            self._decided[asked] = self._decide(channels, place)
        return self._decided[asked]

    def _decide(self, channels: tuple[Channel, ...], place: Place) -> Ended | bool:
        own = self.timing.together(channels, place)
        if isinstance(own, Ended):
            return own if self.is_first else False
        wave = self.timing.wave_of(own)
        if wave != self.wave and (wave in self.known or not self.is_last):
            return False
        return self.timing.late(channels, place, self.window) or True

    @property
    def expires_at(self) -> datetime | None:
        """After this everything of this slice has expired; some of it may have before."""
        after = self.timing.expires_after
        return self.timing.window_of(self.wave).opens + after if after and self.timing.live else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Turn, (self.timing, self.wave, self.known, self.window)


def _part(number: int, count: int) -> tuple[str, str | None]:
    """The bounds of one of `count` equal parts of the hash space."""
    bounds = [f"{_SPACE * place // count:032x}" for place in (number, number + 1)]
    return bounds[0] if number else START, bounds[1] if number < count - 1 else None


def _written(instant: datetime | None) -> str:
    if instant is None:
        return ""
    kind = "%Y%m%dT%H%M%S.%fZ" if instant.microsecond else "%Y%m%dT%H%M%SZ"
    return instant.astimezone(UTC).strftime(kind)


__all__ = ["AT_ONCE", "EXPIRED", "IN_QUIET_HOURS", "Timing", "Turn", "Window"]
