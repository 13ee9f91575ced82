"""Liquid's nodes as Python statements. What stands in a row and only prints becomes one expression."""

from __future__ import annotations

from collections.abc import Mapping

from liquid import Node
from liquid.ast import BlockNode as Statements
from liquid.ast import IllegalNode
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.decrement_tag import DecrementNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.ifchanged_tag import IfChangedNode
from liquid.builtin.tags.increment_tag import IncrementNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.render_tag import RenderNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.builtin.tags.unless_tag import UnlessNode

from connect.liquid.frames import Frame
from connect.liquid.inlining import write_block, write_layout, write_render, write_super
from connect.liquid.layout import BlockNode, LayoutNode
from connect.liquid.loops import write_for, write_tablerow
from connect.liquid.nodes import write_body, write_statements
from connect.liquid.program import Program, Write
from connect.liquid.tags import CycleNode, OutputNode, RandomNode, SkipNode
from connect.liquid.writing import Block, NotCompiled


def _content(program: Program, node: ContentNode, block: Block, frame: Frame) -> None:
    block.literal(node.text)


def _nothing(program: Program, node: Node, block: Block, frame: Frame) -> None:
    pass


def _output(program: Program, node: OutputNode, block: Block, frame: Frame) -> None:
    expression = node.expression
    left = expression.left if isinstance(expression, FilteredExpression) else expression
    outer = program.values.is_super(left, frame)
    if outer is None:
        program.print(block, expression, frame)
    elif isinstance(expression, FilteredExpression) and not expression.filters:
        write_super(program, outer, block)
    else:
        raise NotCompiled("filters on what a layout prints")


def _assign(program: Program, node: AssignNode, block: Block, frame: Frame) -> None:
    program.keep(block, frame.variables[str(node.name)], program.filtered(node.expression, frame))


def _captured(program: Program, statements: Statements, block: Block, frame: Frame) -> str:
    """The variable of what the statements print."""
    program.flush(block)
    buffer, outer = program.fresh("parts"), program.buffer
    program.buffer = buffer
    program.buffers.append(buffer)
    body = write_body(program, statements, block, frame)
    text = program.fresh("s")
    if body.lines:
        program.flush(body)
        block.line(f"{buffer} = []")
        block.lines += body.lines
        block.line(f"{text} = joined({buffer})")
    else:
        block.line(f"{text} = {body.joined(body.pieces)}")
    program.buffers.remove(buffer)
    program.buffer = outer
    block.line(f"size = captured(size, {text})")
    return text


def _capture(program: Program, node: CaptureNode, block: Block, frame: Frame) -> None:
    text = _captured(program, node.block, block, frame)
    block.line(f"{frame.variables[str(node.name)]} = {f'Markup({text})' if program.escaping else text}")


def _ifchanged(program: Program, node: IfChangedNode, block: Block, frame: Frame) -> None:
    frame.changed = frame.changed or program.fresh("x")
    text = _captured(program, node.block, block, frame)
    body = block.inner()
    body.line(f"{frame.changed} = {text}")
    if program.buffer is not None:
        body.text(text)
    program.flush(body)
    block.nest(f"if {text} != {frame.changed}:", body)


def _if(program: Program, node: IfNode | UnlessNode, block: Block, frame: Frame) -> None:
    condition = program.values.condition(node.condition, frame)
    first = f"(not {condition})" if isinstance(node, UnlessNode) else condition
    bodies = [(first, write_body(program, node.consequence, block, frame))]
    for other in node.alternatives:
        bodies.append(
            (program.values.condition(other.expression, frame), write_body(program, other.block, block, frame))
        )
    bodies.append(("", write_body(program, node.default, block, frame)))
    pieces = any(body.pieces for _, body in bodies)
    if any(body.lines for _, body in bodies) or (pieces and program.in_pairs):
        _branches(program, bodies, block)
    elif pieces:
        block.text(f"({' else '.join(body.fused(body.pieces) + (test and f' if {test}') for test, body in bodies)})")
    else:
        # nothing is printed, and yet what is asked may be refused
        program.line(block, " or ".join(test for test, _ in bodies if test))


def _branches(program: Program, bodies: list[tuple[str, Block]], block: Block) -> None:
    program.flush(block)
    for number, (test, body) in enumerate(bodies):
        program.flush(body)
        if test or body.lines:
            block.nest(f"{'elif' if number else 'if'} {test}:" if test else "else:", body)


def _case(program: Program, node: CaseNode, block: Block, frame: Frame) -> None:
    """Every `when` that matches is printed, and an `else` if none before it did."""
    program.flush(block)
    found = program.fresh("x")
    block.line(f"{found} = False")
    for part in node.blocks:
        if isinstance(part, MultiExpressionBlockNode):
            _when(program, part, block, frame, found)
        else:
            body = write_body(program, part, block, frame)
            program.flush(body)
            block.nest(f"if not {found}:", body)


def _when(program: Program, part: MultiExpressionBlockNode, block: Block, frame: Frame, found: str) -> None:
    matches = program.values.matches(part.expression, frame)
    test, count = matches[0], ""
    if len(matches) > 1:
        count = program.fresh("x")
        test = f"({count} := {' + '.join(matches)})"
    body = block.inner()
    body.line(f"{found} = True")
    if count:
        body.line(f"if {count} > 1: raise GiveUp")  # it would be printed as often
    write_statements(program, part.block, body, frame)
    program.flush(body)
    block.nest(f"if {test}:", body)


def _cycle(program: Program, node: CycleNode, block: Block, frame: Frame) -> None:
    frame.cycles = frame.cycles or program.fresh("x")
    values = ", ".join(program.values.measured(argument, frame) for argument in node.args)
    group = f"text_of({program.values.measured(node.group, frame)})" if node.group else program.constant("")
    program.print_value(block, f"turn({frame.cycles}, {group}, [{values}])")


def _increment(program: Program, node: IncrementNode, block: Block, frame: Frame) -> None:
    counter = frame.counters[str(node.name)]
    program.line(block, f"{counter} = 1 if {counter} is UNSET else {counter} + 1")
    block.text(f"str({counter} - 1)")


def _decrement(program: Program, node: DecrementNode, block: Block, frame: Frame) -> None:
    counter = frame.counters[str(node.name)]
    program.line(block, f"{counter} = -1 if {counter} is UNSET else {counter} - 1")
    block.text(f"str({counter})")


def _skip(program: Program, node: SkipNode, block: Block, frame: Frame) -> None:
    program.line(block, f"raise skipped({program.constant(node.reason)}, size, {', '.join(program.buffers)})")


def _random(program: Program, node: RandomNode, block: Block, frame: Frame) -> None:
    program.draws = True
    limit = f"random_limit(needed({program.values.value(node.highest, frame)}))"
    block.text(f"str(state.random({program.constant(node.token)}, {limit}))")


def _liquid(program: Program, node: LiquidNode, block: Block, frame: Frame) -> None:
    write_statements(program, node.block, block, frame)


def _leave(program: Program, node: BreakNode | ContinueNode, block: Block, frame: Frame) -> None:
    if program.enclosing[-1:] != ["for"]:
        raise NotCompiled("a table or an outer loop is left")
    program.line(block, "break" if isinstance(node, BreakNode) else "continue")


WRITERS: Mapping[type[Node], Write] = {
    ContentNode: _content,
    OutputNode: _output,
    AssignNode: _assign,
    CaptureNode: _capture,
    IfNode: _if,
    UnlessNode: _if,
    CaseNode: _case,
    ForNode: write_for,
    TablerowNode: write_tablerow,
    CycleNode: _cycle,
    IncrementNode: _increment,
    DecrementNode: _decrement,
    IfChangedNode: _ifchanged,
    LiquidNode: _liquid,
    RenderNode: write_render,
    SkipNode: _skip,
    RandomNode: _random,
    LayoutNode: write_layout,
    BlockNode: write_block,
    BreakNode: _leave,
    ContinueNode: _leave,
    CommentNode: _nothing,
    InlineCommentNode: _nothing,
    DocNode: _nothing,
    IllegalNode: _nothing,
}
