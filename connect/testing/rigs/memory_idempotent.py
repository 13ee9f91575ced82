"""The rig of `memory_idempotent`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from connect.testing.providers import ProviderRig
from connect.testing.rigs import memory


def rig(root: Path) -> AbstractContextManager[ProviderRig]:
    return memory.rig(root, "memory_idempotent")
