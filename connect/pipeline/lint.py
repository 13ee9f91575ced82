"""What can be known to be wrong before anything runs: templates, SQL, and the names that join them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from connect.channels.addresses import mailboxes
from connect.channels.email import header_problem
from connect.channels.http import http_url, request_header_problem
from connect.channels.push import opened_url
from connect.errors import Location, Problem, UserError
from connect.liquid.library import Library
from connect.liquid.names import Name
from connect.pipeline.parameters import bindable, names
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.message import EmailContent, HttpContent, PushContent
from connect.project.suggest import nearest
from connect.project.text import Text, TextKind
from connect.project.trigger import Api, Event
from connect.vocabulary import Channel
from connect.warehouses import query

_NAMES = {
    "campaign": ("name", "description"),
    "run": ("id", "fire_time"),
    "url": ("unsubscribe_link", "unsubscribe", "permalink_link", "permalink"),
    "now": (),
}
_PARAMS = ("`audience.params` has no", "neither the trigger's `parameters` nor `audience.params` has")
_ROWS = ("user", "event")
"""The objects that are a row of the audience; the latter where that is the row of an event."""
_LATER = {
    "feed": "`feed.*` comes with data feeds",
}
_ANCHORS = (("url", "unsubscribe"), ("url", "permalink"))
_ONE_COLUMN = re.compile(r"\{\{-?\s*(?:user|event)\.(\w+)\s*(?:\|\s*(?:strip|downcase)\s*)*-?\}\}")


def text_problems(loaded: Loaded, library: Library, dialect: str) -> list[Problem]:
    """What is wrong inside the Liquid and SQL of a file, also of one whose YAML is wrong elsewhere."""
    problems: list[Problem] = []
    audience = loaded.campaign.audience if loaded.campaign else None
    for kind, text in loaded.texts:
        if kind is TextKind.sql:
            problems += query.check(
                text,
                dialect=dialect,
                parameters=bindable(loaded.campaign) if loaded.campaign else None,
                clock_warehouse=audience.clock_warehouse if audience else True,
                events=loaded.campaign is not None and isinstance(loaded.campaign.trigger, Event),
            )
        elif kind is TextKind.segment:
            clock = audience.clock_warehouse if audience else True
            problems += query.check(text, dialect=dialect, parameters=(), clock_warehouse=clock)
        elif kind is TextKind.conversions:
            continue  # of another warehouse, perhaps: `connect.pipeline.conversions`
        else:
            problems += _liquid_problems(text, library, escape=kind is TextKind.liquid_html)
    return [problem for problem in problems if not _is_used_in_liquid(problem, loaded)]


_SQL = (TextKind.sql, TextKind.segment, TextKind.conversions)


def _is_used_in_liquid(problem: Problem, loaded: Loaded) -> bool:
    """A parameter that the query does not bind may still be there for the content."""
    name = problem.message.split("`")[1] if problem.code == "unused-parameter" else ""
    return bool(name) and any(f"params.{name}" in text.source for kind, text in loaded.texts if kind not in _SQL)


def _liquid_problems(text: Text, library: Library, escape: bool) -> Iterable[Problem]:
    try:
        library.compile(text, escape=escape)
    except UserError as error:
        return error.problems
    return ()


def campaign_problems(campaign: Campaign, library: Library, columns: Collection[str]) -> list[Problem]:
    """What does not fit between a campaign's content and the columns that its query returns."""
    problems: list[Problem] = []
    for text, escape in contents(campaign):
        for name in library.compile(text, escape=escape).names:
            problem = _name_problem(name, campaign, columns) or _anchor_problem(name, escape)
            if problem is not None and problem not in problems:
                problems.append(problem)
    problems += [*_header_problems(campaign), *_literal_problems(campaign)]
    problems += [*_mailbox_problems(campaign), *_device_problems(campaign, columns)]
    return [*problems, *_address_problems(campaign)]


def contents(campaign: Campaign) -> Iterator[tuple[Text, bool]]:
    """Every Liquid text of a campaign's message, and whether it is HTML."""
    for content in campaign.message.content:
        yield from content.liquid()


def printed_without_default(campaign: Campaign, library: Library) -> dict[str, Location]:
    """Columns that a template prints as they are, with the first place; a null in one leaves a hole.

    Not those of `to`: people without an address are counted as such.
    """
    printed: dict[str, Location] = {}
    addresses = [content.addressed for content in campaign.message.content]
    for text, escape in contents(campaign):
        if text in addresses:
            continue
        for name in library.compile(text, escape=escape).names:
            if name.printed and not name.defaulted and name.path[0] in _ROWS and len(name.path) > 1:
                printed.setdefault(name.path[1], name.location)
    return printed


def _name_problem(name: Name, campaign: Campaign, columns: Collection[str]) -> Problem | None:
    root, *rest = name.path
    if later := _LATER.get(root):
        return Problem("not-yet-supported", f"{later} is not supported by this version", "", name.location)
    if root in _ROWS and root not in _rows(campaign):
        hint = "only campaigns with an event trigger have one: `trigger: {type: event, every: 5m}`"
        hint = f"write `user.{rest[0]}`" if rest and rest[0] in columns else hint
        return Problem("unknown-name", "there is no `event` in Liquid here", hint, name.location)
    if root in _ROWS:
        return _unknown(root, rest, columns, "the audience has no column", name.location)
    if root == "params":
        known = list(dict.fromkeys([*campaign.audience.params, *names(campaign.trigger)]))
        return _unknown("params", rest, known, _PARAMS[isinstance(campaign.trigger, Api)], name.location)
    if root in _NAMES:
        return _unknown(root, rest, _NAMES[root], f"`{root}` has no", name.location) if _NAMES[root] else None
    objects = [*_rows(campaign), "params", *_NAMES]
    hint = f"write `user.{root}`" if root in columns else _suggestion(root, objects, "")
    return Problem("unknown-name", f"there is no `{root}` in Liquid here", hint, name.location)


def _rows(campaign: Campaign) -> tuple[str, ...]:
    return _ROWS if isinstance(campaign.trigger, Event) else _ROWS[:1]


def _anchor_problem(name: Name, escape: bool) -> Problem | None:
    if escape or name.path[:2] not in _ANCHORS:
        return None
    written = ".".join(name.path[:2])
    return Problem(
        "anchor-in-text",
        f"`{written}` is an HTML link, and this is plain text",
        f"write `{written}_link`",
        name.location,
    )


def _unknown(root: str, rest: list[str], known: Collection[str], says: str, location: Location) -> Problem | None:
    if not rest or rest[0] in known:
        return None
    hint = _suggestion(rest[0], known, f"{root}.") or f"it has: {', '.join(sorted(known)) or 'nothing'}"
    return Problem("unknown-name", f"{says} `{rest[0]}`", hint, location)


def _suggestion(word: str, known: Collection[str], prefix: str) -> str:
    found = nearest(word, known)
    return f"did you mean `{prefix}{found}`?" if found else ""


def _header_problems(campaign: Campaign) -> Iterator[Problem]:
    for content in campaign.message.content:
        if isinstance(content, EmailContent | HttpContent):
            judge = header_problem if isinstance(content, EmailContent) else request_header_problem
            for name, text in content.headers.items():
                problem = judge(name)
                if problem:
                    place = text.location(1, 1) if isinstance(text, Text) else Location(campaign.file, 1, 1)
                    yield Problem("bad-header", f"`{name}`: {problem}", "", place)


def _literal_problems(campaign: Campaign) -> Iterator[Problem]:
    """Fields that say the same to everybody, and that nothing could be sent with."""
    for content in campaign.message.content:
        if isinstance(content, HttpContent) and _is_wrong(content.url, http_url):
            said = "no request can go to this `url`"
            yield Problem("bad-url", said, "percent-encode what is no part of a URL", _begin(content.url))
        elif isinstance(content, PushContent):
            if _is_wrong(content.image, http_url):
                yield Problem("bad-url", "`image` is not a URL", "it begins with https://", _begin(content.image))
            if _is_wrong(content.url, opened_url):
                hint = "a page (https://…) or a place in the app (acme://…)"
                yield Problem("bad-url", "`url` can not be opened", hint, _begin(content.url))
            if content.badge and "{" not in content.badge.source and not content.badge.source.strip().isdecimal():
                yield Problem("bad-value", "`badge` is not a number", "digits only", _begin(content.badge))


def _is_wrong(text: Text | None, read: Callable[[str], str | None]) -> bool:
    return text is not None and "{" not in text.source and read(text.source) is None


def _begin(text: Text | None) -> Location | None:
    return text.location(1, 1) if text else None


def _mailbox_problems(campaign: Campaign) -> Iterator[Problem]:
    """Addresses that are written out in a content: a bad one would refuse everybody, one by one."""
    for content in campaign.message.content:
        if isinstance(content, EmailContent):
            one = {"from": content.sender}
            several = {"cc": content.cc, "bcc": content.bcc, "reply_to": content.reply_to}
            for field, text in {**one, **several}.items():
                if text is not None and "{" not in text.source and not _are_mailboxes(text, single=field in one):
                    said = f"`{field}` is not {'an e-mail address' if field in one else 'a list of e-mail addresses'}"
                    yield Problem("bad-address", said, "write it as `Name <name@example.com>`", text.location(1, 1))


def _are_mailboxes(text: Text, *, single: bool) -> bool:
    found = mailboxes(text.source)
    return found is not None and (len(found) == 1 or not single)


def _device_problems(campaign: Campaign, columns: Collection[str]) -> Iterator[Problem]:
    """An audience that says nothing of devices: nobody would get a push message, and nothing would be wrong."""
    pushes = any(isinstance(content, PushContent) for content in campaign.message.content)
    written = campaign.audience.written  # of people who are written out, each has what is known of them
    if pushes and written and not {"channels", "device_token"} & set(columns):
        said = "the audience has neither `channels` nor `device_token`, which are the addresses of `push`"
        yield Problem("missing-column", said, "return one of them, or leave the push content out", written.at(0))


def address_columns(campaign: Campaign) -> Mapping[Channel, str]:
    """The audience column that holds each channel's address, where `to` is one column."""
    return {channel: columns[0] for channel, columns in _columns_by_channel(campaign).items() if columns[0]}


def _columns_by_channel(campaign: Campaign) -> dict[Channel, list[str]]:
    found: dict[Channel, list[str]] = {}
    for content in campaign.message.content:
        match = _ONE_COLUMN.fullmatch(content.addressed.source.strip()) if content.addressed else None
        found.setdefault(content.channel, []).append(match[1] if match else "")
    return found


def _address_problems(campaign: Campaign) -> Iterator[Problem]:
    """Marketing needs an address that the warehouse can compare with opt-outs before anything is read."""
    if campaign.message.transactional:
        return
    for content in campaign.message.content:
        if content.addressed is None or content.channel is Channel.http:  # opt-outs are by person then
            continue
        source = content.addressed.source
        if "{" in source and not _ONE_COLUMN.fullmatch(source.strip()):
            yield Problem(
                "to-not-checkable",
                "opt-outs are checked by address in the warehouse, which needs `to` to be one column",
                'return the address as a column of the audience, and write `to: "{{ user.that_column }}"`',
                content.addressed.location(1, 1),
            )
    for channel, columns in _columns_by_channel(campaign).items():
        if channel is not Channel.http and len(set(columns)) > 1:
            yield Problem(
                "to-not-checkable",
                f"the {channel} contents are sent to different columns ({', '.join(sorted(set(columns)))})",
                "choose the address in SQL and return it as one column",
                Location(campaign.file, 1, 1),
            )
