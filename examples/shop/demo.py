"""What `make demo` runs: builds the shop's warehouse, then does with the command line what a person would.

    python -m examples.shop.demo
    python -m examples.shop.demo --source postgresql://user:password@host/database
    python -m examples.shop.demo --source lab

It starts over each time: the demo's warehouse, ledger and outbox are made anew. With `--source` the shop is in a
warehouse of your choice, by its URL or by its name in connect.yml, and the demo's project is in `.demo/`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from examples.shop.build import PEOPLE, build

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGNS = ("points_expiring", "arriving_today", "order_review", "welcome_back")

DONE, ENDED_WITH_FAILURES = 0, 1
"""Exit codes of `connect run`. The warehouse holds addresses that the outbox rejects or never answers for."""


def main(arguments: Sequence[str]) -> int:
    """Run the demo; 0 when every command ended as it should."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.demo", description="Run the demo.")
    parser.add_argument("--source", help="where the shop is to be: a URL, or the name of a source in connect.yml")
    source = parser.parse_args(arguments).source
    say(
        "Juniper & Salt sends letters, text messages, notes to people's phones and requests for a review. "
        f"It has {PEOPLE} customers."
    )
    folder = built_elsewhere(source) if source else built_here()
    connect(folder, "validate")
    for campaign in CAMPAIGNS:
        connect(folder, "run", campaign, "--yes", expected=(DONE, ENDED_WITH_FAILURES))
    connect(folder, "report")
    there = f"cd {os.path.relpath(folder)} && " if folder != ROOT else ""
    command = _executable() if there else _shown(_executable())
    say(
        "Some of it failed on purpose: the warehouse has broken rows, opt-outs, and addresses that nobody answers at.\n"
        "Nothing was sent to anyone. To look at the messages:\n\n"
        f"  {there}{command} outbox --open\n"
        f"  {there}{command} preview welcome_back --open"
    )
    return 0


def built_here() -> Path:
    """The shop in a file of DuckDB's, beside the demo's project."""
    start_over()
    step("python -m examples.shop.build")
    build(ROOT / "shop.duckdb", datetime.now(UTC))
    return ROOT


def built_elsewhere(source: str) -> Path:
    """The shop in somebody's warehouse; the folder of the project that reads it."""
    from connect.errors import ConnectError
    from examples.shop import elsewhere

    add_secret(ROOT / ".env")
    try:
        folder = elsewhere.project(ROOT, source)
        step(f"filling the tables of the shop, for the project in {os.path.relpath(folder)}")
        with tempfile.TemporaryDirectory() as made:
            build(Path(made) / "shop.duckdb", datetime.now(UTC))
            elsewhere.fill(folder, Path(made) / "shop.duckdb")
    except ConnectError as error:
        say(str(error))
        sys.exit(error.exit_code)
    return folder


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


def connect(folder: Path, *arguments: str, expected: Sequence[int] = (DONE,)) -> None:
    """Run the command line as a person would. Ends the demo where it answers otherwise than expected."""
    step(" ".join(("connect", *arguments)))
    ended = subprocess.run([_executable(), *arguments], cwd=folder, check=False)
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
    sys.exit(main(sys.argv[1:]))
