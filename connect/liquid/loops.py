"""Loops as Python loops. Of `forloop` only what is asked for is kept."""

from __future__ import annotations

from liquid.builtin.expressions import LoopExpression, StringLiteral
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.tablerow_tag import TableRow, TablerowNode

from connect.liquid.frames import Frame, Loop, Meaning, Table, Variable, not_an_object
from connect.liquid.limits import LIST_ITEMS
from connect.liquid.nodes import write_body, write_statements
from connect.liquid.program import Program
from connect.liquid.writing import Block


def write_for(program: Program, node: ForNode, block: Block, frame: Frame) -> None:
    expression = node.expression
    name = str(expression.identifier)
    not_an_object(name)
    items, length = _items(program, expression, block, frame)
    item = program.fresh("v")
    loop = Loop(
        name=f"{name}-{expression.iterable}",
        index=program.fresh("i"),
        length=length,
        parent=frame.loops[-1] if frame.loops else None,
    )
    inside: dict[str, Meaning] = {"forloop": loop, name: Variable(item)}
    frame.loops.append(loop)
    body = _repeated(program, node, block, frame, inside, length)
    frame.loops.pop()
    rounds = block.inner()
    rounds.line(limit(length, frame))
    rounds.nest(head(loop, item, items), body)
    block.nest(f"if {length}:", rounds)
    if node.default is not None:
        default = write_body(program, node.default, block, frame)
        program.flush(default)
        block.nest("else:", default)


def _repeated(
    program: Program, node: ForNode | TablerowNode, block: Block, frame: Frame, inside: dict[str, Meaning], length: str
) -> Block:
    """What is done for each item."""
    body = block.inner()
    begin_round(program, body)
    outer, frame.product = frame.product, times(frame, length)
    frame.scopes.append(inside)
    program.enclosing.append("for" if isinstance(node, ForNode) else "tablerow")
    write_statements(program, node.block, body, frame)
    program.flush(body)
    program.enclosing.pop()
    frame.scopes.pop()
    frame.product = outer
    return body


def times(frame: Frame, length: str) -> str:
    return f"{frame.product} * {length}" if frame.product else length


def limit(length: str, frame: Frame) -> str:
    """Loops within loops: their product counts, as in the interpreter, before the first item."""
    return f"if {times(frame, length)} > MOST_LOOPS: raise GiveUp"


def head(loop: Loop, item: str, items: str) -> str:
    return f"for {loop.index}, {item} in enumerate({items}):" if loop.counted else f"for {item} in {items}:"


def begin_round(program: Program, body: Block) -> None:
    """Count, and every now and then look how much has been written."""
    body.line("rounds += 1")
    if program.in_pairs:
        body.line(f"if not rounds & 63: bounded({program.buffer}, rounds, size)")
    elif program.buffer is not None:
        body.line(f"if not rounds & 63: compact({program.buffer}, size)")


def _items(program: Program, expression: LoopExpression, block: Block, frame: Frame) -> tuple[str, str]:
    """The variables of the items and of their number."""
    items, length, loop = program.fresh("l"), program.fresh("n"), program.constant(expression)
    first, name = program.values.once(program.values.value(expression.iterable, frame))
    listed = f"({name} if type({first}) is list and len({name}) <= {LIST_ITEMS} else sequence({loop}, {name}))"
    stops = program.stops(frame)
    if expression.limit is not None or expression.offset is not None:
        most = program.values.measured(expression.limit, frame) if expression.limit is not None else "None"
        start = "None"
        if expression.offset is not None and not isinstance(expression.offset, StringLiteral):
            start = program.values.measured(expression.offset, frame)
        listed = f"cut({loop}, {listed}, {stops or 'Stops()'}, {most}, {start})"
    program.line(block, f"{items} = {listed}")
    block.line(f"{length} = len({items})")
    if expression.limit is None and expression.offset is None:
        if expression.reversed:
            block.line(f"{items} = {items}[::-1]")
        if stops:
            block.line(
                f"{stops}.stopindex({program.constant(f'{expression.identifier}-{expression.iterable}')}, {length})"
            )
    return items, length


def write_tablerow(program: Program, node: TablerowNode, block: Block, frame: Frame) -> None:
    expression = node.expression
    name = str(expression.identifier)
    not_an_object(name)
    items, length = _items(program, expression, block, frame)
    columns = f"table_columns({program.values.measured(expression.cols, frame)})" if expression.cols else length
    table, item = program.fresh("x"), program.fresh("v")
    inside: dict[str, Meaning] = {"tablerowloop": Table(table), name: Variable(item)}
    body = block.inner()
    body.line(f"{table}.step()")
    body.literal('<td class="col')
    body.text(f"str({table}.col)")
    body.literal('">')
    program.flush(body)
    body.lines += _repeated(program, node, block, frame, inside, length).lines
    body.literal("</td>")
    body.text(f"row_end({table})")
    program.flush(body)
    rows = block.inner()
    rows.line(limit(length, frame))
    rows.line(f"{table} = {program.constant(TableRow)}({program.constant(name)}, (), {length}, {columns})")
    rows.literal('<tr class="row1">\n')
    program.flush(rows)
    rows.nest(f"for {item} in {items}:", body)
    rows.literal("</tr>\n")
    program.flush(rows)
    block.nest(f"if {length}:", rows)
