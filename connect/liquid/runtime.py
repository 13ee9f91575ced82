"""What compiled templates call: the interpreter's own rules, on values instead of contexts.

Compiled code may give up at any time, by any exception: the person is then rendered by the interpreter, which defines
every error. So nothing here needs a place, and whatever looks too large is given up early.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from liquid import Undefined
from liquid.builtin.expressions import LoopExpression, StringLiteral
from liquid.builtin.expressions.logical import _contains, _eq, _le, _lt, is_truthy
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.limits import to_int
from liquid.token import Token
from markupsafe import Markup, escape

from connect.liquid.context import State
from connect.liquid.expressions import comparable
from connect.liquid.limits import LOOP_ITERATIONS, OUTPUT_CHARACTERS, VALUE_CHARACTERS, measure
from connect.liquid.numbers import times
from connect.liquid.printing import PRINTERS, printed, text_of
from connect.liquid.structures import structure
from connect.liquid.tags import random_limit
from connect.liquid.trouble import GiveUp, NullMet, Skip
from connect.liquid.undefined import Missing
from connect.liquid.wire import bounded, wired

try:  # the C function behind `escape`, which gives a plain str for a plain str
    from markupsafe import _escape_inner as escaped  # type: ignore[attr-defined]
except ImportError:

    def escaped(text: str, /) -> str:
        return str(escape(text))


if TYPE_CHECKING:
    from connect.liquid.environment import Environment

_BOUND = 10**18
_NOTHING = Token("", "", -1, "")


class Unset:
    """A variable that nothing has been assigned to yet."""


UNSET = Unset()


def truthy(value: object) -> bool:
    if value is None or value is False:
        return False
    measure(value)
    return value is True or is_truthy(value)


def measured(value: object) -> object:
    measure(value)
    return value


def needed(value: object) -> object:
    """One side of a comparison with a value."""
    if isinstance(value, Missing):
        raise GiveUp
    measure(value)
    return value


def less(left: object, right: object) -> bool:
    return _lt(_NOTHING, *comparable(left, right))


def at_most(left: object, right: object) -> bool:
    return _le(*comparable(left, right))


def contains(left: object, right: object) -> bool:
    return _contains(_NOTHING, left, right)


def keeper(most: int) -> Callable[[object], None]:
    """For values that get a name: gives up on those that take more bytes than their share."""

    def keep(value: object) -> None:
        measure(value)
        if sys.getsizeof(value, 1) > most:
            raise GiveUp

    return keep


def product(left: object, right: object, guarded: Callable[[object, object], object]) -> object:
    """What `times` gives, for numbers without its guard."""
    if type(right) is int and -_BOUND < right < _BOUND:
        if type(left) is float and -1e11 < left < 1e11:  # as `quick.times`: a call takes as long as all of it
            whole = round(left * 10_000)
            if whole and whole / 10_000 == left and right:
                return whole * right / 10_000
        if type(left) is int and -_BOUND < left < _BOUND:
            return left * right
        if type(left) is Decimal:
            return times(left, right)
    return guarded(left, measured(right))


def compact(parts: list[str], size: int) -> int:
    """Join what a loop has written so far. Gives up when that, and what was captured, is much."""
    text = "".join(parts)
    if size + len(text) > OUTPUT_CHARACTERS:
        raise GiveUp
    parts[:] = [text]
    return size


def captured(size: int, text: str) -> int:
    if size + len(text) > OUTPUT_CHARACTERS:
        raise GiveUp
    return size + len(text)


def turn(cycles: dict[object, int], group: str, values: Sequence[object]) -> object:
    """The cycle's next value. Groups are shared, so that one may be at a place that another does not have."""
    key = group or str([text_of(value) for value in values])
    index = cycles.get(key, 0)
    cycles[key] = (index + 1) % len(values)
    return values[index] if index < len(values) else ""


def listed(value: object) -> Sequence[object]:
    """The items of `render … for`. Of what is no list the template is rendered once: the interpreter does that."""
    if not isinstance(value, (list, tuple)):
        raise GiveUp
    return value


def row_end(table: TableRow) -> str:
    """What follows a cell of a table."""
    return f'</tr>\n<tr class="row{table.row + 1}">' if table.col_last and not table.last else ""


def table_columns(value: object) -> int:
    try:
        return to_int(value)
    except ValueError:
        return 0


def skipped(reason: str, size: int, *buffers: list[str]) -> Skip:
    """The Skip to raise, unless so much has been written by then that it could be refused instead."""
    if size + sum(len(text) for parts in buffers for text in parts) > OUTPUT_CHARACTERS:
        raise GiveUp
    return Skip(reason)


class Stops:
    """Where the loops of a template have stopped: what python-liquid asks a context for `offset: continue`."""

    def __init__(self) -> None:
        self._indexes: dict[str, int] = {}

    def stopindex(self, key: str, index: int | None = None) -> int:
        if index is not None:
            self._indexes[key] = index
        return self._indexes.get(key, 0)


def cut(loop: LoopExpression, items: Sequence[object], stops: Stops, limit: object, offset: object) -> list[object]:
    """The items between offset and limit, as python-liquid has it. `offset` may be the word `continue`."""
    most = None if loop.limit is None else loop._to_int(limit, token=_NOTHING)
    start: int | str | None = None
    if isinstance(loop.offset, StringLiteral):
        start = loop.offset.value
    if loop.offset is not None and start != "continue":
        start = loop._to_int(offset if start is None else start, token=_NOTHING)
    context: Any = stops
    found, _ = loop._slice(iter(items), len(items), context, limit=most, offset=start)
    return list(found)


def for_environment(environment: Environment) -> dict[str, object]:
    """What the source of a compiled template can name."""
    undefined = environment.undefined("", token=None)
    context = environment.static_context()
    return _FIXED | {
        "U": undefined,
        "environment": environment,
        "text": _text(environment),
        "valued": _valued(environment),
        "item": _item(context.get_item, undefined),
        "column": _column(undefined),
        "passes": _passes(environment.nulls == "refuse"),
        "sequence": _sequence(context),
    }


def _text(environment: Environment) -> Callable[[object], str]:
    escaping, refusing = environment.autoescape, environment.nulls == "refuse"

    def text(value: object) -> str:
        """What a value prints."""
        kind = type(value)
        if kind is float:
            written = repr(value)
            return written if "e" not in written else text_of(value)
        if kind is int and -_BOUND < value < _BOUND:  # type: ignore[operator]
            return str(value)
        if kind in PRINTERS:
            return PRINTERS[kind](value)
        measure(value)
        if kind is Markup:
            return value  # type: ignore[return-value]
        if value is None and refusing:
            raise NullMet(None)
        return str(printed(value, escaping))

    return text


def _valued(environment: Environment) -> Callable[[object], object]:
    refusing = environment.nulls == "refuse"

    def valued(value: object) -> object:
        """What a value is in JSON."""
        kind = type(value)
        if kind is str and len(value) <= OUTPUT_CHARACTERS:  # type: ignore[arg-type]
            return value
        if kind is int and -_BOUND < value < _BOUND:  # type: ignore[operator]
            return value
        if (value is None and refusing) or isinstance(value, Missing):
            raise GiveUp
        measure(value)
        return structure(value)

    return valued


def _item(get_item: Callable[[Any, Any], object], undefined: Undefined) -> Callable[[object, object], object]:
    def item(found: object, key: object) -> object:
        try:
            return get_item(found, key)
        except (KeyError, TypeError, IndexError):
            return undefined

    return item


def _column(undefined: Undefined) -> Callable[[Any, object], object]:
    def column(found: Any, key: object) -> object:
        """Of the objects themselves: `size`, `first` and `last` are columns like any other."""
        try:
            return found[key]
        except (KeyError, TypeError, IndexError):
            return undefined

    return column


def _passes(refusing: bool) -> Callable[[object], bool]:
    def passes(value: object) -> bool:
        """Whether a filter that a `default` follows lets this pass."""
        return isinstance(value, Missing) or (value is None and refusing)

    return passes


def _sequence(context: Any) -> Callable[[LoopExpression, object], Sequence[object]]:
    def sequence(loop: LoopExpression, value: object) -> Sequence[object]:
        """What a loop goes through."""
        measure(value)
        if isinstance(value, (list, range)):
            return value
        found: Iterator[object] = loop._to_iter(value, context)[0]
        return list(found)

    return sequence


def row_of(columns: Mapping[str, Sequence[object]], index: int) -> dict[str, object]:
    return {name: values[index] for name, values in columns.items()}


_FIXED: dict[str, object] = {
    "SCALARS": frozenset((float, Decimal, datetime, date)),
    "DATES": frozenset((datetime, date)),
    "TIMES": frozenset((datetime,)),
    "escaped": escaped,
    "joined": "".join,
    "truthy": truthy,
    "measured": measured,
    "needed": needed,
    "equal": _eq,
    "less": less,
    "at_most": at_most,
    "contains": contains,
    "compact": compact,
    "bounded": bounded,
    "wired": wired,
    "product": product,
    "captured": captured,
    "turn": turn,
    "Stops": Stops,
    "cut": cut,
    "listed": listed,
    "row_end": row_end,
    "skipped": skipped,
    "text_of": text_of,
    "table_columns": table_columns,
    "Skip": Skip,
    "State": State,
    "random_limit": random_limit,
    "GiveUp": GiveUp,
    "UNSET": UNSET,
    "Markup": Markup,
    "MOST_LOOPS": LOOP_ITERATIONS,
    "MOST_CHARACTERS": VALUE_CHARACTERS,
    "MOST_OUTPUT": OUTPUT_CHARACTERS,
}
