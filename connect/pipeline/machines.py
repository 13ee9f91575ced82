"""Whether a program came to a link, and not a person. By what it says of itself; nothing of it is kept.

Proxies that fetch a picture when somebody opens the message (Gmail's, Yahoo's) are that somebody. Those that fetch it
when the message arrives say nothing about its reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

READERS = ("googleimageproxy", "yahoomailproxy")
"""In the user agent of proxies that fetch when a person opens the message."""

PRIVACY = "Mozilla/5.0"
"""The whole user agent of Apple's Mail Privacy Protection, which fetches every picture of every message (seen 2021 and
on; no browser says just this)."""

PROGRAMS: Mapping[str, str] = {
    "barracuda": "Barracuda's link protection",
    "mimecast": "Mimecast's URL protection",
    "proofpoint": "Proofpoint's URL defense",
    "trendmicro": "Trend Micro's web reputation",
    "forcepoint": "Forcepoint's link protection",
    "fortiguard": "Fortinet's web filter",
    "symantec": "Symantec's click-time protection",
    "bingpreview": "Microsoft's previews, Safe Links among them",
    "microsoft office existence discovery": "Office, that looks whether a link is there",
    "ms-office": "Office, that loads what a document holds",
    "skypeuripreview": "Skype's and Teams' previews",
    "slackbot": "Slack's previews",
    "slack-imgproxy": "Slack's previews",
    "whatsapp": "WhatsApp's previews",
    "telegrambot": "Telegram's previews",
    "discordbot": "Discord's previews",
    "facebookexternalhit": "Facebook's previews",
    "twitterbot": "X's previews",
    "linkedinbot": "LinkedIn's previews",
    "headlesschrome": "a browser without a window",
    "phantomjs": "a browser without a window",
    "python": "a script",
    "curl/": "a script",
    "wget/": "a script",
    "go-http-client": "a script",
    "java/": "a script",
    "apache-httpclient": "a script",
    "libwww-perl": "a script",
    "node-fetch": "a script",
    "axios/": "a script",
    "ruby": "a script",
}
"""What stands in the user agent of scanners, previews and scripts, in lower case, and who that is."""

# Cubot makes telephones.
_CRAWLER = re.compile(r"(?<!cu)bot\b|crawl|spider|scan(?:ner)?\b|monitor|prefetch|preview", re.IGNORECASE)
_FETCHED_AHEAD = ("purpose", "sec-purpose", "x-purpose", "x-moz")
"""Headers in which browsers say that nobody has clicked yet: `prefetch`, `preview`, `prerender`."""
_AHEAD = re.compile(r"prefetch|preview|prerender", re.IGNORECASE)


def is_machine(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is a program's own. `headers` by their names in lower case."""
    agent = headers.get("user-agent", "").strip()
    if method == "HEAD" or not agent or agent == PRIVACY:
        return True
    if any(_AHEAD.search(headers.get(name, "")) for name in _FETCHED_AHEAD):
        return True
    lowered = agent.lower()
    if any(reader in lowered for reader in READERS):
        return False
    return any(program in lowered for program in PROGRAMS) or _CRAWLER.search(lowered) is not None
