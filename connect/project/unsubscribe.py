"""Where people unsubscribe: the project's own server and its page, or a page of the user's."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from connect.project import files
from connect.project.content import Liquid
from connect.project.nodes import Block, scalar
from connect.project.reading import Reading, Written, refuse
from connect.project.types import Word


class PageWords(Written):
    """What the page says in one language, where it says something else; `{topic}` stands for a topic's label."""

    section: ClassVar[str] = "unsubscribe.words"

    title: Word | None = None
    question: Word | None = None
    question_topic: Word | None = None
    unsubscribe: Word | None = None
    unsubscribe_all: Word | None = None
    left: Word | None = None
    left_topic: Word | None = None
    mistake: Word | None = None
    resubscribe: Word | None = None
    back: Word | None = None
    choose: Word | None = None
    save: Word | None = None
    saved: Word | None = None
    all_off: Word | None = None
    choices: Word | None = None
    unknown: Word | None = None
    leave_some: Word | None = None
    held_back: Word | None = None
    broken_title: Word | None = None
    broken: Word | None = None
    later_title: Word | None = None
    later: Word | None = None
    topics: dict[Word, Word] = Field({}, description="topic → its label in this language")


def _language(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise refuse("bad-value", f"`{value}` is not a language", "such as de, or pt-BR")
    return value


Language = Annotated[Word, AfterValidator(_language)]


class Unsubscribe(Written):
    """Where people unsubscribe: at the project's own server, unless `url` is another page."""

    section: ClassVar[str] = "unsubscribe"

    url: Liquid | None = Field(None, description="your own page instead, with Liquid")
    mailto: Word | None = Field(None, description="an address that takes unsubscribe requests")
    topics: dict[Word, Word] = Field({}, description="topic → label: what people choose from on the server's page")
    template: Word | None = Field(None, description="a file under templates/: how the server's page looks")
    language: Language = Field("en", description="of the page where it has none that the browser asks for")
    words: dict[Language, PageWords] = Field({}, description="language → what the page says in it")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        name = scalar(tree.get("template"))
        if name is not None and not files.is_file(reading.root, files.TEMPLATES, name):
            hint = "it is a file under templates/, by its path in there"
            reading.report("missing-template", f"there is no file {files.TEMPLATES}/{name}", hint, node=name)
        return tree
