"""Template source that knows the file it came from, so that every token does too."""

from __future__ import annotations

import re

from liquid import Token

from connect.errors import Location
from connect.project.text import Text

# What a user wrote as a name: `user.first_name`, `user["first name"]`, `user.tags[0]`.
_NAME = re.compile(r"""[\w-]+\??(?:\s*\.\s*[\w-]+\??|\[[^\]]*\])*""")


class Source(str):
    """The text of a template. python-liquid hands the very object on to each token, and so we find the file again."""

    __slots__ = ("text",)

    text: Text

    @classmethod
    def of(cls, text: Text) -> Source:
        source = cls(text.source)
        source.text = text
        return source


def place(token: Token | None) -> Location | None:
    """Where this token stands in the user's file; None for tokens that python-liquid made up."""
    if token is None or token.start_index < 0 or not isinstance(token.source, Source):
        return None
    return token.source.text.at(token.start_index)


def written_name(token: Token) -> str:
    """The name that begins at this token, as it was written: never as it was evaluated."""
    found = _NAME.match(token.source, max(token.start_index, 0))
    return found.group() if found else token.value
