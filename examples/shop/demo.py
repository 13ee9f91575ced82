"""What `make demo` runs: builds the shop's warehouse, then does with the command line what a person would.

    python -m examples.shop.demo

It starts over each time: the demo's warehouse, ledger and outbox are made anew.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from examples.shop.build import PEOPLE, build

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGNS = ("points_expiring", "arriving_today", "order_review", "welcome_back")

DONE, ENDED_WITH_FAILURES = 0, 1
"""Exit codes of `connect run`. The warehouse holds addresses that the outbox rejects or never answers for."""


def main() -> int:
    """Run the demo; 0 when every command ended as it should."""
    say(
        "Juniper & Salt sends letters, text messages, notes to people's phones and requests for a review. "
        f"It has {PEOPLE} customers."
    )
    start_over()
    step("python -m examples.shop.build")
    build(ROOT / "shop.duckdb", datetime.now(UTC))
    connect("validate")
    for campaign in CAMPAIGNS:
        connect("run", campaign, "--yes", expected=(DONE, ENDED_WITH_FAILURES))
    connect("report")
    say(
        "Some of it failed on purpose: the warehouse has broken rows, opt-outs, and addresses that nobody answers at.\n"
        "Nothing was sent to anyone. To look at the messages:\n\n"
        f"  {_shown(_executable())} outbox --open\n"
        f"  {_shown(_executable())} preview welcome_back --open"
    )
    return 0


def start_over() -> None:
    """Remove what an earlier demo made, and make a secret if there is none yet."""
    (ROOT / "shop.duckdb").unlink(missing_ok=True)
    for folder in (".connect", "outbox"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    add_secret(ROOT / ".env")


def add_secret(file: Path) -> None:
    """A CONNECT_SECRET in the git-ignored .env; one that is there stays."""
    text = file.read_text() if file.exists() else ""
    if "CONNECT_SECRET=" not in text:
        file.touch(mode=0o600)
        file.write_text(f"{text}CONNECT_SECRET={secrets.token_urlsafe(32)}\n")


def connect(*arguments: str, expected: Sequence[int] = (DONE,)) -> None:
    """Run the command line as a person would. Ends the demo where it answers otherwise than expected."""
    step(" ".join(("connect", *arguments)))
    ended = subprocess.run([_executable(), *arguments], cwd=ROOT, check=False)
    if ended.returncode not in expected:
        say(f"`connect {' '.join(arguments)}` ended with {ended.returncode}, which was not expected")
        sys.exit(ended.returncode or 1)


def _executable() -> str:
    """The `connect` of the Python that runs this."""
    return str(Path(sys.executable).parent / "connect")


def _shown(executable: str) -> str:
    """As a person would type it: relative where that is shorter."""
    return min(executable, os.path.relpath(executable), key=len)


def step(command: str) -> None:
    say(f"$ {command}")


def say(text: str) -> None:
    print(f"\n{text}\n", flush=True)  # noqa: T201 - the demo's output is for a person at a terminal


if __name__ == "__main__":
    sys.exit(main())
