"""A compiled template: the names that it uses, and rendering, which is a pure function of scope and seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import Any, TypeVar

from liquid import BoundTemplate, Node
from liquid.exceptions import LiquidError, StopRender

from connect.liquid.compiler import Compiled, Render, compile_template
from connect.liquid.context import OBJECTS, Buffer, Context, State
from connect.liquid.environment import Environment
from connect.liquid.limits import OUTPUT_BYTES
from connect.liquid.names import Name
from connect.liquid.reads import Reads
from connect.liquid.refusals import refusal_of
from connect.liquid.tags import OutputNode
from connect.liquid.trouble import Refusal, Skip, TooLarge
from connect.liquid.wire import WireText
from connect.project.text import Text

Made = TypeVar("Made")
RenderValue = Callable[[int, bytes, object], Any]
"""As Render."""
RenderWire = Callable[[int, bytes, object], str | WireText]
"""As Render."""


class Template:
    """Made by `Library.compile`."""

    def __init__(self, text: Text, names: tuple[Name, ...], bound: BoundTemplate) -> None:
        self.text = text
        self.names = names
        self._bound = bound

    @cached_property
    def _reads(self) -> Reads:
        assert isinstance(self._bound.env, Environment)
        return Reads.of(self._bound.nodes, self._bound.env)

    @property
    def columns(self) -> frozenset[str] | None:
        """The columns that it may read, in whatever it renders too; None if it may need the whole row."""
        return None if self._reads.whole else frozenset(self._reads.columns)

    @property
    def constant(self) -> bool:
        """Within one run it renders the same for everyone."""
        return self._reads.constant

    @cached_property
    def compiled(self) -> Compiled | None:
        """The template as Python, made at its first use; None if it is left to the interpreter."""
        return compile_template(self._bound, self._reads)

    @cached_property
    def wired(self) -> Compiled | None:
        """As `compiled`, for what is sent by e-mail."""
        return compile_template(self._bound, self._reads, wire=True)

    @property
    def alone(self) -> OutputNode | None:
        """The node, where the text is exactly one `{{ … }}`: then it has a value besides what that prints."""
        nodes = self._bound.nodes
        one = nodes[0] if len(nodes) == 1 and self.text.source.startswith("{{") else None
        return one if isinstance(one, OutputNode) else None

    @cached_property
    def valued(self) -> Compiled | None:
        """As `compiled`, of a template that is `alone`, for its value."""
        return compile_template(self._bound, self._reads, valued=self.alone)

    def over(self, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object]) -> Render:
        """Bound to a batch: (row, random seed, the row's `url`) → the text, which raises as `render` does.

        columns: the user's, at least those that `columns` names, or all. scope: what is the same for all rows.
        """
        user_at = _rows(columns)

        def again(row: int, seed: bytes, url: object) -> str:
            return self.interpreted({**scope, "user": user_at(row), "url": url}, seed)

        code = self.compiled
        return again if code is None else _bound(code, columns, scope, again)

    def wire(self, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object]) -> RenderWire:
        """As `over`, for what is sent by e-mail: WireText wherever it can be made at once, else the text."""
        text = cache(lambda: self.over(columns, scope))
        code = self.wired
        if code is None:
            return text()

        def again(row: int, seed: bytes, url: object) -> str:
            return text()(row, seed, url)

        bound: RenderWire = _bound(code, columns, scope, again)
        return bound

    def values(self, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object]) -> RenderValue:
        """As `over`, of a template that is `alone`: its value, as JSON has it."""
        user_at = _rows(columns)

        def again(row: int, seed: bytes, url: object) -> Any:
            return self.interpreted_value({**scope, "user": user_at(row), "url": url}, seed)

        code = self.valued
        return again if code is None else _bound(code, columns, scope, again)

    def render(self, scope: Mapping[str, object], *, random_seed: bytes = b"") -> str:
        """The text for one person. Equal scope and seed give equal text. Raises Skip or Refusal, nothing else.

        scope: any of user, event, campaign, run, params, url, now; other keys are not seen, nor is event where the
        row is that of an event. random_seed: the message key, from which `{% random %}` draws.
        """
        code = self.compiled
        if code is None:
            return self.interpreted(scope, random_seed)
        absent = code.undefined
        user: Any = scope.get("user", absent)

        def column(name: str) -> tuple[object]:
            try:
                return (user[name],)
            except (KeyError, TypeError, IndexError):
                return (absent,)

        def again(row: int, seed: bytes, url: object) -> str:
            return self.interpreted(scope, seed)

        try:
            render: Render = code.bind(column, lambda row: user, scope, again)
        except Exception:  # noqa: BLE001 - whatever the row does when it is asked, the interpreter says what comes of it
            render = again
        return render(0, random_seed, scope.get("url", absent))

    def interpreted(self, scope: Mapping[str, object], random_seed: bytes) -> str:
        """As `render`, by python-liquid alone, which defines what the compiled template has to be equal to."""
        return self._told(self._render, scope, random_seed)

    def interpreted_value(self, scope: Mapping[str, object], random_seed: bytes) -> object:
        """As `interpreted`, for `values`."""
        return self._told(self._evaluate, scope, random_seed)

    def _told(self, make: Callable[[Context], Made], scope: Mapping[str, object], random_seed: bytes) -> Made:
        """What is made in a context; whatever goes wrong becomes a Refusal."""
        scope = self._with_row(scope)
        try:
            context = Context(self._bound, globals={name: scope[name] for name in OBJECTS if name in scope})
            context.state = State(scope.get("now"), random_seed)
            return make(context)
        except (Skip, Refusal, MemoryError):  # what the scope computes, such as links, may refuse; memory is the run's
            raise
        except Exception as error:  # noqa: BLE001 - one person's data must never end the run
            refusal = refusal_of(error, scope)
        # Raised outside the handler, so that the error, which may hold a value, does not travel along as its context.
        raise refusal

    def _with_row(self, scope: Mapping[str, object]) -> Mapping[str, object]:
        """The scope with the row under all of its names."""
        assert isinstance(self._bound.env, Environment)
        rows = self._bound.env.rows
        if len(rows) == 1:
            return scope
        others = {name: value for name, value in scope.items() if name not in rows}
        return {**others, **dict.fromkeys(rows, scope["user"])} if "user" in scope else others

    def _render(self, context: Context) -> str:
        buffer = Buffer()
        with suppress(StopRender):  # a layout has been rendered instead of the nodes that follow
            for node in self._bound.nodes:
                _within(node, node.render, context, buffer)
        text = buffer.getvalue()
        if len(text) * 4 > OUTPUT_BYTES and len(text.encode()) > OUTPUT_BYTES:
            raise TooLarge("the output is longer than 2 MB", self._bound.nodes[0].token)
        return text

    def _evaluate(self, context: Context) -> object:
        node = self.alone
        assert node is not None
        return _within(node, node.structure, context)


def _bound(code: Compiled, columns: Mapping[str, Sequence[object]], scope: Mapping[str, object], again: Render) -> Any:
    absent = _Always(code.undefined)
    return code.bind(lambda name: columns.get(name, absent), _rows(columns), scope, again)


def _rows(columns: Mapping[str, Sequence[object]]) -> Callable[[int], object]:
    return lambda row: {name: values[row] for name, values in columns.items()}


class _Always(Sequence[object]):
    """A column that the data does not have."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __getitem__(self, row: Any) -> Any:
        return self._value

    def __len__(self) -> int:
        return 0


def _within(node: Node, act: Callable[..., Made], *arguments: object) -> Made:
    """What this node does; whatever goes wrong within it has at least the node's place."""
    try:
        return act(*arguments)
    except LiquidError as error:
        error.token = error.token or node.token
        raise
    except (Skip, Refusal, StopRender, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - python-liquid lets errors of values through; they may quote the value
        raise LiquidError("", token=node.token) from None
