"""How an account stands, for those who choose between several: whether it takes messages, and since when nobody did."""

from __future__ import annotations

from connect.clock import Clock

_PROBE_FOR = 60.0
"""Seconds in which one delivery finds out whether an account that was out is back; then another one does."""


class Standing:
    """Of one account. Times are in monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.out_until = 0.0
        """It takes nothing before that, and others may take over."""
        self.is_spent = False
        """Its quota is used up, and it does not say until when."""
        self._since: float | None = None
        """Since when nobody got through."""
        self._probed_at = 0.0

    @property
    def is_out(self) -> bool:
        return self.out_until > self._clock.monotonic()

    def takes(self) -> bool:
        """Whether it is to have one more new delivery. One that was out has a single one, until that got through."""
        if not self.out_until:
            return True
        now = self._clock.monotonic()
        if self.out_until > now:
            return False
        if self._since is not None and now - self._probed_at < _PROBE_FOR:
            return False
        self._probed_at = now
        return True

    def well(self) -> None:
        """Somebody got through. What it has said of its next hours holds all the same."""
        self._since, self.is_spent = None, False
        if self.out_until and not self.is_out:
            self.out_until = 0.0

    def in_trouble(self) -> float:
        """Somebody did not get through: for how many seconds nobody has."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        return now - self._since

    def goes_out(self, seconds: float) -> None:
        """For so long."""
        self.out_until = max(self.out_until, self._clock.monotonic() + seconds)
