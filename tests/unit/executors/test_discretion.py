"""What a process that holds rows never lets out: run in processes of their own, whose hooks and limits these are."""

from __future__ import annotations

import subprocess
import sys

import pytest

ADDRESS = "ann@mail.example"

SETTING = f"""
import asyncio, gc, resource, sys, threading
from connect.executors.loops import event_loop, long_running

def breaks():
    raise ValueError("{ADDRESS}")

class Breaks:
    def __del__(self):
        breaks()

async def forgotten():
    breaks()

async def forgets():
    task = asyncio.ensure_future(forgotten())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_soon(breaks)
    del task
    gc.collect()
    await asyncio.sleep(0)

with long_running():
"""


def shown(line):
    done = subprocess.run([sys.executable, "-c", f"{SETTING}    {line}"], capture_output=True, text=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("Breaks()", 1),
        ("thread = threading.Thread(target=breaks); thread.start(); thread.join()", 1),
        ("asyncio.Runner(loop_factory=event_loop).run(forgets())", 2),
        ("sys.excepthook(ValueError, ValueError('ann@mail.example'), None)", 1),
    ],
)
def test_of_what_nobody_catches_only_the_type_and_place_are_shown(line, times):
    _, err = shown(line)
    assert err.count("error[internal]: ValueError") == times
    assert ADDRESS not in err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_no_core_is_dumped():
    out, _ = shown("print(resource.getrlimit(resource.RLIMIT_CORE)[0])")
    assert out == "0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_nor_given_to_a_program_that_collects_them():
    out, _ = shown("import ctypes; print(ctypes.CDLL(None).prctl(3))")  # PR_GET_DUMPABLE
    assert out == "0\n"
