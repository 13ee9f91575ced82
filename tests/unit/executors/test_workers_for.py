"""How many workers a run has."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from connect.executors.local import SMALL, workers_for
from connect.vocabulary import Mode

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
LARGE = SMALL + 1


def accounts(*concurrencies, reaches_people=True):
    capabilities = SimpleNamespace(reaches_people=reaches_people)
    return {
        f"account-{number}": (SimpleNamespace(capabilities=capabilities), SimpleNamespace(concurrency=concurrency))
        for number, concurrency in enumerate(concurrencies)
    }


@pytest.mark.parametrize("mode", [Mode.test, Mode.offline])
def test_one_where_nothing_is_sent_to_the_audience(mode):
    assert workers_for(8, LARGE, accounts(64), mode) == 1


def test_as_many_as_were_asked_for_also_for_few_people():
    assert workers_for(3, 10, accounts(64), Mode.live) == 3
    assert workers_for(3, 10, accounts(64, reaches_people=False), Mode.live) == 3


def test_never_more_than_an_account_takes_messages_at_once():
    assert workers_for(8, LARGE, accounts(64, 2), Mode.live) == 2
    assert workers_for(8, LARGE, accounts(1), Mode.live) == 1


def test_by_itself_one_for_each_core_where_it_pays():
    assert workers_for(None, LARGE, accounts(64), Mode.live) == CORES
    assert workers_for(None, SMALL, accounts(64), Mode.live) == 1
    assert workers_for(None, LARGE, accounts(64, reaches_people=False), Mode.live) == 1
