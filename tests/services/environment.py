"""A virtual environment with some packages, made once and again when they change."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_STAMP = "requirements.txt"


def make(folder: Path, requirements: Sequence[str], finish: Callable[[Path], None] = lambda python: None) -> None:
    """Have these packages in a virtual environment in this folder; `finish` does what else it needs.

    Its requirements are written down at the very end, so that what was made by half is made again.
    """
    with _alone(folder):
        wanted = "\n".join([f"# Python {sys.version_info.major}.{sys.version_info.minor}", *requirements, ""])
        stamp = folder / _STAMP
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"Making {folder} ...", flush=True)  # noqa: T201 - it takes a minute
        stamp.unlink(missing_ok=True)
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
        python = python_of(folder)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(install, check=True)
        finish(python)
        stamp.write_text(wanted)


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time makes an environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
