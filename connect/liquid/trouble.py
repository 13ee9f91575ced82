"""How a rendering ends when there is nothing to send: skipped by the template, or refused.

Rendering raises nothing else but MemoryError, which is nobody's bad data. Nothing here holds a value of the scope:
messages name the template, the place, the filter and the name that the template's author wrote.
"""

from __future__ import annotations

from liquid import Token
from liquid.exceptions import FilterArgumentError, LiquidError, ResourceLimitError

from connect.errors import Problem
from connect.vocabulary import Reason


class Skip(Exception):
    """`{% skip "sold out" %}`: this person gets nothing on this channel, for this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refusal(Exception):
    """This person's content can not be rendered. Its text never holds a value of the scope."""

    def __init__(self, reason: Reason, problem: Problem) -> None:
        super().__init__(str(problem))
        self.reason = reason
        self.problem = problem


class GiveUp(Exception):
    """Of compiled code: the interpreter has to decide."""


class BadValue(Exception):
    """What a filter says of a value that it can not take. The message names no value."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FilterTrouble(FilterArgumentError):
    """A BadValue on its way out of python-liquid, which adds the filter's place."""

    def __init__(self, bad: BadValue) -> None:
        super().__init__(bad.message, token=None)
        self.bad = bad


class NameLacking(LiquidError):
    """A name that the scope does not have was needed."""

    def __init__(self, token: Token | None) -> None:
        super().__init__("a name is not in the data", token=token)


class NullMet(LiquidError):
    """A null was printed without a default, where nulls are refused."""

    def __init__(self, token: Token | None) -> None:
        super().__init__("a null was printed", token=token)


class NotJson(LiquidError):
    """A value was to stand in JSON, which has no way to say it."""

    def __init__(self, token: Token | None) -> None:
        super().__init__("a value can not stand in JSON", token=token)


class TooLarge(ResourceLimitError):
    """A value or an output is larger than a message could ever need."""

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message, token=token)
