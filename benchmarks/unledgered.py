"""`connect` with a ledger that forgets everything at once: what a run costs without one. Only ever for measuring.

python -m benchmarks.unledgered run NAME --yes
"""

from __future__ import annotations

import asyncio
from typing import Any

from connect.cli.main import command
from connect.pipeline import run


class Nothing:
    """Takes what would be committed, and is done with it in the next turn of the loop."""

    def __init__(self, *_: Any) -> None:
        pass

    async def advance(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        pass


if __name__ == "__main__":
    run.Commits = Nothing  # type: ignore[assignment, misc]
    command()
