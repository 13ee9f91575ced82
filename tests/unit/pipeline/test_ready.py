"""Calls that are ready leave in their order, each once, and never more at a time than there is room for."""

from __future__ import annotations

from connect.pipeline.packing import Packed
from connect.pipeline.ready import Ready


def _calls(count: int) -> list[Packed]:
    return [Packed([]) for _ in range(count)]


def test_calls_leave_in_order_as_far_as_there_is_room() -> None:
    left: list[Packed] = []
    ready, calls = Ready(2, left.append), _calls(4)
    ready.put(calls[:1])
    assert ready.room == 1
    ready.put(calls[1:])
    assert [id(call) for call in left] == [id(call) for call in calls[:2]]
    assert (len(ready), ready.room) == (2, 0)
    ready.landed()
    assert (left[-1], len(ready), ready.room) == (calls[2], 1, 0)


def test_who_has_landed_may_take_the_next_one_along() -> None:
    left: list[Packed] = []
    ready, calls = Ready(1, left.append), _calls(2)
    ready.put(calls)
    assert ready.taken() is calls[1]
    assert ready.taken() is None
    assert (len(left), len(ready), ready.room) == (1, 0, 1)


def test_a_thousand_that_land_at_once_do_not_go_ever_deeper() -> None:
    def leave(call: Packed) -> None:
        left.append(call)
        ready.landed()

    left: list[Packed] = []
    ready, calls = Ready(3, leave), _calls(5000)
    ready.put(calls)
    assert [id(call) for call in left] == [id(call) for call in calls]
    assert ready.room == 3


def test_one_who_can_not_leave_keeps_no_other_from_leaving() -> None:
    def leave(call: Packed) -> None:
        left.append(call)
        if len(left) == 1:
            raise OSError

    left: list[Packed] = []
    ready, calls = Ready(9, leave), _calls(2)
    try:
        ready.put(calls[:1])
    except OSError:
        ready.put(calls[1:])
    assert len(left) == 2
