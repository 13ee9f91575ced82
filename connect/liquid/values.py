"""Liquid's expressions as Python expressions: names, literals and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field

from liquid import Expression
from liquid.builtin.expressions import Literal as LiteralExpression
from liquid.builtin.expressions import Nil, Path
from liquid.builtin.expressions.logical import (
    BooleanExpression,
    ContainsExpression,
    EqExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty, RangeLiteral
from liquid.builtin.tags.case_tag import _AnyExpression

from connect.liquid.context import OBJECTS
from connect.liquid.environment import Environment
from connect.liquid.expressions import AtLeast, AtMost, Greater, Less, NeededPath
from connect.liquid.frames import Frame, Loop, Meaning, Super, Table, Variable
from connect.liquid.writing import Constants, NotCompiled

_SPECIAL = ("size", "first", "last")
_ORDERINGS: dict[type[Expression], tuple[str, str]] = {
    Less: ("<", "less({}, {})"),
    Greater: (">", "less({1}, {0})"),
    AtMost: ("<=", "at_most({}, {})"),
    AtLeast: (">=", "at_most({1}, {0})"),
}
_LOOP = {
    "index": "({index} + 1)",
    "index0": "{index}",
    "rindex": "({length} - {index})",
    "rindex0": "({length} - {index} - 1)",
    "first": "({index} == 0)",
    "last": "({index} == {length} - 1)",
    "length": "{length}",
}
_COUNTS = ("index", "index0", "rindex", "rindex0", "length")


@dataclass(slots=True)
class Values:
    """Writes expressions. What it gives is Python source; `columns` and `objects` tell what that needs."""

    environment: Environment
    constants: Constants
    whole_row: bool
    """The row is needed as one object: some name in it is only known when it is rendered."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns of the row that are read, and their variables."""
    objects: dict[str, str] = field(default_factory=dict)

    def value(self, expression: Expression, frame: Frame) -> str:
        """The value, not measured."""
        if isinstance(expression, Path):
            return self._path(expression, frame)
        if isinstance(expression, RangeLiteral):
            start, stop = self.measured(expression.start, frame), self.measured(expression.stop, frame)
            return f"{self.constants.name(expression._make_range)}({start}, {stop})"
        return self.constants.name(self.literal(expression))

    def literal(self, expression: Expression) -> object:
        """The value of a literal."""
        if isinstance(expression, (LiteralExpression, Nil, Empty, Blank)):
            return expression.evaluate(self.environment.static_context())
        raise NotCompiled(type(expression).__name__)

    def measured(self, expression: Expression, frame: Frame) -> str:
        """The value, given up if it is too large."""
        code = self.value(expression, frame)
        return f"measured({code})" if isinstance(expression, Path) else code

    def once(self, code: str) -> tuple[str, str]:
        """(the code, to be evaluated first; a name for its value after that)."""
        if code.isidentifier():
            return code, code
        name = self.constants.fresh("t")
        return f"({name} := {code})", name

    def condition(self, expression: Expression, frame: Frame) -> str:
        """Whether it is true in Liquid, as a bool."""
        if isinstance(expression, BooleanExpression):
            return self.condition(expression.expression, frame)
        if isinstance(expression, (LogicalAndExpression, LogicalOrExpression)):
            word = "and" if isinstance(expression, LogicalAndExpression) else "or"
            return f"({self.condition(expression.left, frame)} {word} {self.condition(expression.right, frame)})"
        if isinstance(expression, LogicalNotExpression):
            return f"(not {self.condition(expression.right, frame)})"
        if isinstance(expression, EqExpression):
            return self.equal(expression.left, expression.right, frame)
        if isinstance(expression, NeExpression):
            return f"(not {self.equal(expression.left, expression.right, frame)})"
        if isinstance(expression, ContainsExpression):
            return f"contains({self._side(expression.left, frame)}, {self._side(expression.right, frame)})"
        if type(expression) in _ORDERINGS:
            return self._ordering(expression, frame)
        return self._truth(expression, frame)

    def _truth(self, expression: Expression, frame: Frame) -> str:
        if isinstance(expression, LiteralExpression):
            return "True" if expression.value is not False else "False"
        first, name = self.once(self.value(expression, frame))
        return f"(type({first}) is str and len({name}) <= MOST_CHARACTERS or truthy({name}))"

    def equal(self, left: Expression, right: Expression, frame: Frame) -> str:
        if isinstance(left, LiteralExpression) and not isinstance(right, LiteralExpression):
            left, right = right, left
        slow = f"equal({self._side(left, frame, '{0}')}, {self._side(right, frame)})"
        return self._compared("==", left, right, frame, slow)

    def _ordering(self, expression: Expression, frame: Frame) -> str:
        sign, slow = _ORDERINGS[type(expression)]
        left, right = expression.children()
        return self._compared(
            sign, left, right, frame, slow.format(self._side(left, frame, "{0}"), self._side(right, frame))
        )

    def _compared(self, sign: str, left: Expression, right: Expression, frame: Frame, slow: str) -> str:
        """Against a literal number or text there is a short way, which says what the long one would."""
        first, name = self.once(self.value(left, frame))
        short = ""
        if isinstance(right, LiteralExpression) and type(right.value) is int:
            short = f"{name} {sign} {self.constants.name(right.value)} if type({first}) is int"
        elif isinstance(right, LiteralExpression) and isinstance(right.value, str) and sign == "==":
            text = self.constants.name(str(right.value))
            short = f"{name} == {text} if type({first}) is str and len({name}) <= MOST_CHARACTERS"
        if short:
            return f"({short} else {slow.replace('{0}', name)})"
        return slow.replace("{0}", first)

    def _side(self, expression: Expression, frame: Frame, code: str = "") -> str:
        """A side of a comparison; `code` for one whose value has a name already."""
        code = code or self.value(expression, frame)
        if isinstance(expression, NeededPath):
            return f"needed({code})"
        return f"measured({code})" if isinstance(expression, Path) else code

    def matches(self, expression: _AnyExpression, frame: Frame) -> list[str]:
        """For each value of a `when`, whether it is the one."""
        return [self.equal(expression.left, value, frame) for value in expression.expressions]

    def _path(self, path: Path, frame: Frame) -> str:
        root, rest = path.path[0], list(path.path[1:])
        if not isinstance(root, str):
            raise NotCompiled("a name that only the data knows")
        if root in OBJECTS:
            code, rest = self._object(root, rest, frame)
        else:
            code, rest = self._name(list(frame.meanings(root)), rest)
        for segment in rest:
            code = self._item("item", code, segment, frame)
        return code

    def _object(self, root: str, rest: list[str | int | Path], frame: Frame) -> tuple[str, list[str | int | Path]]:
        if root in self.environment.rows and not self.whole_row:
            name = str(rest[0])
            if name not in self.columns:
                self.columns[name] = self.constants.fresh("v")
            return self.columns[name], rest[1:]
        if root not in self.objects:
            self.objects[root] = self.constants.fresh("o")
        code = self.objects[root]
        return (self._item("column", code, rest[0], frame), rest[1:]) if rest else (code, [])

    def _item(self, function: str, code: str, segment: str | int | Path, frame: Frame) -> str:
        key = self.measured(segment, frame) if isinstance(segment, Path) else self.constants.name(segment)
        if not isinstance(segment, str) or (function == "item" and segment in _SPECIAL):
            return f"{function}({code}, {key})"
        first, name = self.once(code)
        return f"({name}.get({key}, U) if type({first}) is dict else {function}({name}, {key}))"

    def _name(self, meanings: list[Meaning], rest: list[str | int | Path]) -> tuple[str, list[str | int | Path]]:
        if not meanings:
            return "U", rest
        meaning = meanings[0]
        if isinstance(meaning, Variable):
            if meaning.certain:
                return meaning.name, rest
            return f"({meaning.name} if {meaning.name} is not UNSET else {self._other(meanings[1:])})", rest
        if isinstance(meaning, Table) and len(rest) == 1 and isinstance(rest[0], str):
            return meaning.variable, rest
        if isinstance(meaning, Loop):
            return self.loop_value(meaning, rest), []
        raise NotCompiled("a loop or a block as a value")

    def _other(self, meanings: list[Meaning]) -> str:
        if meanings and not isinstance(meanings[0], Variable):
            raise NotCompiled("a name that is sometimes a loop or a block")
        return self._name(meanings, [])[0]

    def loop_value(self, loop: Loop, rest: list[str | int | Path]) -> str:
        while rest[:1] == ["parentloop"] and len(rest) > 1:
            if loop.parent is None:
                return "U"
            loop, rest = loop.parent, rest[1:]
        if len(rest) != 1:
            raise NotCompiled("a loop as a value")
        if rest[0] == "name":
            return self.constants.name(loop.name)
        if rest[0] not in _LOOP:
            raise NotCompiled("a property that loops do not have")
        loop.counted = True
        return _LOOP[str(rest[0])].format(index=loop.index, length=loop.length)

    def count(self, expression: Expression, frame: Frame) -> str:
        """The code of a loop's number, which needs no more than `str`; empty for anything else."""
        if not isinstance(expression, Path) or not isinstance(expression.path[0], str):
            return ""
        meaning = next(frame.meanings(expression.path[0]), None)
        if not isinstance(meaning, Loop) or expression.path[-1] not in _COUNTS:
            return ""
        code = self.loop_value(meaning, list(expression.path[1:]))
        return "" if code == "U" else code

    def is_super(self, expression: Expression, frame: Frame) -> Super | None:
        """`block.super`, which renders."""
        if not isinstance(expression, Path) or expression.path != ["block", "super"]:
            return None
        meaning = next(frame.meanings("block"), None)
        return meaning if isinstance(meaning, Super) else None
