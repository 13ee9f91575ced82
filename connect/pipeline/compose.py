"""From a person to rendered messages: locale, address, reach, content. Pure: the same row gives the same bytes."""

from __future__ import annotations

import mimetypes
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connect.channels.addresses import normal
from connect.channels.email import Bad, EmailParts, build_email
from connect.channels.message import Attachment, Message, Outgoing
from connect.channels.sms import build_sms
from connect.identity import correlation_id, message_key, person_mark
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip
from connect.pipeline import gates
from connect.pipeline.deliveries import Delivery, Ended, Person, RunFacts
from connect.pipeline.links import UnsubscribeLinks, Urls
from connect.pipeline.recovery import Recovered
from connect.project.campaign import Campaign
from connect.project.message import Attachment as AttachmentContent
from connect.project.message import EmailContent, SmsContent
from connect.project.text import Text
from connect.vocabulary import Channel, Mode, Outcome, Reach, Reason

Content = EmailContent | SmsContent
Scope = Mapping[str, object]
Compile = Callable[[Text, bool], Template]
"""(text, whether it is HTML) → the template."""


@dataclass(frozen=True, slots=True)
class _Rendering:
    """What one delivery is rendered with."""

    scope: Scope
    urls: Urls
    to: str
    """As `to` was rendered: with a name, where the content gives one."""
    address: str
    """The checked address in it."""
    key: bytes
    correlation: str
    redirected: bool
    """The address is the test recipient's: copies (cc, bcc) are dropped."""


_COLUMN = re.compile(r"\s*\{\{-?\s*user\.(\w+)\s*-?\}\}\s*")


class _Recipient:
    """`to`, which is nearly always one column: then its text is taken as it is, without Liquid."""

    def __init__(self, text: Text, library: Library) -> None:
        # A null address is no address, also where nulls are refused elsewhere.
        self._template = library.compile(text, escape=False, undefined="refuse", nulls="blank")
        found = _COLUMN.fullmatch(text.source)
        self._column = found[1] if found else ""

    def render(self, user: Mapping[str, object], scope: Scope) -> str:
        value = user.get(self._column)
        return value if isinstance(value, str) else self._template.render(scope)


class _AttachmentTemplates:
    """An attachment: its name in Liquid, and a file as it is or text in Liquid."""

    def __init__(self, file: AttachmentContent, compile_text: Compile) -> None:
        self._type = file.content_type
        self._filename = compile_text(file.filename, False)
        self._content = compile_text(file.content, False) if file.content else None
        self._data = file.data or b""

    def build(self, rendering: _Rendering) -> Attachment:
        filename = self._filename.render(rendering.scope, random_seed=rendering.key)
        data = self._data
        if self._content is not None:
            data = self._content.render(rendering.scope, random_seed=rendering.key).encode()
        content_type = self._type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
        return Attachment(filename, content_type, data)


class _EmailTemplates:
    """An e-mail content, compiled once."""

    def __init__(self, content: EmailContent, to: _Recipient, compile_text: Compile, marketing: bool) -> None:
        def optional(text: Text | None, escape: bool = False) -> Template | None:
            return compile_text(text, escape) if text is not None else None

        self.account = content.provider
        self.to = to
        self._sender = compile_text(content.sender, False)
        self._subject = compile_text(content.subject, False)
        self._html, self._text = optional(content.html, escape=True), optional(content.text)
        self._cc, self._bcc = optional(content.cc), optional(content.bcc)
        self._reply_to, self._preheader = optional(content.reply_to), optional(content.preheader)
        self._headers = [(name, compile_text(text, False)) for name, text in content.headers.items()]
        self._attachments = [_AttachmentTemplates(file, compile_text) for file in content.attachments]
        self._marketing = marketing

    def build(self, rendering: _Rendering) -> Message | Bad:
        def render(template: Template | None) -> str | None:
            return template.render(rendering.scope, random_seed=rendering.key) if template else None

        copies = not rendering.redirected
        parts = EmailParts(
            sender=render(self._sender) or "",
            to=rendering.to,
            subject=render(self._subject) or "",
            html=render(self._html),
            text=render(self._text),
            cc=(render(self._cc) if copies else None) or "",
            bcc=(render(self._bcc) if copies else None) or "",
            reply_to=render(self._reply_to) or "",
            preheader=render(self._preheader) or "",
            headers=tuple((name, render(template) or "") for name, template in self._headers),
            attachments=tuple(attachment.build(rendering) for attachment in self._attachments),
        )
        return build_email(
            parts,
            message_key=rendering.key,
            correlation_id=rendering.correlation,
            unsubscribe=rendering.urls.headers() if self._marketing else None,
        )


class _SmsTemplates:
    """A text message's content, compiled once."""

    def __init__(self, content: SmsContent, to: _Recipient, compile_text: Compile) -> None:
        self.account = content.provider
        self.to = to
        self._body = compile_text(content.body, False)
        self._sender = compile_text(content.sender, False) if content.sender else None

    def build(self, rendering: _Rendering) -> Message | Bad:
        body = self._body.render(rendering.scope, random_seed=rendering.key)
        sender = self._sender.render(rendering.scope, random_seed=rendering.key) if self._sender else ""
        return build_sms(rendering.address, body, sender)


_Templates = _EmailTemplates | _SmsTemplates


@dataclass(frozen=True, slots=True)
class _Addressed:
    """One channel of a person: the content that fits them, and their address or why there is none."""

    channel: Channel
    templates: _Templates
    address: str | Ended
    rendered: str = ""
    """`to` as it was rendered: the address may stand behind a name."""


class Composer:
    """Turns people into deliveries. One for each run."""

    def __init__(
        self,
        campaign: Campaign,
        library: Library,
        facts: RunFacts,
        links: UnsubscribeLinks,
        *,
        test_recipient: Mapping[Channel, str],
        copied: set[Channel],
        recovered: Recovered | None = None,
    ) -> None:
        self._facts, self._links = facts, links
        self._recovered = recovered or Recovered()
        self._reach = campaign.policy.reach
        self._mode = gates.ModeGate(facts.mode, test_recipient, copied)
        self._test_recipient = test_recipient
        self._constant: dict[str, object] = {
            "campaign": {"name": campaign.name, "description": campaign.description},
            "run": {"id": facts.run_id, "fire_time": facts.fire_time},
            "params": campaign.audience.params,
            "now": facts.fire_time,
        }
        self._templates = _compile(campaign, library)
        self.channels: tuple[Channel, ...] = tuple(self._templates)
        self.problems: Counter[str] = Counter()
        """What was wrong with templates for some people, without a word about them."""

    def deliveries(self, person: Person) -> list[Delivery]:
        """One delivery for each channel of the message, in its order."""
        scope = {"user": person.user, **self._constant}
        addressed = [self._address(channel, person, scope) for channel in self.channels]
        chosen = {one.channel for one in self._chosen(person, addressed)}
        return [
            Delivery(
                one.channel,
                one.templates.account,
                self._result(one, person, scope) if one.channel in chosen else _unchosen(one),
            )
            for one in addressed
        ]

    def _address(self, channel: Channel, person: Person, scope: Scope) -> _Addressed:
        templates = _for_locale(self._templates[channel], person.user.get("locale"))
        optout = gates.opted_out(person.optouts.get(channel, 0))
        if optout is not None:
            return _Addressed(channel, templates, optout)
        try:
            rendered = templates.to.render(person.user, scope)
        except (Skip, Refusal) as stop:
            return _Addressed(channel, templates, self._stopped(stop))
        return _Addressed(channel, templates, gates.address(channel, rendered), rendered)

    def _chosen(self, person: Person, addressed: Sequence[_Addressed]) -> Sequence[_Addressed]:
        """The channels that this person is written to on."""
        reachable = [one for one in addressed if isinstance(one.address, str)]
        if self._reach is Reach.all:
            return reachable
        before = self._recovered.channels_of(self.mark(person)) if self._recovered else set()
        if before:  # a recovered person stays with the channel that their intent names
            return [one for one in reachable if one.channel in before]
        return reachable[:1]

    def mark(self, person: Person) -> bytes:
        """What all message keys of this person begin with."""
        return person_mark(self._facts.secret, person.key)

    def _key(self, person: Person, one: _Addressed) -> bytes:
        address = one.address if isinstance(one.address, str) else ""
        return message_key(self._facts.secret, person.key, one.channel, normal(one.channel, address))

    def _result(self, one: _Addressed, person: Person, scope: Scope) -> Ended | Outgoing:
        assert isinstance(one.address, str)
        key = self._key(person, one)
        correlation = correlation_id(self._facts.run_id, key)
        try:
            message = one.templates.build(self._rendering(one, one.address, key, correlation, person, scope))
        except (Skip, Refusal) as stop:
            return self._stopped(stop)
        if isinstance(message, Bad):
            self.problems[f"{message.reason}: `{message.field}` of the {one.channel} content"] += 1
            return Ended(Outcome.refused, message.reason)
        withheld = self._mode(one.channel)
        if withheld is not None:
            return withheld
        return Outgoing(key, correlation, one.channel, message)

    def _rendering(
        self, one: _Addressed, address: str, key: bytes, correlation: str, person: Person, scope: Scope
    ) -> _Rendering:
        urls = Urls(
            self._links, scope, key, person=str(person.user.get("id", "")), channel=one.channel, address=address
        )
        redirect = self._test_recipient.get(one.channel) if self._facts.mode is Mode.test else None
        return _Rendering(
            scope={**scope, "url": urls},
            urls=urls,
            to=redirect or one.rendered,
            address=redirect or address,
            key=key,
            correlation=correlation,
            redirected=self._facts.mode is not Mode.live,
        )

    def _stopped(self, stop: Skip | Refusal) -> Ended:
        if isinstance(stop, Skip):
            return Ended(Outcome.skipped, f"{Reason.skip_tag}: {stop.reason}")
        self.problems[str(stop.problem)] += 1
        return Ended(Outcome.refused, stop.reason)


def _unchosen(one: _Addressed) -> Ended:
    return one.address if isinstance(one.address, Ended) else gates.REACHED_ELSEWHERE


def _compile(campaign: Campaign, library: Library) -> dict[Channel, dict[str | None, _Templates]]:
    """Every content of the message, compiled, by channel (in the message's order) and locale."""
    message = campaign.message

    def compile_text(text: Text, escape: bool) -> Template:
        return library.compile(text, escape=escape, undefined=message.undefined, nulls=message.nulls)

    compiled: dict[Channel, dict[str | None, _Templates]] = {}
    for content in message.content:
        templates: _Templates
        to = _Recipient(content.to, library)
        if isinstance(content, EmailContent):
            templates = _EmailTemplates(content, to, compile_text, marketing=not message.transactional)
        else:
            templates = _SmsTemplates(content, to, compile_text)
        compiled.setdefault(content.channel, {})[_locale(content.locale)] = templates
    return compiled


def _for_locale(templates: Mapping[str | None, _Templates], locale: object) -> _Templates:
    """`fr-CA` → `fr` → the content without a locale."""
    if len(templates) > 1 and isinstance(locale, str):
        exact = _locale(locale) or ""
        for name in (exact, exact.partition("-")[0]):
            if name in templates:
                return templates[name]
    return templates[None]


def _locale(locale: str | None) -> str | None:
    return locale.replace("_", "-").lower() if locale else None
