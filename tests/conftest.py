"""Where tests keep their files: in memory where there is room.

The ledger waits for the disk at each commit, thousands of times in a run of all tests. What is tested here is killed
while the machine goes on, so that nothing depends on what reaches a disk. `TMPDIR` says another place.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_IN_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""Bytes: ten times what all tests need at once. Containers have 64 MB there, unless they are given more."""


def pytest_configure(config: pytest.Config) -> None:
    _the_same_examples_each_time()
    if "TMPDIR" not in os.environ and _roomy(_IN_MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_IN_MEMORY)  # also for the processes that tests start


def _the_same_examples_each_time() -> None:
    """Nobody's change is refused for another one's luck, or since the machine is busy. `EXAMPLES` asks for others."""
    from hypothesis import HealthCheck, settings

    slow = [HealthCheck.too_slow]
    settings.register_profile(
        "steady", derandomize="EXAMPLES" not in os.environ, deadline=None, suppress_health_check=slow
    )
    settings.load_profile("steady")


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is here now stays: nobody needs to look through it for garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def done_once_in_this_process() -> Iterator[None]:
    from tests.quick import in_one_process

    with pytest.MonkeyPatch.context() as patch:
        in_one_process(patch)
        yield


def _roomy(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """With `-n auto`, half as many again as there are cores: much of what tests do is to wait."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, a process takes whole files; of a contract, all that is about one adapter."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileAndAdapter(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            first = nodeid.partition("[")[2].rstrip("]").partition("-")[0]
            return f"{file}[{first}]" if "/contracts/" in file else file

    return ByFileAndAdapter(config, log) if config.getvalue("dist") == "loadfile" else None
