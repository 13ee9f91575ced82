"""fakesnow: Snowflake's wire protocol and much of its SQL, over DuckDB.

It imports the connector's version 4, and Connect's own environment has version 5: hence one of its own.
`fakesnow_server.py` beside this file is what runs there.
"""

from __future__ import annotations

from pathlib import Path

from tests.services import environment

REQUIREMENTS = ("fakesnow[server]==0.12.1", "snowflake-connector-python[pandas]>=4.8,<5")
"""PyJWT and cryptography, which check the sign-in by key pair, come with the connector."""


def make(folder: Path) -> None:
    environment.make(folder, REQUIREMENTS)
