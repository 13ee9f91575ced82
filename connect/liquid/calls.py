"""Calls of filters. The guarded filter that the interpreter calls is called here too, with shorter ways before it.

A short way is taken for plain text (or whole numbers) of bearable size, where the guard would let it through, and gives
what the filter gives. Where it raises, as everywhere in compiled code, the interpreter decides.
"""

from __future__ import annotations

from decimal import Decimal

from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Path
from liquid.builtin.expressions import Literal as LiteralExpression
from liquid.builtin.expressions.filtered import Filter as FilterCall

from connect.liquid.dates import compiled
from connect.liquid.expressions import CallBeforeDefault
from connect.liquid.filters import FILTERS, text_argument
from connect.liquid.frames import Frame
from connect.liquid.limits import LIST_ITEMS
from connect.liquid.trouble import BadValue
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
_NUMBER = "(type({0}) in SCALARS or type({1}) is int and -1000000000 < {1} < 1000000000)"
_NUMERIC = frozenset(
    {
        *("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "size"),
        "times",
    }
)
"""What these give is never text."""
_SCALAR = frozenset(
    {
        *("abs", "at_least", "at_most", "ceil", "date", "delimiter", "divided_by", "floor", "humanize", "minus"),
        *("modulo", "money", "number", "plus", "precision", "round", "time_zone", "times"),
    }
)
"""These may be called without their guard for numbers and dates."""


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

    def printed(self, expression: FilteredExpression, frame: Frame) -> str:
        """What the expression prints, where there is a shorter way than through its value; else empty."""
        if not expression.filters or isinstance(expression.left, LiteralExpression):
            return ""
        last = expression.filters[-1]
        if last.name in _NUMERIC:
            first, name = self._values.once(self.filtered(expression, frame))
            # as `text` prints it: within these bounds no float has an exponent
            return f"(repr({name}) if type({first}) is float and 0.001 < {name} < 1e15 else text({name}))"
        part = getattr(last.args[0].value, "value", None) if len(last.args) == 1 else None
        if not isinstance(part, str) or isinstance(last.args[0], KeywordArgument):
            return ""
        before = FilteredExpression(expression.token, expression.left, expression.filters[:-1])
        if last.name == "date":
            return self._dated(before, last, part, frame)
        if last.name in ("append", "prepend") and self._environment.autoescape:
            return self._joined(before, last, part, frame)
        return ""

    def _dated(self, before: FilteredExpression, last: FilterCall, pattern: str, frame: Frame) -> str:
        """Literal patterns are the template's own: what they print is not escaped."""
        try:
            prepared = compiled(str(pattern))
        except BadValue:
            return ""
        days = "DATES" if prepared.of_day else "TIMES"
        first, name = self._values.once(self.filtered(before, frame))
        write = self._constants.name(prepared.write)
        return f"({write}({name}) if type({first}) in {days} else text({self._guarded(name, last, frame)}))"

    def _joined(self, before: FilteredExpression, last: FilterCall, part: str, frame: Frame) -> str:
        """In HTML, literal text before or behind a value: no Markup is made of the two."""
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
        if call.name == "times" and isinstance(call.args[0].value, Path) and not isinstance(call, CallBeforeDefault):
            # a price times a quantity stands in a loop more often than anything else
            factor = self._values.value(call.args[0].value, frame)
            return f"product({code}, {factor}, {self._constants.name(self._environment.filters['times'])})"
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
        if call.name in _SIGNS and type(getattr(call.args[0].value, "value", None)) is int:
            return self._arithmetic(first, name, call)
        if call.name in ("default", "fallback") and self._literal(call):
            blank = f" and not {name}.isspace()" if call.name == "fallback" else ""
            return f"{name} if type({first}) is str and {name}{blank}"
        if call.name in _SCALAR:
            return self._scalar(first, name, call, frame)
        if call.name == "size":
            return f"len({name}) if type({first}) is list and len({name}) <= {LIST_ITEMS}"
        given = [self._text_argument(argument.value, frame) for argument in call.args]
        result = self._text(name, call, [argument for argument, _ in given])
        tests = [f"type({first}) is str and len({name}) <= MOST_CHARACTERS", *(test for _, test in given if test)]
        return f"{result} if {' and '.join(tests)}" if result and all(argument for argument, _ in given) else ""

    def _arithmetic(self, first: str, name: str, call: FilterCall) -> str:
        """With a literal whole number."""
        value = getattr(call.args[0].value, "value", 0)
        if abs(value) > 10**9:
            return ""
        result = f"{name} {_SIGNS[call.name]} {self._constants.name(value)}"
        known = f"{self._constants.name(FILTERS[call.name].function)}({name}, {self._constants.name(value)})"
        # a conditional expression within another: whole numbers by Python, other numbers by the filter itself
        return f"({result} if type({name}) is int else {known}) if {_NUMBER.format(first, name)}"

    def _scalar(self, first: str, name: str, call: FilterCall, frame: Frame) -> str:
        """Numbers and dates are never too large, nor is what these filters make of them."""
        given, tests = [name], [] if self._is_number(name) else [_NUMBER.format(first, name)]
        for argument in call.args:
            if isinstance(argument.value, LiteralExpression):
                given.append(self._constants.name(self._values.literal(argument.value)))
                continue
            begun, other = self._values.once(self._values.value(argument.value, frame))
            given.append(other)
            tests.append(_NUMBER.format(begun, other))
        given += ["now=now"] if FILTERS[call.name].needs == "now" else []
        result = f"{self._constants.name(FILTERS[call.name].function)}({', '.join(given)})"
        if call.name in _SIGNS and len(given) == 2:
            whole = " and ".join(f"type({each}) is int" for each in given if not self._is_number(each))
            result = f"({given[0]} {_SIGNS[call.name]} {given[1]} if {whole} else {result})" if whole else result
        return f"{result} if {' and '.join(tests) or 'True'}"

    def _is_number(self, name: str) -> bool:
        """Whether this is the name of a whole number of the template's."""
        return type(self._constants.values.get(name)) is int

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
