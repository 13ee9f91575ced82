"""Every filter a template can use: python-liquid's own, those that it gets wrong for us, and ours.

Replaced, and why: `date` reads the machine's clock and zone; arithmetic and `sum` take a Decimal for zero; `uniq` and
`strip_html` take quadratic time; `append` and its like print None and True; `replace` can ask for all the memory.

Each call is guarded: names that are not in the data are refused with their place, values and results that are too
large are refused, and whatever else goes wrong becomes trouble that names the filter and never the value.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from liquid import Undefined
from liquid.builtin.expressions import is_empty
from liquid.builtin.filters import array, extra, string
from liquid.exceptions import ResourceLimitError
from liquid.filter import sequence_filter
from markupsafe import Markup

from connect.liquid import money, numbers
from connect.liquid.dates import check_date_format, date_filter
from connect.liquid.limits import VALUE_CHARACTERS, measure
from connect.liquid.printing import printed, text_of
from connect.liquid.trouble import BadValue, FilterTrouble, NameLacking, NullMet, TooLarge
from connect.liquid.undefined import Missing
from connect.liquid.zones import check_zone, time_zone

if TYPE_CHECKING:
    from connect.liquid.environment import Environment

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Filter:
    function: Function
    needs: str = ""
    """`environment`: python-liquid's own, that ask whether to escape; `now`: the run's fire time."""
    text: bool = False
    """The value and the arguments are text: nil is '', true is 'true', 12.50 is '12.50'."""
    forgiving: bool = False
    """Takes names that are not in the data, and nulls."""
    check: Callable[..., None] | None = None
    """Judges the arguments where they are literal, when the template is compiled."""

    def accepts(self, positional: int, keywords: Iterable[str]) -> bool:
        """Whether it can be called with that many arguments, and those keywords."""
        given = {self.needs: None} if self.needs else {}
        try:
            inspect.signature(self.function).bind(None, *[None] * positional, **dict.fromkeys(keywords), **given)
        except TypeError:
            return False
        return True


def default(value: object, other: object = "", *, allow_false: bool = False) -> object:
    """The value, or the other one if it is nil, false or empty. Zero is a value."""
    if value is False and allow_false:
        return value
    if value is None or value is False or isinstance(value, Undefined) or is_empty(value):
        return other
    return value


def fallback(value: object, other: object) -> object:
    """As `default`, and text that is only blanks counts as empty."""
    if isinstance(value, str) and not value.strip():
        return other
    return default(value, other)


def raw(value: str) -> Markup:
    """Not escaped in HTML."""
    return Markup(value)


def encode(value: str) -> str:
    """For a part of a URL; a space is %20, which is right in path and query."""
    return quote(value, safe="")


def _digest(name: str) -> Function:
    def digest(value: str) -> str:
        return hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()

    return digest


def replace(value: str, old: str, new: str = "") -> str:
    """All of them. The result's length is known before it is made: replacing '' can multiply a value by itself."""
    old, new = text_of(old), text_of(new)
    if value.count(old) * len(new) > VALUE_CHARACTERS:
        raise TooLarge("the result of `replace` is longer than 1 MB")
    return value.replace(old, new)


_STRIPPED_AT_MOST = 200_000  # html.parser takes quadratic time for some input


def strip_html(value: str, *, environment: Environment) -> str:
    if len(value) > _STRIPPED_AT_MOST:
        raise TooLarge("a value is too long for `strip_html`")
    result: str = string.strip_html(value, environment=environment)
    return result


@sequence_filter
def join(items: Sequence[object], separator: object = " ", *, environment: Environment) -> str:
    escaping = environment.autoescape
    mark = Markup(" ") if escaping and separator == " " else separator
    between = printed(mark, escaping)
    if len(between) * len(items) > VALUE_CHARACTERS:
        raise TooLarge("the result of `join` is longer than 1 MB")
    joined = between.join(printed(item, escaping) for item in items)
    return Markup(joined) if escaping else joined


@sequence_filter
def uniq(items: Sequence[Any], key: object = None) -> list[object]:
    """Each once, in order. Python-liquid's own takes quadratic time."""
    seen: set[object] = set()
    kept = []
    for item in items:
        identity = text_of(item if key is None else _property(item, key))
        if identity not in seen:
            seen.add(identity)
            kept.append(item)
    return kept


@sequence_filter
def total(items: Sequence[Any], key: object = None) -> numbers.Number:
    """The sum of the items, or of a property of each."""
    return numbers.summed(numbers.number(item if key is None else _property(item, key)) for item in items)


def _property(item: object, key: object) -> object:
    return item.get(key) if isinstance(item, Mapping) else None


@sequence_filter
def mapped(items: Sequence[Any], key: object) -> list[object]:
    """A property of each item; nil where an item lacks it."""
    if not all(isinstance(item, Mapping) for item in items):
        raise BadValue("not every item has properties")
    name = text_of(key)
    return [item.get(name) for item in items]


def size(value: object) -> int:
    return len(value) if isinstance(value, (str, list, tuple, range, Mapping)) else 0


def _table() -> dict[str, Filter]:
    own = {
        "default": Filter(default, forgiving=True),
        "fallback": Filter(fallback, forgiving=True),
        "raw": Filter(raw, text=True),
        "safe": Filter(raw, text=True),
        "encode": Filter(encode, text=True),
        "md5": Filter(_digest("md5"), text=True),
        "sha1": Filter(_digest("sha1"), text=True),
        "sha256": Filter(_digest("sha256"), text=True),
        "date": Filter(date_filter, needs="now", check=check_date_format),
        "time_zone": Filter(time_zone, needs="now", check=lambda name: check_zone(text_of(name))),
        "precision": Filter(numbers.precision),
        "format": Filter(numbers.formatted, check=numbers.check_format),
        "humanize": Filter(numbers.humanize),
        "delimiter": Filter(numbers.delimiter),
        "money": Filter(money.money, check=money.check_currency),
        "number": Filter(money.localized_number, check=money.check_locale),
        "join": Filter(join, needs="environment"),
        "uniq": Filter(uniq),
        "sum": Filter(total),
        "size": Filter(size),
        "replace": Filter(replace, text=True),
        "strip_html": Filter(strip_html, needs="environment", text=True),
    }
    return _arithmetic() | _texts() | _arrays() | own


def _arithmetic() -> dict[str, Filter]:
    functions: dict[str, Function] = {
        "abs": numbers.absolute,
        "at_least": numbers.at_least,
        "at_most": numbers.at_most,
        "ceil": numbers.ceil,
        "divided_by": numbers.divided_by,
        "floor": numbers.floor,
        "minus": numbers.minus,
        "modulo": numbers.modulo,
        "plus": numbers.plus,
        "round": numbers.rounded,
        "times": numbers.times,
    }
    return {name: Filter(function) for name, function in functions.items()}


def _texts() -> dict[str, Filter]:
    plain = (
        "append base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode capitalize downcase lstrip "
        "prepend remove remove_first remove_last replace_first replace_last rstrip split squish strip truncate "
        "truncatewords upcase url_decode"
    )
    escaping = "escape escape_once newline_to_br strip_newlines url_encode"
    texts = {name: Filter(getattr(string, name), text=True) for name in plain.split()}
    texts |= {name: Filter(getattr(string, name), needs="environment", text=True) for name in escaping.split()}
    return texts | {
        "slice": Filter(string.slice_),
        "escapejs": Filter(extra.escapejs, needs="environment", text=True),
    }


def _arrays() -> dict[str, Filter]:
    plain = "compact concat find find_index has reject reverse sort sort_natural where"
    arrays = {name: Filter(getattr(array, name)) for name in plain.split()}
    arrays |= {name: Filter(getattr(array, name), needs="environment") for name in ("first", "last")}
    return arrays | {"map": Filter(mapped)}


FILTERS: dict[str, Filter] = _table()
FORGIVING = frozenset(name for name, known in FILTERS.items() if known.forgiving)


def guarded(filter_: Filter, environment: Environment) -> Function:
    """The filter as python-liquid calls it, with the guards around it."""
    function, text = filter_.function, filter_.text
    fixed = {"environment": environment} if filter_.needs == "environment" else {}
    admit = _admit_all if filter_.forgiving else _admit(refuse_nulls=environment.nulls == "refuse", text=text)

    def call(left: object, *arguments: object, **keywords: object) -> object:
        admit(left, arguments)
        measure(left)
        if text:
            left, arguments = text_of(left), tuple(map(text_argument, arguments))
        return function(left, *arguments, **keywords, **fixed)

    return _contained(call)


def _admit_all(left: object, arguments: tuple[object, ...]) -> None:
    pass


def _admit(*, refuse_nulls: bool, text: bool) -> Callable[[object, tuple[object, ...]], None]:
    def admit(left: object, arguments: tuple[object, ...]) -> None:
        for value in (left, *arguments):
            if isinstance(value, Missing):
                raise NameLacking(value.token)
        if refuse_nulls and (left is None or (text and any(value is None for value in arguments))):
            raise NullMet(None)

    return admit


def text_argument(value: object) -> object:
    """Numbers stay numbers (`truncate: 20`); everything else becomes text (`append: user.middle_name`)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else text_of(value)


def _contained(call: Function) -> Function:
    """Results are measured; what goes wrong inside becomes FilterTrouble, without the value."""

    def contained(left: object, *arguments: object, **keywords: object) -> object:
        try:
            result = call(left, *arguments, **keywords)
        except (NameLacking, NullMet, ResourceLimitError, MemoryError):
            raise
        except BadValue as bad:
            raise FilterTrouble(bad) from None
        except Exception:  # noqa: BLE001 - filters of a library, on data of any kind: none of it may end the run
            raise FilterTrouble(BadValue("the filter can not take this value")) from None
        measure(result)
        return result

    return contained


def literal_trouble(filter_: Filter, arguments: Sequence[object]) -> BadValue | None:
    """What is wrong with literal arguments; None when nothing is, or when nobody can know before the run."""
    if filter_.check is None or not arguments or not all(isinstance(value, (str, int)) for value in arguments):
        return None
    try:
        filter_.check(*map(text_of, arguments))
    except BadValue as bad:
        return bad
    return None
