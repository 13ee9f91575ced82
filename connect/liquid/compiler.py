"""A template's parse tree as one Python function over columns.

The function is made once for each template and bound once for each batch of rows. It prints what the interpreter
prints; where anything goes wrong in it, or is too large for it, the interpreter renders that row again and so defines
every error. Some templates are left to the interpreter as a whole: those that render themselves, that ask for objects
by names which only the data knows, that give an object's name to something else, or use a loop as a value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liquid import BoundTemplate

from connect.liquid.calls import Calls
from connect.liquid.environment import Environment
from connect.liquid.frames import Frame
from connect.liquid.lines import longest_line
from connect.liquid.nodes import write_all
from connect.liquid.program import Program
from connect.liquid.reads import Reads
from connect.liquid.runtime import for_environment, keeper
from connect.liquid.statements import WRITERS
from connect.liquid.tags import OutputNode
from connect.liquid.values import Values
from connect.liquid.wire import literals_of
from connect.liquid.writing import Block, Constants, NotCompiled

Render = Callable[[int, bytes, object], str]
"""(row, random seed, the row's `url`) → the text."""
_MANY = 64


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template as Python. `columns` and `objects` are what `_bind` takes, in order."""

    columns: tuple[str, ...]
    objects: tuple[str, ...]
    undefined: object
    source: str
    _bind: Callable[..., Any]

    def bind(
        self,
        column: Callable[[str], Sequence[object]],
        user_at: Callable[[int], object],
        scope: Mapping[str, object],
        again: Render,
    ) -> Any:
        """For a batch: `column` gives a column's values, `user_at` a whole row, `again` renders by interpreter."""
        columns = [column(name) for name in self.columns]
        objects = [scope.get(name, self.undefined) for name in self.objects]
        return self._bind(*columns, *objects, user_at, scope.get("now"), again)


def compile_template(
    template: BoundTemplate, reads: Reads, *, wire: bool = False, valued: OutputNode | None = None
) -> Compiled | None:
    """None where the interpreter has to do it. `wire`: what it renders is WireText.

    `valued`: the only node, of which a row gives the value as JSON has it.
    """
    try:
        return _compiled(template, reads, wire, valued)
    except (NotCompiled, SyntaxError, RecursionError, MemoryError):
        return None  # Python's own limits on nesting are lower than Liquid's


def _compiled(template: BoundTemplate, reads: Reads, wire: bool, valued: OutputNode | None) -> Compiled:
    assert isinstance(template.env, Environment)
    constants = Constants(for_environment(template.env))
    values = Values(template.env, constants, reads.whole)
    guarded = reads.prints > _MANY
    program = Program(
        values, Calls(values), template.env.static_context(), WRITERS, reads.continues, guarded, wire=wire
    )
    frame = Frame(constants)
    frame.collect(template.nodes, program.static)
    if valued is None:
        body = Block(constants)
        write_all(program, template.nodes, body, frame)
        lines = _text(program, frame, body)
    else:
        lines = [f"return valued({program.filtered(valued.expression, frame)})"]
    constants.values |= {"keep": keeper(program.kept_bytes()), "MOST_KEPT": program.kept_bytes() // 5}
    source = _source(program, lines)
    names: dict[str, Any] = dict(constants.values)
    tree = ast.parse(source)
    if wire:
        names["LITERALS"] = literals_of(sorted(program.literals), longest_line(tree, program.buffers[0], names))
    tree = _Spelled(names).visit(tree)
    exec(compile(tree, "<liquid>", "exec"), names)
    objects = tuple(name for name in values.objects if name not in (*template.env.rows, "url"))
    return Compiled(tuple(values.columns), objects, names["U"], source, names["bind"])


class _Spelled(ast.NodeTransformer):
    """Puts texts and whole numbers in the place of their names: Python finds them faster."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._names.get(node.id)
        known = isinstance(value, (str, int)) and type(value) in (str, int)  # a Markup is no constant of Python's
        return ast.copy_location(ast.Constant(value), node) if known else node  # type: ignore[arg-type]

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        value = self.visit(node.value)
        if isinstance(value, ast.Constant) and type(value.value) is str:
            return value
        node.value = value
        return node


def _source(program: Program, made: list[str]) -> str:
    values = program.values
    rows = [values.objects[name] for name in values.environment.rows if name in values.objects]
    shared = [variable for name, variable in values.objects.items() if variable not in rows and name != "url"]
    columns = {variable: f"{variable}s" for variable in values.columns.values()}
    lines = [f"{variable} = {column}[row]" for variable, column in columns.items()]
    lines += [f"{' = '.join(rows)} = user_at(row)"] if rows else []
    lines += [f"{values.objects['url']} = url"] if "url" in values.objects else []
    lines += ["state = State(now, seed)"] if program.draws else []
    lines += made
    return "\n".join(
        [
            f"def bind({', '.join((*columns.values(), *shared, 'user_at', 'now', 'again'))}):",
            " def render(row, seed, url):",
            "  try:",
            *(f"   {line}" for line in lines),
            "  except Skip:",
            "   raise",
            "  except Exception:",
            "   pass",  # so that the interpreter's error does not carry this one along, which may hold a value
            "  return again(row, seed, url)",
            " return render",
        ]
    )


def _text(program: Program, frame: Frame, body: Block) -> list[str]:
    entry = frame.entry()
    if not body.lines and not entry and not program.wire:
        written = [f"text_ = {body.joined(body.pieces)}"]
        return [*written, "if len(text_) > MOST_OUTPUT: raise GiveUp", "return text_"]
    program.flush(body)
    return [
        "parts = []",
        "size = rounds = 0",
        *entry,
        *body.lines,
        *(_WIRED if program.wire else _JOINED),
    ]


_JOINED = ("text_ = joined(parts)", "if size + len(text_) > MOST_OUTPUT: raise GiveUp", "return text_")
_WIRED = ("return wired(parts, size, LITERALS)",)
