"""The accounts that a campaign sends by, for people to read before they say yes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connect.project.campaign import Campaign
    from connect.project.project import Project
    from connect.project.route import Route
    from connect.vocabulary import Channel


def in_words(project: Project, campaign: Campaign) -> list[str]:
    """A line for all channels where they go the same way, else one for each: `sms by texts (twilio)`.

    Accounts stand in the order in which one takes over from another: `mail (ses), else relay (smtp)`.
    """
    ways: dict[str, list[Channel]] = {}
    for content in campaign.message.content:
        channels = ways.setdefault(_way(project, content.provider), [])
        if content.channel not in channels:
            channels.append(content.channel)
    if len(ways) == 1:
        (way,) = ways
        return [way.removeprefix("by ")]
    return [f"{' and '.join(channels)} {way}" for way, channels in ways.items()]


def _way(project: Project, route: Route) -> str:
    """`by mail (ses)`; by platform `to ios by apple (apns); to android and web by google (fcm)`."""
    if not route.by_platform:
        return f"by {_accounts(project, route.accounts)}"
    return "; ".join(f"to {devices} by {_accounts(project, names)}" for devices, names in _by_platform(route))


def _by_platform(route: Route) -> Iterator[tuple[str, Sequence[str]]]:
    platforms: dict[tuple[str, ...], list[str]] = {}
    for platform, names in route.platforms.items():
        platforms.setdefault(names, []).append(platform.value)
    for names, devices in platforms.items():
        yield " and ".join(devices), names
    if route.accounts:
        yield "other devices", route.accounts


def _accounts(project: Project, names: Sequence[str]) -> str:
    return ", else ".join(f"{name} ({project.providers[name].type})" for name in names)
