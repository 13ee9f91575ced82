"""How large things may be. python-liquid has no limits of its own unless told, and none for filters on large input."""

from __future__ import annotations

from connect.liquid.trouble import TooLarge

LOOP_ITERATIONS = 100_000
OUTPUT_BYTES = 2_000_000
OUTPUT_CHARACTERS = OUTPUT_BYTES // 4
"""More may be more than OUTPUT_BYTES: the interpreter decides."""
LOCAL_NAMESPACE_BYTES = 5_000_000
TEMPLATE_CHARACTERS = 1_000_000
VALUE_CHARACTERS = 1_000_000
LIST_ITEMS = 10_000  # sorting or printing as many structures takes a fifth of a second
CONTEXT_DEPTH = 30
BLOCK_NESTING = 30
INTEGER_BITS = 4_096


def measure(value: object) -> None:
    """Refuse a single value that is larger than a message could need. Looks at the value only, never inside it."""
    if isinstance(value, (str, bytes)):
        if len(value) > VALUE_CHARACTERS:
            raise TooLarge("a value is longer than 1 MB")
    elif isinstance(value, range):
        # len() of a range beyond 2**63 overflows
        if value.stop - value.start > LOOP_ITERATIONS:
            raise TooLarge("a range has more than 100,000 items")
    elif isinstance(value, (list, tuple)):
        if len(value) > LIST_ITEMS:
            raise TooLarge("a list has more than 10,000 items")
    elif isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        raise TooLarge("a number has more than a thousand digits")
