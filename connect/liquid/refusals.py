"""What a person is refused for when a template can not be rendered, in words that hold no value of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from liquid import Token
from liquid.exceptions import ContextDepthError, LiquidError, LoopIterationLimitError, ResourceLimitError

from connect.errors import Location, Problem
from connect.liquid.context import OBJECTS
from connect.liquid.source import place, written_name
from connect.liquid.trouble import FilterTrouble, NameLacking, NotJson, NullMet, Refusal, TooLarge
from connect.vocabulary import Reason


def refusal_of(error: Exception, scope: Mapping[str, object]) -> Refusal:
    token = error.token if isinstance(error, LiquidError) else None
    if isinstance(error, NameLacking):
        return Refusal(Reason.render_error, _lacking(token, scope))
    if isinstance(error, NullMet):
        message, hint = "a null is printed without a default", "add `| default: '…'`, or set `nulls: blank`"
        return Refusal(Reason.null_value, Problem("null-value", message, hint, place(token)))
    if isinstance(error, NotJson):
        return not_json("a number that is not finite (NaN, infinity) is to stand in JSON", place(token))
    if isinstance(error, ResourceLimitError) and not isinstance(error, ContextDepthError):
        return Refusal(Reason.content_too_large, Problem("content-too-large", _too_large(error), "", place(token)))
    message, hint = _failure(error)
    return Refusal(Reason.render_error, Problem("render-error", message, hint, place(token)))


def not_json(message: str, at: Location | None = None) -> Refusal:
    return Refusal(Reason.not_json, Problem("not-json", message, "JSON has no way to say it; make it text or null", at))


def _lacking(token: Token | None, scope: Mapping[str, object]) -> Problem:
    name = written_name(token) if token else "a name"
    return Problem("undefined-name", f"`{name}` is not in the data", _nearest(name, scope), place(token))


def _nearest(name: str, scope: Mapping[str, object]) -> str:
    root, _, rest = name.partition(".")
    columns = scope.get(root)
    known = [str(column) for column in columns] if isinstance(columns, Mapping) else []
    near = get_close_matches(rest, known, n=1) if rest else get_close_matches(root, OBJECTS, n=1)
    wanted = f"{root}.{near[0]}" if near and rest else near[0] if near else ""
    return f"did you mean `{wanted}`?" if wanted else "add `| default: '…'` if it may be absent"


def _too_large(error: ResourceLimitError) -> str:
    """Our own messages may be shown, and python-liquid's are better put in our words."""
    if isinstance(error, TooLarge):
        return str(error.message)
    if isinstance(error, LoopIterationLimitError):
        return "a loop has more than 100,000 iterations"
    return "the template's variables take more than 5 MB"


def _failure(error: Exception) -> tuple[str, str]:
    """(message, hint). python-liquid's own messages at run time may quote values: none of them is used."""
    if isinstance(error, FilterTrouble):
        name = error.token.value if error.token else "?"
        return f"`{name}`: {error.bad.message}", error.bad.hint
    if isinstance(error, ContextDepthError):
        return "templates render each other more than 30 deep", ""
    if isinstance(error, LiquidError):
        return "the values here can not be compared or used like this", "check the types of the columns"
    return "the template can not be rendered with this person's data", ""
