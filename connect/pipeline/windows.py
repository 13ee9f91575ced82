"""When one delivery may be sent: the moment that it is meant for, quiet hours, and when it comes too late."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Self

from connect.channels.zones import Place
from connect.pipeline import quiet
from connect.pipeline.deliveries import Ended
from connect.pipeline.lint import address_columns
from connect.pipeline.quiet import Clock, Quiet
from connect.project.campaign import Campaign
from connect.project.policy import Batches, QuietHours
from connect.project.trigger import Recurring, Scheduled, Trigger
from connect.schedule.due import local_instant
from connect.vocabulary import Channel, Mode, Outcome, Reach, Reason

IN_QUIET_HOURS = Ended(Outcome.skipped, Reason.quiet_hours)
EXPIRED = Ended(Outcome.skipped, Reason.expired)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which a delivery may be sent: from `opens` to before `closes`; None is for ever."""

    opens: datetime
    closes: datetime | None = None

    def holds(self, instant: datetime) -> bool:
        return self.opens <= instant and (self.closes is None or instant < self.closes)


@dataclass(frozen=True)
class Windows:
    """When each delivery of one run may be sent. Pure, and the same on every machine; it can be pickled.

    The moment that a delivery is meant for is the fire time or, with `local_time`, the instant at which the fire
    time's wall time comes where the person is. Where that is quiet, the delivery opens when the quiet hours end.
    """

    trigger: Trigger
    fire_time: datetime
    zone: str
    """The project's: whose clock counts where nobody knows better."""
    channels: tuple[Channel, ...]
    reach: Reach
    written: QuietHours | None
    """None for a transactional message too."""
    sms_default: bool
    """Text messages for which nothing is written keep the default hours."""
    expires_after: timedelta | None
    batches: Batches | None
    live: bool
    """Only a live run waits for anything."""
    phone: str
    """The column whose numbers tell where people are."""

    @classmethod
    def of_run(
        cls, campaign: Campaign, *, fire_time: datetime, zone: str, mode: Mode, reaches: Collection[Channel]
    ) -> Self:
        """`zone` is the project's, `reaches` are the channels whose accounts reach people."""
        policy, transactional = campaign.policy, campaign.message.transactional
        return cls(
            trigger=campaign.trigger,
            fire_time=fire_time.astimezone(UTC),
            zone=zone,
            channels=tuple(dict.fromkeys(content.channel for content in campaign.message.content)),
            reach=policy.reach,
            written=None if transactional else policy.quiet_hours,
            sms_default=Channel.sms in reaches and not transactional,
            expires_after=policy.expires_after,
            batches=policy.batches,
            live=mode is Mode.live,
            phone=address_columns(campaign).get(Channel.sms, "phone_number"),
        )

    @property
    def waits(self) -> bool:
        """Whether anybody may have to wait, or may come too late. Where it is False a run needs no `Turn`."""
        sms = self.sms_default and Channel.sms in self.channels
        return self.live and bool(self._local or self.written or sms or self.expires_after)

    @property
    def _local(self) -> bool:
        return isinstance(self.trigger, Scheduled | Recurring) and self.trigger.local_time

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # One delivery

    def of(self, channel: Channel, place: Place) -> Window | Ended:
        """When a delivery may be sent first, and until when; or how it ends because it can not be."""
        return self.together((channel,), place)

    def together(self, channels: tuple[Channel, ...], place: Place) -> Window | Ended:
        """The window that is right for each of these channels: of `reach: first`, any of them may turn out to be it."""
        asked = channels, place
        if asked not in self._found:
            self._found[asked] = self._window(channels, place)
        return self._found[asked]

    @cached_property
    def _found(self) -> dict[tuple[tuple[Channel, ...], Place], Window | Ended]:
        return {}

    def _window(self, channels: tuple[Channel, ...], place: Place) -> Window | Ended:
        meant, clocks = self.meant(place), self.clocks(channels, place)
        opens = quiet.ends(clocks, meant)
        if opens is None or any(clock.quiet.skips and clock.is_quiet(meant) for clock in clocks):
            return IN_QUIET_HOURS
        if self.is_late(place, opens):
            return EXPIRED
        return Window(opens, quiet.begins(clocks, opens))

    def late(self, channels: tuple[Channel, ...], place: Place, window: Window) -> Ended | None:
        """How a delivery ends that can only be sent in this window, which may not be its own; None if it may be."""
        own, clocks = self.together(channels, place), self.clocks(channels, place)
        if isinstance(own, Ended):
            return own
        closed = own.closes is not None and window.opens >= own.closes
        becomes_quiet = quiet.begins(clocks, window.opens)
        if window.opens < own.opens or (closed and any(clock.quiet.skips for clock in clocks)):
            return IN_QUIET_HOURS
        if becomes_quiet is not None and (window.closes is None or becomes_quiet < window.closes):
            return IN_QUIET_HOURS
        return EXPIRED if self.is_late(place, window.opens) else None

    def meant(self, place: Place) -> datetime:
        """The moment that deliveries to this place are meant for: where it may be several, it has come in all."""
        if not (self.live and self._local):
            return self.fire_time
        return max(self._local_instant(zone) for zone in self._zones(place))

    def _local_instant(self, zone: str) -> datetime:
        if zone not in self._instants:
            self._instants[zone] = local_instant(self.trigger, self.fire_time, zone)
        return self._instants[zone]

    @cached_property
    def _instants(self) -> dict[str, datetime]:
        return {}

    def expires(self, place: Place) -> datetime | None:
        """After this, a delivery to this place is skipped."""
        return self.meant(place) + self.expires_after if self.live and self.expires_after else None

    def is_late(self, place: Place, instant: datetime) -> bool:
        """Whether a delivery to this place has expired by then."""
        expires = self.expires(place)
        return expires is not None and instant > expires

    def _zones(self, place: Place) -> tuple[str, ...]:
        """Of several that it may be, the project's is taken to be it."""
        return (self.zone,) if self.zone in place.zones or not place.zones else place.zones

    def clocks(self, channels: tuple[Channel, ...], place: Place) -> frozenset[Clock]:
        """The clocks by which it has to be no quiet hour."""
        hours = {hours for channel in channels if (hours := self._quiet(channel, place.country))}
        zones = self._zones(place)
        return frozenset(Clock(one, zone) for one in hours for zone in ((self.zone,) if one.by_project else zones))

    def _quiet(self, channel: Channel, country: str) -> Quiet | None:
        if not self.live:
            return None
        return quiet.quiet_hours(self.written, channel, country, sms_default=self.sms_default)
