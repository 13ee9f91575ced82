"""Writing the nodes of a tree one after the other, each by the function for its class."""

from __future__ import annotations

from collections.abc import Iterable

from liquid import Node
from liquid.ast import BlockNode as Statements

from connect.liquid.frames import Frame
from connect.liquid.layout import LayoutNode
from connect.liquid.program import Program
from connect.liquid.writing import Block, NotCompiled


def write_all(program: Program, nodes: Iterable[Node], block: Block, frame: Frame) -> None:
    """The nodes in order. A layout takes the place of all that follow."""
    for node in nodes:
        program.seen()
        write = program.writers.get(type(node))
        if write is None:
            raise NotCompiled(type(node).__name__)
        write(program, node, block, frame)
        if isinstance(node, LayoutNode):
            return


def write_statements(program: Program, statements: Statements, block: Block, frame: Frame) -> None:
    """The nodes of a block, which prints nothing if there are only blanks in it."""
    outer = program.buffer
    if statements.blank and outer is not None:
        program.flush(block)
        program.buffer = None
    write_all(program, statements.nodes, block, frame)
    if program.buffer is None:
        block.pieces.clear()  # blanks
    program.buffer = outer


def write_body(program: Program, statements: Statements | None, block: Block, frame: Frame) -> Block:
    """The nodes of a block as a body of its own, for use within `block`."""
    body = block.inner()
    if statements is not None:
        write_statements(program, statements, body, frame)
    return body
