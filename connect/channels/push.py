"""Rendered strings become a push message, or the reason why they can not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from connect.channels.http import http_url
from connect.channels.message import Device, Push
from connect.channels.parts import Bad
from connect.vocabulary import Reason

MOST_BYTES = 4096
"""Of all texts together, in UTF-8. APNs and FCM take no larger payload; what providers add to it they check."""
MOST_COLLAPSE_KEY_BYTES = 64
"""documented at developer.apple.com, Sending notification requests to APNs, `apns-collapse-id`"""


def build_push(
    device: Device,
    *,
    title: str,
    body: str,
    data: Sequence[tuple[str, str]] = (),
    image: str = "",
    badge: str = "",
    sound: str = "",
    url: str = "",
    ttl: timedelta | None = None,
    collapse_key: str = "",
    ios: Mapping[str, object] | None = None,
    android: Mapping[str, object] | None = None,
) -> Push | Bad:
    """The push message for these parts, which may all be blank. They are trimmed, but `data`, which is the app's."""
    number, picture, link = badge.strip(), _checked(image, http_url), _checked(url, opened_url)
    if number and not _BADGE.fullmatch(number):
        return Bad(Reason.render_error, "badge")
    if picture is None or link is None:
        return Bad(Reason.invalid_url, "image" if picture is None else "url")
    made = Push(
        device=device,
        title=_text(title),
        body=_text(body),
        data=tuple((name, _whole(value)) for name, value in data),
        image=picture,
        badge=int(number) if number else None,
        sound=_text(sound),
        url=link,
        ttl=ttl,
        collapse_key=_text(collapse_key),
        ios=ios or {},
        android=android or {},
    )
    return _key_problem(made) or _size_problem(made) or made


_BADGE = re.compile(r"[0-9]{1,5}")


def _checked(url: str, check: Callable[[str], str | None]) -> str | None:
    """Blank stays blank; None is what can not be a URL."""
    return check(url) if url and not url.isspace() else ""


_APP_URL = re.compile(r"([a-z][a-z0-9+.-]*):[^\s\\]+", re.IGNORECASE)
_NEVER_OPENED = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})


def opened_url(text: str) -> str | None:
    """What a tap may open: a web page, or a place in an app (`acme://orders/7`); None for anything else."""
    trimmed = text.strip()
    match = _APP_URL.fullmatch(trimmed)
    scheme = match[1].lower() if match and trimmed.isprintable() else ""
    if scheme in ("http", "https"):
        return http_url(trimmed)
    return trimmed if scheme and scheme not in _NEVER_OPENED else None


_HALVES = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    """Halves of characters are replaced: JSON cells can hold them, and UTF-8 can not."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


def _text(text: str) -> str:
    return _whole(text).strip()


def _key_problem(push: Push) -> Bad | None:
    key = push.collapse_key
    if not key.isprintable():  # it goes into a header
        return Bad(Reason.invalid_header, "collapse_key")
    return Bad(Reason.content_too_large, "collapse_key") if _bytes(key) > MOST_COLLAPSE_KEY_BYTES else None


def _size_problem(push: Push) -> Bad | None:
    """The largest of the texts is to blame."""
    sizes = {name: _bytes(getattr(push, name)) for name in ("title", "body", "image", "sound", "url")}
    sizes["data"] = sum(_bytes(name) + _bytes(value) for name, value in push.data)
    if sum(sizes.values()) <= MOST_BYTES:
        return None
    return Bad(Reason.content_too_large, max(sizes, key=sizes.__getitem__))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
