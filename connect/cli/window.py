"""A window of time given by hand: which events `connect run --since … --until …` answers to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connect.errors import UserError
from connect.project.trigger import Event
from connect.schedule.times import given, in_zone, lasted

if TYPE_CHECKING:
    from connect.ledger.store import Ledger
    from connect.project.campaign import Campaign
    from connect.vocabulary import Mode

Window = tuple[datetime, datetime]
"""Events after the one, up to the other."""


def from_options(campaign: Campaign, since: str | None, until: str | None, now: datetime) -> Window | None:
    """The window that was typed; None where none was. Raises UserError when it can not be one."""
    if since is None and until is None:
        return None
    if not isinstance(campaign.trigger, Event):
        said = f"{campaign.name} answers to no events, so there is no window to run it for"
        raise UserError.of("bad-window", said, "`--since` and `--until` are for campaigns with an event trigger")
    if since is None or until is None:
        alone = "--until" if since is None else "--since"
        hint = "a window has both ends: the events after `--since`, up to `--until`"
        raise UserError.of("bad-window", f"`{alone}` is given alone", hint)
    zone = campaign.trigger.timezone
    return _in_order(given(since, zone, "--since"), given(until, zone, "--until"), now)


def _in_order(since: datetime, until: datetime, now: datetime) -> Window:
    if until <= since:
        hint = "the events after `--since`, up to `--until`"
        raise UserError.of("bad-window", "`--until` is not after `--since`", hint)
    if until > now:
        said = "`--until` has not come yet: events from now until then would be in no run"
        raise UserError.of("bad-window", said, "give a time that has passed, and run the rest when it has")
    return since, until


def check(campaign: Campaign, window: Window | None, ledger: Ledger, mode: Mode, command: str, now: datetime) -> None:
    """Refuse an event campaign without a window to run, and another window than that of a run that has to go on."""
    if not isinstance(campaign.trigger, Event):
        return
    unfinished = ledger.unfinished(mode, campaign.name)
    if window is None and unfinished is None and not ledger.queued(mode, campaign.name):
        said = f"{campaign.name} answers to events, and nothing says to which: only the daemon knows what is next"
        hint = f"those of the last hour: `{command} {_last_hour(campaign, now)}`"
        raise UserError.of("window-needed", said, hint)
    if window is not None and unfinished is not None and window != (unfinished.since, unfinished.until):
        said = f"run {unfinished.id} for another window is unfinished"
        hint = f"`{command}` goes on with it, `connect runs cancel {unfinished.id}` ends it"
        raise UserError.of("window-unfinished", said, hint)


def _last_hour(campaign: Campaign, now: datetime) -> str:
    """The options as one types them."""
    until = now.astimezone(ZoneInfo(campaign.trigger.timezone)).replace(second=0, microsecond=0)
    since = (until.astimezone(ZoneInfo("UTC")) - timedelta(hours=1)).astimezone(until.tzinfo)
    return f"--since {since:%Y-%m-%dT%H:%M} --until {until:%Y-%m-%dT%H:%M}"


def in_words(since: datetime, until: datetime, zone: str) -> str:
    """`after Fri 2026-11-20 00:00 AEDT, up to Sat 2026-11-21 00:00 AEDT (24 hours)`."""
    return f"after {in_zone(since, zone)}, up to {in_zone(until, zone)} ({lasted(until - since)})"
