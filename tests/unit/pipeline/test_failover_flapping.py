"""Accounts that flap, in every way at once: everybody is counted once, and nobody is given to two accounts."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from random import Random

import pytest

from connect.errors import RunTrouble
from connect.pipeline.failover import Failover
from connect.providers.interface import Idempotency, Receipt, Status
from connect.vocabulary import InDoubt

ROUTE = ("mail", "spare", "third")
PEOPLE = 120


class Account:
    """Takes messages for a while, then does something else for a while. Remembers what it may have taken."""

    def __init__(self, random, clock, taken):
        self._random, self._clock, self._taken = random, clock, taken
        self._until, self._kind = 0.0, None

    def __call__(self, outgoing, attempt):
        if self._clock.monotonic() >= self._until:
            self._until = self._clock.monotonic() + self._random.choice((1, 20, 90, 400))
            kinds = (None, None, "throttled", "long", "down", "hangs", "quota", "flaky")
            self._kind = self._random.choice(kinds)
        kind = self._random.choice((None, "down", "hangs", "throttled")) if self._kind == "flaky" else self._kind
        if kind in (None, "hangs"):
            self._taken.add(outgoing.key)
        return self._answer(kind)

    def _answer(self, kind):
        wait = timedelta(seconds=self._random.choice((5, 61, 300)))
        return {
            None: None,
            "throttled": Receipt(Status.throttled, "slow_down"),
            "long": Receipt(Status.throttled, "slow_down", retry_after=wait),
            "down": Receipt(Status.transient, "busy"),
            "hangs": Receipt(Status.ambiguous, "no_answer"),
            "quota": Receipt(Status.quota, "quota", retry_after=self._random.choice((None, wait))),
        }[kind]


@pytest.mark.parametrize("seed", [*range(10), 11, 41, 88])
async def test_accounts_that_flap(bench, clock, seed):
    random = Random(seed)
    failover, taken = Failover(), defaultdict(set)
    terms = random.choice(
        (
            {},
            {"in_doubt": InDoubt.resend},
            {"idempotent": True},
            {"idempotency": Idempotency.request_key, "max_batch": 5},
            {"max_batch": 7, "in_doubt": InDoubt.resend},
            {"max_batch": 7},
        )
    )
    for name in ROUTE:
        failover.lanes[name] = bench.lane(
            Account(random, clock, taken[name]),
            name=name,
            successor=failover.successor(name),
            comes_back=failover.comes_back(name),
            concurrency=random.choice((1, 3, 10)),
            **terms,
        )
    lanes = list(failover.lanes.values())
    try:
        for number in range(1, PEOPLE + 1):
            failover.first(ROUTE).add(bench.ticket(number, route=ROUTE))
            for lane in lanes:
                await clock.hurry(lane.room())
            clock.advance(random.choice((0, 0, 1, 30)))
        while not all(lane.idle and lane.trouble is None for lane in lanes):
            for lane in lanes:
                await clock.hurry(lane.drain())
    except RunTrouble as trouble:
        paused = trouble.problems[0].code
        for lane in lanes:
            await clock.hurry(lane.stop())
    else:
        paused = ""
        await bench.outcomes.flush()
        assert sum(bench.counted().values()) == PEOPLE
        assert bench.near() == {}
    assert paused in ("", "provider-quota", "provider-down", "provider-refuses")
    given = [key for keys in taken.values() for key in keys]
    assert len(given) == len(set(given)), "two accounts may have taken one message"
