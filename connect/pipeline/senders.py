"""Who e-mails are from, and for whom they are signed: what DMARC (RFC 7489) compares."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connect.channels.addresses import email_address
from connect.errors import Location
from connect.pipeline.literal import OUTPUT, Literal
from connect.project.message import EmailContent
from connect.project.project import Project


@dataclass(frozen=True)
class Sender:
    """The domain that a content's e-mails are from, where it is written out."""

    domain: str
    """In lower case; an international one in its ASCII form."""
    location: Location


@dataclass(frozen=True)
class Signing:
    """The domain that an account signs e-mails for (DKIM), and the name of its key."""

    domain: str
    selector: str


_DOMAIN = re.compile(r"@([^\s@<>\x00]+)[\s>]*$")


def sender(content: EmailContent) -> Sender | None:
    blanked = Literal(content.sender).blanked
    found = _DOMAIN.search(blanked)
    if found is None or OUTPUT in blanked[found.start() : found.end()]:
        return None
    checked = email_address(f"x@{found[1]}")
    domain = checked.partition("@")[2] if checked else found[1].lower()
    return Sender(domain, content.sender.at(found.start(1)))


def signings(project: Project, content: EmailContent) -> dict[str, tuple[Signing, ...]]:
    """Account → how it signs, with one key or several, for those that sign themselves."""
    found = {}
    for name in content.provider.names:
        entry = project.providers.get(name)
        dkim = getattr(entry.settings, "dkim", None) if entry else None
        keys = dkim if isinstance(dkim, tuple) else (dkim,)
        if signed := tuple(map(_signing, filter(None, keys))):
            found[name] = signed
    return found


def _signing(dkim: object) -> Signing:
    return Signing(str(getattr(dkim, "domain", "")).lower(), str(getattr(dkim, "selector", "")))


_FREE = frozenset(
    {"126.com", "163.com", "aol.com", "bigpond.com", "bol.com.br", "btinternet.com", "comcast.net", "daum.net"}
    | {"fastmail.com", "free.fr", "gmail.com", "googlemail.com", "hey.com", "icloud.com", "laposte.net", "libero.it"}
    | {"mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com", "orange.fr", "proton.me", "protonmail.com"}
    | {"qq.com", "rediffmail.com", "rocketmail.com", "t-online.de", "tutanota.com", "uol.com.br", "web.de", "ymail.com"}
)
_FREE_EVERYWHERE = frozenset({"gmx", "hotmail", "live", "outlook", "yahoo", "yandex"})
"""Under the top of many countries: yahoo.co.uk, gmx.de."""


def is_free_mail(domain: str) -> bool:
    first, _, rest = domain.partition(".")
    return domain in _FREE or (first in _FREE_EVERYWHERE and rest.count(".") < 2 and len(rest) < 7)


def are_aligned(domain: str, other: str) -> bool:
    """Whether DMARC takes them for one in its relaxed mode (RFC 7489, section 3.1): of one organisation."""
    return organisation(domain) == organisation(other)


_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org"})


def organisation(domain: str) -> str:
    """The domain that somebody has registered, by its shape: a list of all public suffixes would be stale tomorrow."""
    labels = domain.lower().rstrip(".").split(".")
    return ".".join(labels[-3:] if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else labels[-2:])
