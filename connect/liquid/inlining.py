"""Rendered templates, layouts and blocks, written where they are rendered: which ones is known beforehand."""

from __future__ import annotations

from liquid.builtin.expressions import Path
from liquid.builtin.tags.render_tag import RenderNode

from connect.liquid.frames import Frame, Loop, Meaning, Super, Variable, not_an_object
from connect.liquid.layout import BlockNode, LayoutNode
from connect.liquid.loops import begin_round, head, limit, times
from connect.liquid.nodes import write_all, write_statements
from connect.liquid.program import Program
from connect.liquid.writing import Block, NotCompiled

_DEEPEST = 25


def write_layout(program: Program, node: LayoutNode, block: Block, frame: Frame) -> None:
    """What stands beside the blocks and prints nothing, then the outermost template with these blocks."""
    assert node.plan is not None  # a template that is not linked to its layout is not compiled
    program.flush(block)
    outer, program.buffer = program.buffer, None
    write_all(program, node.plan.statements, block, frame)
    block.pieces.clear()
    program.buffer = outer
    frame.blocks = node.plan.blocks
    write_all(program, node.plan.base, block, frame)


def write_block(program: Program, node: BlockNode, block: Block, frame: Frame) -> None:
    write_definitions(program, frame.blocks.get(node.name) or (node,), block, frame)


def write_definitions(program: Program, definitions: tuple[BlockNode, ...], block: Block, frame: Frame) -> None:
    """The first definition; `block.super` within it is the next."""
    if not definitions:
        return
    inner = _framed(program, frame, is_block=True, given={"block": Super(definitions[1:], frame)}, blocks=frame.blocks)
    inner.collect([definitions[0].block], program.static)
    body = block.inner()
    write_statements(program, definitions[0].block, body, inner)
    _insert(program, body, block, inner)


def write_super(program: Program, outer: Super, block: Block) -> None:
    program.enclosing.append("super")
    write_definitions(program, outer.definitions, block, outer.frame)
    program.enclosing.pop()


def _framed(program: Program, frame: Frame, **what: object) -> Frame:
    if frame.depth > _DEEPEST:
        raise NotCompiled("templates far within templates")
    return Frame(frame.constants, frame.depth + 1, frame, product=frame.product, **what)  # type: ignore[arg-type]


def _insert(program: Program, body: Block, block: Block, inner: Frame) -> None:
    """Put the statements of an inner frame into the outer, behind those that make it empty."""
    entry = inner.entry()
    if entry or body.lines:
        program.flush(body)
        program.flush(block)
        block.lines += entry + body.lines
    else:
        block.print_all(body.pieces)


def write_render(program: Program, node: RenderNode, block: Block, frame: Frame) -> None:
    name = str(getattr(node.name, "value", node.name))
    if name in program.templates:
        raise NotCompiled("a template that renders itself")
    program.templates.append(name)
    given: dict[str, Meaning] = {}
    for argument in node.args:
        not_an_object(argument.name)
        given[argument.name] = _given(program, argument.value, block, frame)
    if node.var is not None and node.loop:
        _render_each(program, node, name, given, block, frame)
    else:
        if node.var is not None:
            not_an_object(str(node.alias))
            given[str(node.alias)] = _given(program, node.var, block, frame)
        _render(program, name, given, block, frame)
    program.templates.pop()


def _given(program: Program, expression: object, block: Block, frame: Frame) -> Meaning:
    """What the rendered template is given: a value, or the loop itself."""
    if isinstance(expression, Path) and len(expression.path) == 1 and isinstance(expression.path[0], str):
        meaning = next(frame.meanings(expression.path[0]), None)
        if isinstance(meaning, Loop):
            return meaning
    code = program.values.value(expression, frame)  # type: ignore[arg-type]
    if not isinstance(expression, Path):
        return Variable(program.bound(block, code))
    first, name = program.values.once(code)
    short = f"type({first}) is str and len({name}) <= MOST_CHARACTERS"
    return Variable(program.bound(block, f"({name} if {short} else measured({name}))"))


def _render(program: Program, name: str, given: dict[str, Meaning], block: Block, frame: Frame) -> None:
    inner = _rendered(program, frame, name, given)
    body = block.inner()
    write_all(program, program.nodes_of(name), body, inner)
    _insert(program, body, block, inner)


def _rendered(program: Program, frame: Frame, name: str, given: dict[str, Meaning]) -> Frame:
    inner = _framed(program, frame, given=given)
    inner.scopes.append({"partial": Variable(program.constant(True))})  # python-liquid puts it there
    inner.collect(program.nodes_of(name), program.static)
    return inner


def _render_each(
    program: Program, node: RenderNode, name: str, given: dict[str, Meaning], block: Block, frame: Frame
) -> None:
    """`render "card.html" for user.products`: one frame for all of them, as in python-liquid."""
    assert node.var is not None
    alias = str(node.alias)
    not_an_object(alias)
    items, length, item = (program.fresh(kind) for kind in "lnv")
    program.line(block, f"{items} = listed({program.values.measured(node.var, frame)})")
    block.line(f"{length} = len({items})")
    block.line(limit(length, frame))
    loop = Loop(alias, program.fresh("i"), length)
    inner = _rendered(program, frame, name, given | {"forloop": loop, alias: Variable(item)})
    inner.product = times(frame, length)
    body = block.inner()
    begin_round(program, body)
    program.enclosing.append("render")
    write_all(program, program.nodes_of(name), body, inner)
    program.enclosing.pop()
    program.flush(body)
    block.lines += inner.entry()
    block.nest(head(loop, item, items), body)
