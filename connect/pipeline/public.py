"""What of a campaign needs the project's own server, and says so before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

from connect.errors import Location, Problem
from connect.liquid.library import Library
from connect.project.campaigns import Loaded
from connect.project.message import EmailContent
from connect.project.project import Project
from connect.vocabulary import Channel

_HINT = "set `serve: {base_url: https://…}` in connect.yml to where `connect serve` can be reached"
_PERMALINKS = (("url", "permalink_link"), ("url", "permalink"))


def problems(project: Project, loaded: Loaded, library: Library) -> list[Problem]:
    """Tracking without a server, and messages to be seen in a browser that could not be."""
    if loaded.campaign is None:
        return []
    served = project.serve.base_url is not None
    found = [*_tracking(loaded)] if not served else []
    for content in loaded.campaign.message.content:
        for text, escape in content.liquid():
            for name in library.compile(text, escape=escape).names:
                if name.path[:2] in _PERMALINKS:
                    found += _permalink(content.channel, served, name.location)
    return list(dict.fromkeys(found))


def _tracking(loaded: Loaded) -> Iterator[Problem]:
    assert loaded.campaign is not None
    for number, content in enumerate(loaded.campaign.message.content):
        if isinstance(content, EmailContent) and content.track.asked:
            place = loaded.places.get(f"message.content.{number}.track")
            said = "`track` counts at the project's own server, and connect.yml does not say where that is"
            yield Problem("no-base-url", said, _HINT, place or Location(loaded.campaign.file, 1, 1))


def _permalink(channel: Channel, served: bool, place: Location) -> Iterator[Problem]:
    if channel is not Channel.email:
        said = f"only an e-mail can be seen in a browser, and this is the {channel} content"
        yield Problem("permalink-elsewhere", said, "leave `url.permalink_link` out here", place)
    elif not served:
        said = "a message is shown by the project's own server, and connect.yml does not say where that is"
        yield Problem("no-base-url", said, _HINT, place)
