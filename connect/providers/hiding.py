"""A provider's own words, without whoever they name: servers repeat addresses, names, and what else they were sent."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, unquote

from connect.channels.message import Email, Mailbox, Outgoing, Push, Request, Sms
from connect.redact import HIDDEN

_TELLING_DIGITS, _BETWEEN_DIGITS = 7, r"[\s().\-/]*"
_LONGEST_DETAIL = 200
_LONGEST_READ = 20_000
_WORD = re.compile(r"[^\s<>\"'()]+")
# A link begins where its scheme does, so that a page without spaces is not gone through again from each letter.
_LINK = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s<>\"']+|=\?[^?\s]+\?[bq]\?[^?]*\?=", re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"]+)\"|'([^']+)'|<([^<>]+)>|`([^`]+)`")


def hide(text: str, outgoing: Outgoing, *mates: Outgoing) -> str:
    """A provider's own words, in one line of at most 200 characters, without anything that tells who was written to.

    Hidden are the addresses (also their parts), names, phone number and subject of the message, its key, its header
    values, whatever looks like an address or a link, and what the provider repeats of the body, in quotes or without.
    `mates` are other messages of the same call, which the provider may have meant.
    """
    line = " ".join(text[:_LONGEST_READ].split())
    line = _WORD.sub(_without_address, line) if "@" in line else line
    line = _LINK.sub(HIDDEN, line)
    for name in (outgoing.correlation_id, outgoing.correlation_id.rpartition(".")[2], outgoing.key.hex()):
        line = line.replace(name, HIDDEN)
    for value in sorted(_telling(outgoing), key=len, reverse=True):
        line = _standing_alone(value).sub(HIDDEN, line)
    line = _hide_quotes(line, outgoing)
    line = _hide_repeated(line, (outgoing, *mates))
    line = line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"
    return line if line.isprintable() else _shown(line)


def _shown(line: str) -> str:
    """Without what a terminal would obey, and without halves of characters, which no ledger can keep."""
    return "".join([character if character.isprintable() else "?" for character in line])


def _without_address(word: re.Match[str]) -> str:
    return HIDDEN if "@" in word.group()[1:-1] else word.group()


def _telling(outgoing: Outgoing) -> set[str]:
    """Every value of the envelope that names a person, whole and in the parts that servers like to repeat."""
    message = outgoing.message
    if isinstance(message, Sms):
        return {message.to, " ".join(message.body.split()), message.sender} - {""}
    if isinstance(message, Push):
        shown = (message.title, message.body, message.url, message.image, *(value for _, value in message.data))
        return {message.address, *(" ".join(value.split()) for value in shown)} - {""}
    if isinstance(message, Request):
        values = [*_of_url(message.to), *_of_body(message.body)]
        words = [word for value in values for word in value.split() if len(word) > 2]
        return {message.to, *(value for _, value in message.headers), *values, *words} - {""}
    found = {" ".join(message.subject.split())}
    for mailbox in _mailboxes(message):
        found |= {mailbox.address, *mailbox.address.rsplit("@", 1), mailbox.name}
        found |= {word for word in mailbox.name.split() if len(word) > 2}
    found |= {" ".join(value.split()) for _, value in message.headers}
    return found - {""}


def _of_url(url: str) -> list[str]:
    """Whom a URL names: the steps of its path and the values of its query, as they stand and as they are read."""
    parts = [part.rpartition("=")[2] for part in _STEPS.split(url.partition("://")[2])[1:]]
    return [" ".join(each.split()) for part in parts for each in (part, unquote(part)) if len(each) > 2]


_STEPS = re.compile(r"[/?&#]")
_MOST_VALUES, _LONGEST_BODY = 500, 1 << 16


def _of_body(body: bytes) -> list[str]:
    """The values in a body of JSON, or in a form: an endpoint repeats what it does not understand."""
    text = body[:_LONGEST_BODY].decode(errors="replace")
    try:
        found = _leaves(json.loads(text))
    except (ValueError, RecursionError):
        found = [value for _, value in parse_qsl(text)]
    return [line for each in found[:_MOST_VALUES] if len(line := " ".join(each.split())) > 2]


def _leaves(tree: object) -> list[str]:
    """Texts, and numbers of so many digits that they are somebody's."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    if isinstance(tree, list):
        return [leaf for value in tree for leaf in _leaves(value)]
    if isinstance(tree, int) and abs(tree) >= 10 ** (_TELLING_DIGITS - 1):
        return [str(abs(tree))]
    return [tree] if isinstance(tree, str) else []


def _mailboxes(email: Email) -> Iterator[Mailbox]:
    yield from (email.sender, *email.to, *email.cc, *email.bcc, *email.reply_to)


def _standing_alone(value: str) -> re.Pattern[str]:
    """This value, in any case, not inside a longer word.

    A phone number also as people write it: spaced, with 00 for the +, or as it is dialled at home, by its last digits.
    """
    digits = value.lstrip("+")
    if digits.isdigit() and len(digits) >= _TELLING_DIGITS:
        last = _BETWEEN_DIGITS.join(digits[-_TELLING_DIGITS:])
        return re.compile(rf"(?<!\d)\+?(?:\d{_BETWEEN_DIGITS}){{0,12}}{last}(?!\d)")
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)


def _hide_quotes(line: str, outgoing: Outgoing) -> str:
    """The line without the quotations that stand in the message's own text."""
    own = " ".join(outgoing.message.said.split()).lower()

    def quoted(match: re.Match[str]) -> str:
        inner = next(group for group in match.groups() if group is not None)
        return HIDDEN if inner.strip().lower() in own else match.group()

    return _QUOTED.sub(quoted, line)


_SAID_WORD = re.compile(r"\w+")
_RUN = re.compile(r"\*\*\*(?:\W{1,3}\*\*\*)+")
_ENGLISH = """
a an and any are as at be been by can code dear does error for from has have hello hi if in is it its may message must
no not of on only or our out please see sent so that the there this to up us was we will with you your
"""
_SMALL = frozenset(_ENGLISH.split())
"""Words that say nothing about anybody, wherever they stand."""


def _hide_repeated(line: str, messages: Sequence[Outgoing]) -> str:
    """The line without what it repeats of the messages: names and numbers, and two words that follow one another."""
    words = [match.group().lower() for match in _SAID_WORD.finditer(line)]
    names, pairs = _repeatable(set(words), messages)
    hidden = {at for at, word in enumerate(words) if word in names}
    hidden |= {at + step for at, pair in enumerate(itertools.pairwise(words)) if pair in pairs for step in (0, 1)}
    hidden -= {at for at in hidden if words[at] in _SMALL}
    if not hidden:
        return line
    places = itertools.count()
    line = _SAID_WORD.sub(lambda match: HIDDEN if next(places) in hidden else match.group(), line)
    return _RUN.sub(HIDDEN, line)


def _repeatable(said: set[str], messages: Sequence[Outgoing]) -> tuple[set[str], set[tuple[str, str]]]:
    """Of the words that were said, those that the messages have as names or numbers; and neighbours in a message."""
    names: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for outgoing in messages:
        own = _SAID_WORD.findall(" ".join((outgoing.message.said, *_telling(outgoing))))
        lower = [word.lower() for word in own]
        if said.isdisjoint(lower):
            continue
        names |= {low for word, low in zip(own, lower, strict=True) if low in said and _is_a_name(word)}
        pairs |= {pair for pair in itertools.pairwise(lower) if pair[0] in said and pair[1] in said}
    return names, pairs


def _is_a_name(word: str) -> bool:
    """Or a number, or a word of a language that is not written in ASCII."""
    return word != word.lower() or not word.isascii() or (len(word) > 1 and not word.isalpha())
