"""List-Unsubscribe (RFC 2369) and, where there is an https page, its one-click twin (RFC 8058)."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

from connect.channels.addresses import email_address
from connect.channels.fields import line
from connect.channels.headers import field
from connect.channels.parts import Refused, UnsubscribeHeaders
from connect.vocabulary import Reason

_ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
_ONE_CLICK_FIELD = field(*_ONE_CLICK)

Fields = tuple[tuple[tuple[str, str], ...], str]
"""Headers, and the same as they stand on the wire."""


def unsubscribe_fields(targets: UnsubscribeHeaders | None) -> Fields:
    """The headers that say where to unsubscribe; none where there is no place."""
    if targets is None or not (targets.url or targets.mailto):
        return (), ""
    url = _url(targets.url) if targets.url else ""
    links, folded = _both(url, _mailto(targets.mailto)) if targets.mailto else _page(url)
    if url.startswith("https://") or url[:8].lower() == "https://":
        return (("List-Unsubscribe", links), _ONE_CLICK), folded + _ONE_CLICK_FIELD
    return (("List-Unsubscribe", links),), folded


def _page(url: str) -> tuple[str, str]:
    """What stands in the field, and the field: `_url` gives nothing that would have to be encoded or folded."""
    links = f"<{url}>"
    return links, f"List-Unsubscribe: {links}\r\n"


def _both(url: str, mailto: str) -> tuple[str, str]:
    links = f"<{url}>, <{mailto}>" if url else f"<{mailto}>"
    if not url or len(links) <= _ONE_LINE or not _stands(mailto):
        return links, field("List-Unsubscribe", links)
    return links, f"List-Unsubscribe: <{url}>,\r\n <{mailto}>\r\n"


_ONE_LINE = 58  # beside the name, the whole field is within the width: `field` need not fold


@lru_cache(maxsize=16)
def _stands(mailto: str) -> bool:
    """Whether it can stand in a line of its own, as it is."""
    return len(mailto) <= _LONGEST_URL and field("X", f"<{mailto}>") == f"X: <{mailto}>\r\n"


_LONGEST_URL = 900  # it can not be folded, and a line holds 998 octets
_URL_CHARACTERS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '<>"\\^`{|}')
# What `quote` and `urlsplit` could only agree with; nearly every link, and they take ten times as long.
_PLAIN_URL = re.compile(
    r"https?://[A-Za-z0-9.\-]+(?::[0-9]+)?(?:/[A-Za-z0-9/_.~%&=+\-]*)?(?:(?<!=)\?[A-Za-z0-9/_.~%&=+\-]*)?"
)


def _url(rendered: str) -> str:
    """A page's address in ASCII. A `=?` in it would read as an encoded word, so its `?` is escaped."""
    if len(rendered) <= _LONGEST_URL and _PLAIN_URL.fullmatch(rendered):
        return rendered
    url = quote(line("unsubscribe", rendered), safe=_URL_CHARACTERS).replace("=?", "=%3F")
    host = _host(url)
    if not url.lower().startswith(("https://", "http://")) or not host or "%" in host or len(url) > _LONGEST_URL:
        raise Refused(Reason.invalid_header, "unsubscribe")
    return url


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # brackets that hold no IPv6 address
        return ""


@lru_cache(maxsize=16)  # it is a setting of the project
def _mailto(rendered: str) -> str:
    """`mailto:` with an address that was checked, and the subject it may have."""
    target = line("unsubscribe", rendered).removeprefix("mailto:")
    address, question, rest = target.partition("?")
    checked = email_address(address)
    if checked is None or not checked.isascii() or len(rest) > _LONGEST_URL:
        raise Refused(Reason.invalid_header, "unsubscribe")
    return f"mailto:{checked}{question}{quote(rest, safe=_URL_CHARACTERS)}"
