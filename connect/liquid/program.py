"""One template on its way to Python: what all of its statements share, and how values are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from liquid import Expression, Node, RenderContext
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions import Literal as LiteralExpression

from connect.liquid.calls import Calls
from connect.liquid.frames import Frame
from connect.liquid.limits import LOCAL_NAMESPACE_BYTES
from connect.liquid.values import Values
from connect.liquid.writing import Block, NotCompiled

MOST_NODES = 5_000
LONG_TEXT = 50_000


Write = Callable[["Program", Any, Block, Frame], None]


@dataclass(slots=True)
class Program:
    """`buffer` is the list that text goes to, None where nothing is printed."""

    values: Values
    calls: Calls
    static: RenderContext
    writers: Mapping[type[Node], Write]
    continues: bool
    """A loop somewhere asks where another has stopped."""
    guarded: bool
    """Much is printed: then no long value is printed before it is measured."""
    buffer: str | None = "parts"
    buffers: list[str] = field(default_factory=lambda: ["parts"])
    """All that are being written at this place."""
    enclosing: list[str] = field(default_factory=list)
    """The loops around this place, and what `break` can not leave."""
    templates: list[str] = field(default_factory=list)
    """What is being rendered at this place."""
    wire: bool = False
    """What is written to `buffer` becomes octets, all but what is captured."""
    literals: set[str] = field(default_factory=set)
    """What it writes itself, as octets."""
    draws: bool = False
    nodes: int = 0
    kept: int = 0
    """How many values are given names."""

    @property
    def escaping(self) -> bool:
        return self.values.environment.autoescape

    def fresh(self, kind: str) -> str:
        return self.values.constants.fresh(kind)

    def constant(self, value: object) -> str:
        return self.values.constants.name(value)

    def seen(self) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise NotCompiled("a template of many parts")

    @property
    def in_pairs(self) -> bool:
        """What is printed at this place goes on the wire as it is."""
        return self.wire and self.buffer == self.buffers[0]

    def flush(self, block: Block) -> None:
        if self.in_pairs:
            self.literals.update(block.flush_in_pairs(self.buffers[0]))
        else:
            block.flush(self.buffer)

    def line(self, block: Block, statement: str) -> None:
        """A statement, behind what waits to be printed: that may use what the statement changes."""
        self.flush(block)
        block.line(statement)

    def bound(self, block: Block, code: str) -> str:
        """A variable that has this value from here on."""
        name = self.fresh("r")
        self.line(block, f"{name} = {code}")
        return name

    def stops(self, frame: Frame) -> str:
        """The variable that remembers where loops stopped; empty if nothing asks for that."""
        if self.continues:
            frame.stops = frame.stops or self.fresh("x")
        return frame.stops

    def nodes_of(self, name: str) -> Sequence[Node]:
        return self.values.environment.get_template(name).nodes

    def keep(self, block: Block, name: str, code: str) -> None:
        """Give a value a name in the template."""
        self.kept += 1
        self.line(block, f"{name} = {code}")
        block.line(f"if type({name}) is not str or len({name}) > MOST_KEPT: keep({name})")

    def kept_bytes(self) -> int:
        """What one value may take, so that all of them stay within the limit; captured text has the other half."""
        return LOCAL_NAMESPACE_BYTES // (2 * max(self.kept, 1))

    def print(self, block: Block, expression: Expression, frame: Frame) -> None:
        """`{{ expression }}`."""
        filters = expression.filters if isinstance(expression, FilteredExpression) else None
        value = expression.left if isinstance(expression, FilteredExpression) else expression
        count = "" if filters else self.values.count(value, frame)
        if count:
            block.text(f"str({count})")
        elif not filters and isinstance(value, LiteralExpression):
            to_text: Any = self.values.constants.values["text"]
            block.literal(str(to_text(self.values.literal(value))))
        elif isinstance(expression, FilteredExpression) and (text := self.calls.printed(expression, frame)):
            block.text(text)
        else:
            self.print_value(block, self.filtered(expression, frame))

    def filtered(self, expression: Expression, frame: Frame, left: str = "") -> str:
        if isinstance(expression, FilteredExpression):
            return self.calls.filtered(expression, frame, left)
        return left or self.values.value(expression, frame)

    def print_value(self, block: Block, code: str) -> None:
        """Plain text is printed as it is. What is too much is found in the end, unless it could be very much."""
        first, name = self.values.once(code)
        short = f"escaped({name})" if self.escaping else name
        test = f" and len({name}) < {LONG_TEXT}" if self.guarded or self.enclosing else ""
        whole = f"str({name}) if type({name}) is int and -1000000000 < {name} < 1000000000"
        block.text(f"({short} if type({first}) is str{test} else {whole} else text({name}))")
