"""What is kept of positions is them, and stands in their order."""

from __future__ import annotations

import pyarrow
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import compute

from connect.pipeline.positions import number, packed, unpacked
from connect.pipeline.ranges import place_behind

numbers = st.lists(st.integers(0, (1 << 128) - 1), max_size=50)
slices = st.slices(60)


@given(numbers, slices, slices, st.booleans())
def test_positions_come_back_also_of_a_part_of_a_part(
    some: list[int], first: slice, second: slice, large: bool
) -> None:
    first, second = slice(*first.indices(len(some))[:2]), slice(*second.indices(len(some))[:2])
    digits = [f"{number:032x}" for number in some]
    given = pyarrow.array(digits, pyarrow.large_string() if large else pyarrow.string())
    assert unpacked(packed(given[first])[second]) == digits[first][second]


@given(numbers, st.integers(0, (1 << 128) - 1))
def test_they_have_the_order_of_their_digits(some: list[int], bound: int) -> None:
    digits = [f"{number:032x}" for number in some]
    positions = packed(pyarrow.array(digits, pyarrow.string()))
    ascending = positions.take(compute.sort_indices(positions))
    assert unpacked(ascending) == sorted(digits)
    assert place_behind(ascending, number(f"{bound:032x}")) == sum(number <= bound for number in some)


def test_they_need_less_than_half_of_the_memory() -> None:
    given = pyarrow.array([f"{number:032x}" for number in range(1000)])
    assert packed(given).nbytes * 2 < given.nbytes
