"""One writer at a time, in the order in which they came."""

from __future__ import annotations

import threading

import pytest

from connect.ledger.turns import Turns


def waiting(turns: Turns, count: int) -> None:
    while len(turns._waiting) < count:
        pass


def test_who_comes_first_is_served_first() -> None:
    turns, served = Turns(60), []

    def serve(number: int) -> None:
        with turns.mine():
            served.append(number)

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(5)]
    with turns.mine():
        for number, thread in enumerate(threads):
            thread.start()
            waiting(turns, number + 1)
        assert served == []
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_two_never_have_a_turn_at_once() -> None:
    turns, inside, most = Turns(60), [], []

    def serve() -> None:
        for _ in range(200):
            with turns.mine():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (800, 1)


def test_who_has_waited_for_too_long_goes_ahead_and_leaves_the_line() -> None:
    turns = Turns(0.01)
    with turns.mine(), turns.mine():
        assert not turns._waiting
    with turns.mine():
        pass


def test_what_goes_wrong_inside_gives_the_turn_back() -> None:
    turns = Turns(60)
    with pytest.raises(ZeroDivisionError), turns.mine():
        raise ZeroDivisionError
    with turns.mine():
        pass
