"""From a person to rendered messages: locale, address, reach, content. Pure: the same row gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import methodcaller
from types import MappingProxyType
from typing import NamedTuple

from connect.channels.addresses import normal
from connect.channels.email import Bad
from connect.channels.message import Device, Outgoing
from connect.channels.zones import Place
from connect.identity import Pseudonyms, correlation_id
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip
from connect.pipeline import gates
from connect.pipeline.contents.bound import Asked, Bound, Columns, Scope, Templates, Where
from connect.pipeline.contents.email import EmailTemplates
from connect.pipeline.contents.http import HttpTemplates, Secrets
from connect.pipeline.contents.push import PushTemplates
from connect.pipeline.contents.sms import SmsTemplates
from connect.pipeline.deliveries import Delivery, Ended, Person, RunFacts
from connect.pipeline.links import Link, UnsubscribeLinks, Urls
from connect.pipeline.parameters import printed
from connect.pipeline.places import Places
from connect.pipeline.recovery import Recovered
from connect.pipeline.tracking import Head, Tracking
from connect.pipeline.visits import head
from connect.pipeline.waves import EXPIRED, Turn
from connect.project.campaign import Campaign
from connect.project.message import EmailContent, HttpContent, PushContent, SmsContent
from connect.project.text import Text
from connect.project.trigger import Event
from connect.vocabulary import Channel, Mode, Outcome, Platform, Reach, Reason

Recipients = Mapping[Channel, str | Device]
"""Where test mode sends."""
Platforms = Mapping[str, frozenset[Platform]]
"""Account → the devices that it can carry messages to; all where it is not in here."""
_ALL = frozenset(Platform)


class _Addressed(NamedTuple):
    """One address of a person on a channel, or why there is none; and the content that fits them."""

    channel: Channel
    content: Bound
    address: Where | Ended
    route: tuple[str, ...] = ()
    """The accounts that carry it, in the order in which one takes over from another."""


class Composer:
    """Turns people into deliveries. One for each worker of a run."""

    def __init__(
        self,
        campaign: Campaign,
        library: Library,
        facts: RunFacts,
        links: UnsubscribeLinks,
        *,
        test_recipient: Recipients,
        copied: set[Channel],
        recovered: Recovered | None = None,
        turn: Turn | None = None,
        secrets: Secrets = MappingProxyType({}),
        platforms: Platforms = MappingProxyType({}),
        tracking: Tracking | None = None,
        known: bytes | None = None,
    ) -> None:
        """`turn` says which deliveries are settled now; None is all of them. `secrets` are those of the content.

        known: the message key of the only delivery that is asked for, of a run whose secret is gone.
        """
        self.facts, self.links = facts, links
        self.recovered = recovered or Recovered()
        self.reach = campaign.policy.reach
        self.turn = turn
        self.places = Places(turn.timing.phone) if turn else None
        self.mode = gates.ModeGate(facts.mode, test_recipient, copied)
        self.redirects: Recipients = test_recipient if facts.mode is Mode.test else {}
        self.platforms = platforms
        self.scope: Scope = {
            "campaign": {"name": campaign.name, "description": campaign.description},
            "run": {"id": facts.run_id, "fire_time": facts.fire_time},
            "params": printed(campaign, facts.parameters),
            "now": facts.fire_time,
        }
        real = facts.mode is Mode.live
        self.known = known
        self._pseudonyms = Pseudonyms(facts.secret)
        self.templates = _compile(campaign, library, self.scope, links.mailto, secrets, tracking, self.head, real=real)
        self.channels: tuple[Channel, ...] = tuple(self.templates)
        self.several = Channel.push in self.channels
        """A person may have several addresses on a channel."""
        self.problems: Counter[str] = Counter()
        """What was wrong with templates for some people, without a word about them."""

    def over(
        self,
        keys: Sequence[str],
        columns: Columns,
        optouts: Mapping[Channel, Sequence[int]],
        now: Callable[[], datetime] | None = None,
        heard: Sequence[int] | None = None,
        dead: Mapping[str, int] = MappingProxyType({}),
    ) -> Composing:
        """Bound to a batch of rows: their key texts, the user's columns, who opted out of what, who has heard before;
        and which of their devices are not to be sent to.

        `now` tells the time, by which deliveries expire; without it they do not.
        """
        return Composing(self, keys, columns, optouts, now, heard, dead)

    def deliveries(self, person: Person, now: Callable[[], datetime] | None = None) -> list[Delivery]:
        """As of a batch of one."""
        columns = {name: (value,) for name, value in person.user.items()}
        optouts = {channel: (flag,) for channel, flag in person.optouts.items()}
        return self.over((person.key,), columns, optouts, now).deliveries(0)

    def head(self, key: bytes) -> bytes:
        """What the links of a delivery to our server begin with."""
        return head(self.facts.run_id, key, counts=self.facts.mode is Mode.live)

    def view(self, key: bytes, key_text: str) -> str:
        """Where the message with this key can be seen in a browser."""
        return self.links.view(self.head(key), key_text)

    def message_key(self, key: str, channel: Channel, address: str) -> bytes:
        return self.known or self._pseudonyms.message_key(key, channel, address)

    def mark(self, key: str) -> bytes:
        """What all message keys of the person with this key text begin with."""
        return self._pseudonyms.person_mark(key)


class Composing:
    """A composer with a batch of rows."""

    def __init__(
        self,
        composer: Composer,
        keys: Sequence[str],
        columns: Columns,
        optouts: Mapping[Channel, Sequence[int]],
        now: Callable[[], datetime] | None,
        heard: Sequence[int] | None,
        dead: Mapping[str, int],
    ) -> None:
        self._composer, self._facts = composer, composer.facts
        self._dead = dead
        self._heard = heard
        self._keys, self._optouts = keys, optouts
        self._locales = columns.get("locale")
        self._ids = columns.get("id")
        self._turn, self._now = composer.turn, now
        self._place = composer.places.over(columns) if composer.places else None
        self._link: Link = composer.links.over(columns, composer.scope)
        self._channels = [
            (channel, {locale: one.over(columns, composer.scope) for locale, one in contents.items()})
            for channel, contents in composer.templates.items()
        ]

    def deliveries(self, row: int) -> list[Delivery]:
        """One delivery for each channel of the message, in its order, or for each address on it; in a turn, those that
        are settled in it."""
        if self._turn is not None:
            return self._in_turn(self._turn, row)
        if len(self._channels) == 1:
            channel, contents = self._channels[0]
            return [self._delivery(one, row) for one in self._address(channel, contents, row)]
        addressed = [one for channel, contents in self._channels for one in self._address(channel, contents, row)]
        chosen = self._chosen(addressed, row)
        return [self._delivery(one, row) if one in chosen else _unchosen(one) for one in addressed]

    def _delivery(self, one: _Addressed, row: int, end: Ended | None = None) -> Delivery:
        if isinstance(one.address, Ended):
            return Delivery(one.channel, one.address)
        return Delivery(one.channel, end or self._result(one, row), one.route)

    def _in_turn(self, turn: Turn, row: int) -> list[Delivery]:
        """Opt-outs do not say whose turn it is: they may change from one sweep to the next."""
        assert self._place is not None
        place = self._place(row)
        late = EXPIRED if self._now and turn.timing.is_late(place, self._now()) else None
        if self._composer.reach is Reach.first and len(self._channels) > 1:
            return self._first_in_turn(turn, place, late, row)
        found: list[Delivery] = []
        for channel, contents in self._channels:
            decided = turn.decide((channel,), place)
            if decided is not False:
                end = late or (decided if isinstance(decided, Ended) else None)
                found += [self._delivery(one, row, end) for one in self._address(channel, contents, row)]
        return found

    def _first_in_turn(self, turn: Turn, place: Place, late: Ended | None, row: int) -> list[Delivery]:
        """All channels of a person in one turn: which of them it is to be is decided once."""
        problems, self._composer.problems = self._composer.problems, Counter()
        addressed = [one for channel, contents in self._channels for one in self._addressed(channel, contents, row)]
        timely = [turn.timing.together((one.channel,), place) for one in addressed]
        reachable = dict.fromkeys(
            one.channel
            for one, window in zip(addressed, timely, strict=True)
            if not isinstance(one.address, Ended) and not isinstance(window, Ended)
        )
        decided = turn.decide(tuple(reachable), place) if reachable else turn.is_first
        if decided is False:
            self._composer.problems = problems
            return []
        self._composer.problems.update(problems)
        settled = [
            one._replace(
                address=self._held_back(one.channel, row)
                or (window if isinstance(window, Ended) else self._unless_dead(one, row).address)
            )
            for one, window in zip(addressed, timely, strict=True)
        ]
        chosen = self._chosen(settled, row)
        end = late or (decided if isinstance(decided, Ended) else None)
        return [self._delivery(one, row, end) if one in chosen else _unchosen(one) for one in settled]

    def _address(self, channel: Channel, contents: Mapping[str | None, Bound], row: int) -> Sequence[_Addressed]:
        if (optout := self._held_back(channel, row)) is not None:
            return (_Addressed(channel, self._content(contents, row), optout),)
        return [self._unless_dead(one, row) for one in self._addressed(channel, contents, row)]

    def _unless_dead(self, one: _Addressed, row: int) -> _Addressed:
        """Without a device that is not to be sent to. One that was near the air before a crash ends as it did there:
        else its intent would stand for another device of the person."""
        if not self._dead or not isinstance(one.address, Device):
            return one
        end = gates.opted_out(self._dead.get(one.address.address, 0))
        return one if end is None or self._was_near_the_air(one.address, row) else one._replace(address=end)

    def _was_near_the_air(self, device: Device, row: int) -> bool:
        composer, key = self._composer, self._keys[row]
        if not composer.recovered:
            return False
        message = composer.message_key(key, Channel.push, normal(Channel.push, device.address))
        return composer.recovered.knows(composer.mark(key), message)

    def _held_back(self, channel: Channel, row: int) -> Ended | None:
        """Who has opted out, or has heard before."""
        flags = self._optouts.get(channel)
        optout = gates.opted_out(flags[row]) if flags is not None else None
        if optout is not None or self._heard is None:
            return optout
        together = self._composer.channels if self._composer.reach is Reach.first else (channel,)
        return gates.heard_before(self._heard[row], together)

    def _addressed(self, channel: Channel, contents: Mapping[str | None, Bound], row: int) -> Sequence[_Addressed]:
        """Whoever has opted out."""
        content = self._content(contents, row)
        try:
            found = content.addresses(row)
        except (Skip, Refusal) as stop:
            found = (self._stopped(stop),)
        return [self._routed(channel, content, address) for address in found]

    def _routed(self, channel: Channel, content: Bound, address: Where | Ended) -> _Addressed:
        """With the accounts that can carry it. In test mode all goes to the device of the test recipient."""
        route = content.route.accounts
        if isinstance(address, Device):
            to = self._composer.redirects.get(channel, address)
            platform = to.platform if isinstance(to, Device) else None
            able = self._composer.platforms
            route = tuple(
                name for name in content.route.to(platform) if not platform or platform in able.get(name, _ALL)
            )
            address = address if route else gates.NO_PROVIDER
        return _Addressed(channel, content, address, route)

    def _content(self, contents: Mapping[str | None, Bound], row: int) -> Bound:
        return contents[None] if len(contents) == 1 else self._for_locale(contents, row)

    def _for_locale(self, contents: Mapping[str | None, Bound], row: int) -> Bound:
        """`fr-CA` → `fr` → the content without a locale."""
        locale = self._locales[row] if self._locales is not None else None
        if isinstance(locale, str):
            exact = _locale(locale) or ""
            for name in (exact, exact.partition("-")[0]):
                if name in contents:
                    return contents[name]
        return contents[None]

    def _chosen(self, addressed: Sequence[_Addressed], row: int) -> Sequence[_Addressed]:
        """The addresses that this person is written to at."""
        reachable = [one for one in addressed if not isinstance(one.address, Ended)]
        if self._composer.reach is Reach.all:
            return reachable
        recovered = self._composer.recovered
        before = recovered.channels_of(self._composer.mark(self._keys[row])) if recovered else set()
        if before:  # a recovered person stays with the channel that their intent names
            return [one for one in reachable if one.channel in before]
        return [one for one in reachable if one.channel is reachable[0].channel]

    def _result(self, one: _Addressed, row: int) -> Ended | Outgoing:
        assert not isinstance(one.address, Ended)
        asked = self._asked(one.channel, one.address, row)
        try:
            message = one.content.build(asked)
        except (Skip, Refusal) as stop:
            return self._stopped(stop)
        if isinstance(message, Bad):
            self._composer.problems[f"{message.reason}: `{message.field}` of the {one.channel} content"] += 1
            return Ended(Outcome.refused, message.reason)
        withheld = self._composer.mode(one.channel)
        if withheld is not None:
            return withheld
        return Outgoing(asked.key, asked.correlation, one.channel, message)

    def _asked(self, channel: Channel, to: Where, row: int) -> Asked:
        facts = self._facts
        address = to if isinstance(to, str) else to.address
        key = self._composer.message_key(self._keys[row], channel, normal(channel, address))
        person = str(self._ids[row]) if self._ids is not None else ""
        correlation = correlation_id(facts.run_id, key)
        urls = Urls(
            self._link,
            row,
            key,
            person=person,
            channel=channel,
            address=address,
            correlation=correlation,
            key_text=self._keys[row],
            view=self._composer.view,
        )
        redirect = self._composer.redirects.get(channel)
        if redirect is not None:
            to, address = redirect, redirect if isinstance(redirect, str) else redirect.address
        return Asked(row, key, correlation, urls, address, to, redirect is not None)

    def _stopped(self, stop: Skip | Refusal) -> Ended:
        if isinstance(stop, Skip):
            return Ended(Outcome.skipped, f"{Reason.skip_tag}: {stop.reason}")
        self._composer.problems[str(stop.problem)] += 1
        return Ended(Outcome.refused, stop.reason)


def _unchosen(one: _Addressed) -> Delivery:
    return Delivery(one.channel, one.address if isinstance(one.address, Ended) else gates.REACHED_ELSEWHERE)


def _compile(
    campaign: Campaign,
    library: Library,
    scope: Scope,
    mailto: str | None,
    secrets: Secrets,
    tracking: Tracking | None,
    head: Head,
    *,
    real: bool,
) -> dict[Channel, dict[str | None, Templates]]:
    """Every content of the message, compiled, by channel (in the message's order) and locale."""
    message = campaign.message
    library = library.of_events if isinstance(campaign.trigger, Event) else library

    def compile_text(text: Text, escape: bool) -> Template:
        return library.compile(text, escape=escape, undefined=message.undefined, nulls=message.nulls)

    unsubscribe = None if message.transactional else methodcaller("headers", mailto)
    compiled: dict[Channel, dict[str | None, Templates]] = {}
    for content in message.content:
        templates: Templates
        match content:
            case EmailContent():
                tracked = tracking.of(content, head) if tracking else None
                templates = EmailTemplates(
                    content, library, compile_text, scope, unsubscribe=unsubscribe, tracking=tracked, real=real
                )
            case SmsContent():
                templates = SmsTemplates(content, library, compile_text)
            case PushContent():
                templates = PushTemplates(content, compile_text)
            case HttpContent():
                templates = HttpTemplates(content, library, compile_text, secrets)
        compiled.setdefault(content.channel, {})[_locale(content.locale)] = templates
    return compiled


def _locale(locale: str | None) -> str | None:
    return locale.replace("_", "-").lower() if locale else None
