"""What is said: content for one or more channels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from connect.project import endpoint
from connect.project.content import FileBytes, FileName, Html, Liquid, Liquids
from connect.project.nodes import Block, scalar
from connect.project.reading import Reading, Written, refuse
from connect.project.route import AccountsField, Route, RouteField
from connect.project.secret_text import HeadersField, SecretField, SecretText
from connect.project.text import Text
from connect.project.tracking import Track, UtmField
from connect.project.tree import BodyField, TreeField
from connect.project.types import Boolean, Duration, Locale, Natural, Word, between
from connect.vocabulary import Channel


class Attachment(Written):
    """A file of the project as it is (`file`), or text with Liquid in it (`content`)."""

    filename: FileName = Field(description="the name that the reader sees; Liquid")
    content_type: Word = Field("", description="guessed from the name where it is left out")
    content: Liquid | None = Field(None, description="text with Liquid, or {file: name}")
    data: FileBytes | None = Field(None, alias="file", description="a file in templates/, attached as it is")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if ("content" in tree) == ("file" in tree):
            reading.report("bad-value", "an attachment has either `file` or `content`", node=tree)
        return tree


class _Content(Written):
    locale: Locale | None = Field(
        None, description="for people of this locale; the content without one is the fallback"
    )
    provider: AccountsField = Field(
        Route(), description="a provider of connect.yml, or several in failover order; the channel's where left out"
    )

    @property
    def addressed(self) -> Text | None:
        """What renders to the address; None where that is in columns of its own, or the account's."""
        return None

    def liquid(self) -> Iterator[tuple[Text, bool]]:
        """Every template of the content, and whether it is HTML."""
        return iter(())

    def secrets(self) -> Iterator[SecretText]:
        """Every text with references to secrets in it."""
        return iter(())


def _plain(*texts: Text | None) -> Iterator[tuple[Text, bool]]:
    return ((text, False) for text in texts if text is not None)


class EmailContent(_Content):
    section: ClassVar[str] = "email"

    channel: Literal[Channel.email]
    sender: Liquid = Field(alias="from", description="`Name <address>`")
    to: Liquid = Field(Text(source="{{ user.email }}"), description="default {{ user.email }}")
    cc: Liquid | None = None
    bcc: Liquid | None = None
    reply_to: Liquid | None = None
    subject: Liquid
    preheader: Liquid | None = Field(None, description="what a mailbox shows beside the subject")
    html: Html | None = Field(None, description="auto-escaped Liquid, or {file: name}")
    text: Liquid | None = Field(None, description="made from `html` where it is left out")
    headers: Liquids = Field({}, description="further headers")
    attachments: tuple[Attachment, ...] = ()
    track: Track = Field(Track(), description="what is counted when it is read: opens, clicks")
    utm: UtmField = Field(
        None, description="what is added to links: `true`, or source, medium, campaign, term, content"
    )

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if "html" not in tree and "text" not in tree:
            reading.report("missing-key", "the e-mail has neither `html` nor `text`", "give one", node=tree)
        return tree

    @property
    def addressed(self) -> Text | None:
        return self.to

    def liquid(self) -> Iterator[tuple[Text, bool]]:
        yield from _plain(self.to, self.sender, self.cc, self.bcc, self.reply_to, self.preheader, self.subject)
        yield from _plain(self.text, *self.headers.values())
        if self.html is not None:
            yield self.html, True
        for attachment in self.attachments:
            yield from _plain(attachment.filename, attachment.content)


class SmsContent(_Content):
    section: ClassVar[str] = "sms"

    channel: Literal[Channel.sms]
    to: Liquid = Field(Text(source="{{ user.phone_number }}"), description="default {{ user.phone_number }}")
    body: Liquid
    sender: Liquid | None = Field(None, alias="from", description="the number or name it comes from")
    max_segments: Natural | None = Field(None, description="a message of more parts is refused: too_many_segments")

    @property
    def addressed(self) -> Text | None:
        return self.to

    def liquid(self) -> Iterator[tuple[Text, bool]]:
        return _plain(self.to, self.sender, self.body)


class PushContent(_Content):
    section: ClassVar[str] = "push"

    channel: Literal[Channel.push]
    provider: RouteField = Field(
        Route(),
        description="a provider of connect.yml, several in failover order, or by platform; the channel's if left out",
    )
    title: Liquid
    body: Liquid
    data: Liquids = Field({}, description="for the app, not shown")
    image: Liquid | None = Field(None, description="the URL of a picture")
    badge: Liquid | None = Field(None, description="the number on the app's icon")
    sound: Liquid | None = None
    url: Liquid | None = Field(None, description="what a tap opens")
    ttl: Annotated[Duration, between(timedelta(0), timedelta(days=28))] | None = Field(
        None, description="how long it is kept for a device that can not be reached; at most 28d"
    )
    collapse_key: Liquid | None = Field(None, description="of several with one key, a device shows the last")
    ios: TreeField | None = Field(None, description="merged into the APNs payload, as it is")
    android: TreeField | None = Field(None, description="merged into FCM's `android` block, as it is")

    def liquid(self) -> Iterator[tuple[Text, bool]]:
        yield from _plain(self.title, self.body, *self.data.values(), self.image, self.badge, self.sound, self.url)
        yield from _plain(self.collapse_key)
        for tree in (self.ios, self.android):
            yield from _plain(*(tree.texts if tree else ()))


class HttpContent(_Content):
    section: ClassVar[str] = "http"

    channel: Literal[Channel.http]
    url: Liquid | None = Field(None, description="the provider's own endpoint where it is left out")
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: HeadersField = Field({}, description="Liquid, or text with secrets: ${NAME}")
    body: BodyField = Field(description="JSON with Liquid in its strings, or one template")
    signing_secret: SecretField | None = Field(None, description="signs each request (Standard Webhooks): ${NAME}")
    allow_private: Boolean | None = Field(None, description="whether the endpoint may be in a private network")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        endpoint.check_url(scalar(tree.get("url")), "url", reading)
        endpoint.check_headers(tree.get("headers"), reading)
        return tree

    @property
    def addressed(self) -> Text | None:
        return self.url

    def liquid(self) -> Iterator[tuple[Text, bool]]:
        yield from _plain(self.url, *(value for value in self.headers.values() if isinstance(value, Text)))
        yield from _plain(*((self.body,) if isinstance(self.body, Text) else self.body.texts))

    def secrets(self) -> Iterator[SecretText]:
        yield from (value for value in self.headers.values() if isinstance(value, SecretText))
        if self.signing_secret is not None:
            yield self.signing_secret


CONTENTS: dict[Channel, type[Written]] = {
    Channel.email: EmailContent,
    Channel.sms: SmsContent,
    Channel.push: PushContent,
    Channel.http: HttpContent,
}
Content = Annotated[EmailContent | SmsContent | PushContent | HttpContent, Field(discriminator="channel")]


def _contents(value: Any) -> Any:
    if isinstance(value, list) and not value:
        raise refuse("bad-value", "`content` is empty", "one content for each channel")
    return value


class Wording(Written):
    """What a message says of itself, beside its content."""

    topic: Word | None = Field(None, description="the subscription topic that it belongs to")
    undefined: Literal["refuse", "blank"] = Field("refuse", description="a name that the audience does not have")
    nulls: Literal["blank", "refuse"] = Field("blank", description="a value that is null")


class CampaignMessage(Wording):
    section: ClassVar[str] = "message"
    made: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    """The file in messages/ that it comes from; blank when it stands in the campaign."""
    content: Annotated[tuple[Content, ...], BeforeValidator(_contents)]
    transactional: Boolean = Field(False, description="ignores marketing opt-outs; announced by validate and run")

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of its contents, each once, in their order: each row makes a delivery for each of them."""
        return tuple(dict.fromkeys(content.channel for content in self.content))
