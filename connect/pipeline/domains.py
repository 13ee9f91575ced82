"""What the DNS says of the domains that e-mails are from: SPF, DKIM and DMARC. Asked only where somebody wants it.

Documented in RFC 7208 (SPF), RFC 6376 (DKIM) and RFC 7489 (DMARC); that large mailboxes want all three of who sends in
bulk, at support.google.com/a/answer/81126.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connect.errors import Problem, Severity
from connect.pipeline.senders import Signing, organisation

if TYPE_CHECKING:
    from dns.resolver import Resolver

_ANSWER_WITHIN = 2.0
_ANSWERS_WITHIN = 5.0
"""Seconds: of one name server, and of all of them."""


def system_resolver() -> Resolver | None:
    """The machine's own; None where it has none."""
    from dns.exception import DNSException
    from dns.resolver import Resolver

    try:
        made = Resolver()
    except (DNSException, OSError):
        return None
    made.timeout, made.lifetime = _ANSWER_WITHIN, _ANSWERS_WITHIN
    return made


class Lookups:
    """Questions to the DNS, each asked once. A resolver that lets one time out is not asked again."""

    def __init__(self, resolver: Resolver | None) -> None:
        self._resolver = resolver
        self._known: dict[str, tuple[str, ...] | None] = {}

    def texts(self, name: str) -> tuple[str, ...] | None:
        """The TXT records of a name; None where nobody answers."""
        if name not in self._known:
            self._known[name] = self._ask(name) if self._resolver else None
        return self._known[name]

    def _ask(self, name: str) -> tuple[str, ...] | None:
        from dns.exception import DNSException, Timeout
        from dns.resolver import NXDOMAIN

        assert self._resolver is not None
        try:
            answer = self._resolver.resolve(f"{name}.", "TXT", raise_on_no_answer=False, search=False)
        except NXDOMAIN:
            return ()
        except Timeout:
            self._resolver = None
            return None
        except (DNSException, OSError, UnicodeError):
            return None
        return tuple(b"".join(record.strings).decode(errors="replace") for record in answer.rrset or ())


@dataclass(frozen=True)
class Records:
    """What was found of one domain."""

    domain: str
    summary: str
    """In a few words: `SPF ~all · DKIM s1 · DMARC p=reject`."""
    problems: tuple[Problem, ...] = ()
    """Warnings, without places."""
    notes: tuple[str, ...] = ()
    """What could not be asked."""


@dataclass
class _Looking:
    """A domain that is looked at."""

    domain: str
    lookups: Lookups
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def texts(self, name: str, what: str) -> tuple[str, ...] | None:
        found = self.lookups.texts(name)
        if found is None:
            self.notes.append(f"{what} of {self.domain}: the resolver does not answer")
        return found

    def warn(self, code: str, message: str, hint: str) -> None:
        self.problems.append(Problem(code, message, hint, None, Severity.warning))


def look_up(domain: str, signings: Collection[Signing], elsewhere: Collection[str], lookups: Lookups) -> Records:
    """What the DNS says of a domain that e-mails are from.

    signings: of the accounts that sign themselves. elsewhere: the names of those whose provider signs.
    """
    looking = _Looking(domain, lookups)
    words = [_spf(looking), *_dkim(looking, signings, elsewhere), _dmarc(looking)]
    return Records(domain, " · ".join(filter(None, words)), tuple(looking.problems), tuple(looking.notes))


def _spf(looking: _Looking) -> str:
    domain = looking.domain
    texts = looking.texts(domain, "SPF")
    if texts is None:
        return ""
    records = [text for text in texts if re.match(r"v=spf1(\s|$)", text, re.IGNORECASE)]
    if not records:
        hint = f'publish a TXT record at {domain}, with what your provider asks for: "v=spf1 include:… -all"'
        looking.warn("no-spf", f"{domain} has no SPF record, so nobody can tell who may send for it", hint)
        return "no SPF"
    if len(records) > 1:
        said = f"{domain} has {len(records)} SPF records, and mailboxes then read none"
        looking.warn("bad-spf", said, "make one of them")
        return "several SPF"
    end = re.search(r"(?:^|\s)([-~?+]?all|redirect=\S+)\s*$", records[0], re.IGNORECASE)
    if end and end[1].lower() in ("all", "+all"):
        said = f"the SPF record of {domain} lets anybody send in its name"
        looking.warn("bad-spf", said, "end it with `-all` or `~all`")
    return f"SPF {end[1]}" if end else "SPF"


def _dkim(looking: _Looking, signings: Collection[Signing], elsewhere: Collection[str]) -> Iterator[str]:
    for signing in signings:
        if signing.selector:
            yield _key(looking, signing)
    if elsewhere:
        names = ", ".join(f"`{name}`" for name in sorted(elsewhere))
        looking.notes.append(f"DKIM of {looking.domain}: {names} signs; the provider's own page has the selector")


def _key(looking: _Looking, signing: Signing) -> str:
    name = f"{signing.selector}._domainkey.{signing.domain}"
    texts = looking.texts(name, "DKIM")
    if texts is None:
        return ""
    keys = [_tags(text).get("p") for text in texts if "=" in text]
    if not texts:
        said = f"there is no DKIM key at {name}, so signatures can not be checked"
        looking.warn("no-dkim", said, "publish the public half of the account's key there, as a TXT record")
        return "no DKIM"
    if not any(keys):
        said = f"what stands at {name} is no DKIM key, or one that was revoked"
        looking.warn("bad-dkim", said, 'it looks like "v=DKIM1; k=rsa; p=…"')
        return "bad DKIM"
    return f"DKIM {signing.selector}"


def _dmarc(looking: _Looking) -> str:
    domain = looking.domain
    for owner in dict.fromkeys((domain, organisation(domain))):
        texts = looking.texts(f"_dmarc.{owner}", "DMARC")
        if texts is None:
            return ""
        if records := [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]:
            return _policy(looking, owner, records)
    hint = f'publish a TXT record at _dmarc.{organisation(domain)}: "v=DMARC1; p=none" is a beginning'
    looking.warn("no-dmarc", f"{domain} has no DMARC record, and large mailboxes refuse bulk e-mail without one", hint)
    return "no DMARC"


def _policy(looking: _Looking, owner: str, records: list[str]) -> str:
    if len(records) > 1:
        said = f"_dmarc.{owner} has {len(records)} DMARC records, and mailboxes then read none"
        looking.warn("bad-dmarc", said, "make one of them")
        return "several DMARC"
    tags = _tags(records[0])
    policy = (tags.get("sp") if owner != looking.domain else None) or tags.get("p", "")
    if policy.lower() not in ("none", "quarantine", "reject"):
        looking.warn(
            "bad-dmarc", f"the DMARC record of {owner} has no policy", "`p=none`, `p=quarantine` or `p=reject`"
        )
        return "bad DMARC"
    return f"DMARC p={policy}"


def _tags(record: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}
