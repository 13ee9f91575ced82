"""Reading a project loads no driver and no engine."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("sqlglot", "liquid", "duckdb", "sqlalchemy", "keyring", "croniter", "pyarrow", "ruamel.yaml")


def test_importing_it_is_light():
    code = (
        "import sys, connect.project.campaigns, connect.project.load, connect.project.schema, connect.project.show\n"
        f"sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
