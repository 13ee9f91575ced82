"""What one rendering knows: the scope, where it came from, and how much it has written."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from liquid import BoundTemplate, RenderContext, Token
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

from connect.liquid.filters import FILTERS
from connect.liquid.limits import OUTPUT_BYTES, measure
from connect.liquid.source import Source
from connect.liquid.trouble import TooLarge

if TYPE_CHECKING:
    from connect.liquid.environment import Environment
    from connect.liquid.layout import BlockNode

OBJECTS = ("user", "event", "campaign", "run", "params", "url", "now")
"""What a template can name without having made it itself."""


@dataclass(slots=True)
class State:
    """What all contexts of one rendering share."""

    now: object
    random_seed: bytes
    occurrences: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))

    def random(self, token: Token, highest: int) -> int:
        """0 to highest, inclusive: from the seed, the place in the templates, and how often it was drawn there."""
        source = token.source.text.source if isinstance(token.source, Source) else token.source
        place = hashlib.blake2b(source.encode(), digest_size=16).digest() + token.start_index.to_bytes(8, "big")
        times = self.occurrences[place]
        self.occurrences[place] += 1
        drawn = hashlib.blake2b(self.random_seed, digest_size=16, person=b"connect-random")
        drawn.update(place + times.to_bytes(8, "big"))
        return int.from_bytes(drawn.digest(), "big") % (highest + 1)


class Buffer(StringIO):
    """What has been written so far, counting what the buffers around it hold; refuses to grow beyond the limit."""

    def __init__(self, held: int = 0) -> None:
        super().__init__(newline="")
        self.size = held

    def write(self, text: str) -> int:
        self.size += len(text)
        if self.size > OUTPUT_BYTES:
            raise TooLarge("the output is longer than 2 MB")
        return super().write(text)


class Context(RenderContext):
    """python-liquid's context, without its clock (`now` and `today`), and with our limits."""

    __slots__ = ("blocks", "state")

    env: Environment

    def __init__(
        self,
        template: BoundTemplate,
        *,
        globals: Mapping[str, object] | None = None,
        disabled_tags: list[str] | None = None,
        copy_depth: int = 0,
        parent_context: RenderContext | None = None,
        loop_iteration_carry: int = 1,
        local_namespace_size_carry: int = 0,
    ) -> None:
        super().__init__(
            template,
            globals=globals,
            disabled_tags=disabled_tags,
            copy_depth=copy_depth,
            parent_context=parent_context,
            loop_iteration_carry=loop_iteration_carry,
            local_namespace_size_carry=local_namespace_size_carry,
        )
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.state: State = parent_context.state if isinstance(parent_context, Context) else State(None, b"")
        self.blocks: Mapping[str, tuple[BlockNode, ...]] = {}

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """The value of a path, measured. The path is never named by its values: they may be the audience's."""
        root = path[0]
        try:
            found: Any = self.scope[root]  # type: ignore[index]
            for depth, segment in enumerate(path[1:]):
                found = found[segment] if depth == 0 and root in OBJECTS else self.get_item(found, segment)
        except (KeyError, TypeError, IndexError):
            return self.env.undefined("", token=token) if default is UNDEFINED else default
        measure(found)
        return found

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = self.env.filters[name]
        return partial(function, now=self.state.now) if FILTERS[name].needs == "now" else function

    def get_buffer(self, buf: TextIO | None = None) -> Buffer:
        return Buffer(buf.size if isinstance(buf, Buffer) else 0)

    def copy(
        self,
        namespace: Mapping[str, object],
        disabled_tags: list[str] | None = None,
        carry_loop_iterations: bool = False,
        template: BoundTemplate | None = None,
        block_scope: bool = False,
    ) -> Context:
        copied = super().copy(namespace, disabled_tags, carry_loop_iterations, template, block_scope)
        assert isinstance(copied, Context)
        if block_scope:
            copied.blocks = self.blocks
        return copied
