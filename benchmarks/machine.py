"""Where figures come from: they mean nothing without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "connect-campaigns",
    "boto3",
    "duckdb",
    "jinja2",
    "minijinja",
    "pyarrow",
    "pyreqwest",
    "python-liquid",
    "requests",
    "sqlalchemy",
    "typer",
    "uvloop",
)


def machine() -> dict[str, object]:
    """The machine and the versions of what was measured."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    """Its name, where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
