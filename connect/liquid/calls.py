"""Calls of filters. The guarded filter that the interpreter calls is called here too, with shorter ways before it.

A short way is taken for plain text (or whole numbers) of bearable size, where the guard would let it through, and gives
what the filter gives. Where it raises, as everywhere in compiled code, the interpreter decides.
"""

from __future__ import annotations

from decimal import Decimal

from liquid.builtin.expressions import FilteredExpression, KeywordArgument, PositionalArgument, StringLiteral
from liquid.builtin.expressions import Literal as LiteralExpression
from liquid.builtin.expressions.filtered import Filter as FilterCall

from connect.liquid.expressions import CallBeforeDefault
from connect.liquid.filters import FILTERS, text_argument
from connect.liquid.frames import Frame
from connect.liquid.values import Values

_METHODS = {
    "capitalize": "capitalize",
    "downcase": "lower",
    "lstrip": "lstrip",
    "rstrip": "rstrip",
    "strip": "strip",
    "upcase": "upper",
}
_DIRECT = frozenset(
    {
        *("encode", "escape", "escape_once", "md5", "newline_to_br", "raw", "remove", "remove_first", "replace"),
        *("replace_first", "safe", "sha1", "sha256", "squish", "strip_html", "strip_newlines", "truncate"),
        *("truncatewords", "url_encode"),
    }
)
"""These take text and give text, and can be called without their guard."""
_SIGNS = {"plus": "+", "minus": "-", "times": "*"}
_PLAIN = (str, int, float, Decimal)
_WHOLE = "-1000000000 < {} < 1000000000"


class Calls:
    """Writes filtered expressions."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._constants = values.constants
        self._environment = values.environment

    def filtered(self, expression: FilteredExpression, frame: Frame, left: str = "") -> str:
        """The value after all filters, not measured; `left` where the first value has a name already."""
        calls = list(expression.filters or [])
        code = left or self._folded(expression, calls) or self._values.value(expression.left, frame)
        for call in calls:
            code = self._call(code, call, frame)
        return code

    def joins_last(self, expression: FilteredExpression) -> bool:
        """Whether literal text is put before or behind the value in the end, which needs no Markup when printed."""
        if not expression.filters:
            return False
        last = expression.filters[-1]
        return (
            last.name in ("append", "prepend")
            and not isinstance(expression.left, LiteralExpression)
            and isinstance(last.args[0], PositionalArgument)
            and isinstance(last.args[0].value, StringLiteral)
        )

    def joined(self, expression: FilteredExpression, frame: Frame) -> str:
        """What such an expression prints in HTML."""
        calls = list(expression.filters or [])
        last, part = calls[-1], getattr(calls[-1].args[0].value, "value", "")
        before = FilteredExpression(expression.token, expression.left, calls[:-1])
        first, name = self._values.once(self.filtered(before, frame))
        text = self._constants.name(str(part))
        both = f"escaped({name}) + {text}" if last.name == "append" else f"{text} + escaped({name})"
        return f"({both} if type({first}) is str else text({self._guarded(name, last, frame)}))"

    def _folded(self, expression: FilteredExpression, calls: list[FilterCall]) -> str:
        """A literal with its literal filters applied once for all; takes what it applied out of `calls`."""
        if not isinstance(expression.left, LiteralExpression):
            return ""
        value = self._values.literal(expression.left)
        while calls and (found := self._applied(value, calls[0])) is not None:
            value = found
            calls.pop(0)
        return self._constants.name(value)

    def _applied(self, value: object, call: FilterCall) -> object:
        if FILTERS[call.name].needs == "now" or not all(isinstance(a.value, LiteralExpression) for a in call.args):
            return None
        positional, keywords = call.evaluate_args(self._environment.static_context())
        try:
            result = self._environment.filters[call.name](value, *positional, **keywords)
        except Exception:  # noqa: BLE001 - it is refused for each person, when it is rendered
            return None
        return result if isinstance(result, _PLAIN) else None

    def _call(self, code: str, call: FilterCall, frame: Frame) -> str:
        first, name = self._values.once(code)
        short = self._short(first, name, call, frame)
        begun = name if short else first  # whatever is evaluated first makes the name
        if isinstance(call, CallBeforeDefault):
            slow = f"({name} if passes({begun}) else {self._guarded(name, call, frame)})"
        else:
            slow = self._guarded(begun, call, frame)
        return f"({short} else {slow})" if short else slow

    def _guarded(self, name: str, call: FilterCall, frame: Frame) -> str:
        given = [name]
        for argument in call.args:
            code = self._values.measured(argument.value, frame)
            if isinstance(argument, KeywordArgument):
                code = f"**{{{self._constants.name(argument.name)}: {code}}}"
            given.append(code)
        if FILTERS[call.name].needs == "now":
            given.append("now=now")
        return f"{self._constants.name(self._environment.filters[call.name])}({', '.join(given)})"

    def _short(self, first: str, name: str, call: FilterCall, frame: Frame) -> str:
        """`result if it may be had this way`; empty where there is no short way."""
        if any(isinstance(argument, KeywordArgument) for argument in call.args):
            return ""
        if call.name in _SIGNS:
            return self._arithmetic(first, name, call)
        if call.name in ("default", "fallback") and self._literal(call):
            blank = f" and not {name}.isspace()" if call.name == "fallback" else ""
            return f"{name} if type({first}) is str and {name}{blank}"
        given = [self._text_argument(argument.value, frame) for argument in call.args]
        result = self._text(name, call, [argument for argument, _ in given])
        tests = [f"type({first}) is str and len({name}) <= MOST_CHARACTERS", *(test for _, test in given if test)]
        return f"{result} if {' and '.join(tests)}" if result and all(argument for argument, _ in given) else ""

    def _arithmetic(self, first: str, name: str, call: FilterCall) -> str:
        value = getattr(call.args[0].value, "value", None)
        if type(value) is not int or abs(value) > 10**9:
            return ""
        result = f"{name} {_SIGNS[call.name]} {self._constants.name(value)}"
        return f"{result} if type({first}) is int and {_WHOLE.format(name)}"

    def _literal(self, call: FilterCall) -> bool:
        return all(isinstance(argument.value, LiteralExpression) for argument in call.args)

    def _text_argument(self, expression: object, frame: Frame) -> tuple[str, str]:
        """(the argument as the filter gets it, what has to be true of it)."""
        if isinstance(expression, LiteralExpression):
            return self._constants.name(text_argument(self._values.literal(expression))), ""
        if not hasattr(expression, "path"):
            return "", ""
        first, name = self._values.once(self._values.value(expression, frame))  # type: ignore[arg-type]
        return name, f"type({first}) is str and len({name}) <= MOST_CHARACTERS"

    def _text(self, name: str, call: FilterCall, given: list[str]) -> str:
        if call.name in _METHODS and not given:
            return f"{name}.{_METHODS[call.name]}()"
        if call.name in ("append", "prepend") and len(given) == 1:
            return f"{name} + {given[0]}" if call.name == "append" else f"{given[0]} + {name}"
        if call.name not in _DIRECT:
            return ""
        most = getattr(call.args[0].value, "value", None) if call.name == "truncate" and call.args else None
        known = FILTERS[call.name]
        fixed = ["environment=environment"] if known.needs == "environment" else []
        result = f"{self._constants.name(known.function)}({', '.join([name, *given, *fixed])})"
        return f"({name} if len({name}) < {most} else {result})" if type(most) is int else result
