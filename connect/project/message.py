"""What is said: content for one or more channels."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from connect.project import suggest
from connect.project.content import FileBytes, FileName, Html, Liquid
from connect.project.nodes import Block, Scalar
from connect.project.reading import Reading, Written, reading, refuse
from connect.project.text import Text
from connect.project.types import NAME_SCHEMA, Boolean, Locale, Word
from connect.vocabulary import Channel


def _provider(value: object, info: ValidationInfo) -> object:
    context = reading(info)
    if context is not None and isinstance(value, Scalar) and value not in context.providers:
        hint = suggest.hint(value, context.providers)
        raise refuse("unknown-provider", f"there is no provider `{value.written}` in connect.yml", hint)
    return str(value) if isinstance(value, Scalar) else value


ProviderName = Annotated[str, BeforeValidator(_provider), WithJsonSchema(NAME_SCHEMA)]


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
    provider: ProviderName = Field("", description="a provider of connect.yml; the channel's where it is left out")


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
    headers: dict[str, Liquid] = Field({}, description="further headers")
    attachments: tuple[Attachment, ...] = ()

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if "html" not in tree and "text" not in tree:
            reading.report("missing-key", "the e-mail has neither `html` nor `text`", "give one", node=tree)
        return tree


class SmsContent(_Content):
    section: ClassVar[str] = "sms"

    channel: Literal[Channel.sms]
    to: Liquid = Field(Text(source="{{ user.phone_number }}"), description="default {{ user.phone_number }}")
    body: Liquid
    sender: Liquid | None = Field(None, alias="from", description="the number or name it comes from")


Content = Annotated[EmailContent | SmsContent, Field(discriminator="channel")]


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
