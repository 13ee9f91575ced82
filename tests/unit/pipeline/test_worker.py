"""A worker that has dealt everything waits for all of its lanes, and for what stops any of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connect.pipeline.worker import Worker


class Lane:
    """As much of one as is drained. `then` happens while it is."""

    def __init__(self) -> None:
        self.idle, self.trouble, self.drained = True, None, 0
        self.then: Callable[[], None] = lambda: None

    async def drain(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.drained += 1
        self.then()
        self.idle = True


@pytest.fixture
def lanes() -> list[Lane]:
    return [Lane(), Lane()]


@pytest.fixture
def worker(lanes: list[Lane]) -> Worker:
    worker = Worker.__new__(Worker)
    worker.lanes = dict(zip(("mail", "spare"), lanes, strict=True))  # type: ignore[arg-type]
    return worker


async def test_a_lane_that_is_handed_something_after_it_drained_is_drained_again(
    worker: Worker, lanes: list[Lane]
) -> None:
    mail, spare = lanes

    def hand_over() -> None:
        mail.idle = spare.drained > 1

    spare.then = hand_over
    await worker.drain()
    assert (mail.drained, spare.drained) == (2, 2)


async def test_what_stops_a_lane_after_it_drained_is_raised(worker: Worker, lanes: list[Lane]) -> None:
    """It has let go of what it was handed, and so it is idle: those people are not done."""
    mail, spare = lanes
    spare.then = lambda: setattr(mail, "trouble", RuntimeError("provider-quota"))
    with pytest.raises(RuntimeError, match="provider-quota"):
        await worker.drain()
