"""What stands in for warehouses in the cloud: each in a virtual environment of its own, under `.services/`.

    python -m tests.services            all of them
    python -m tests.services fakesnow   this one

One module per service, with `make(folder)`, which makes its environment where it is missing or its requirements
changed. Nothing is needed from the network but the package index. The rigs of `connect.testing` start them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.services import bqemulator, fakesnow

FOLDER = Path(__file__).parents[2] / ".services"

SERVICES: Mapping[str, Callable[[Path], None]] = {"bqemulator": bqemulator.make, "fakesnow": fakesnow.make}
"""Name → what makes its environment in a folder of that name."""
