"""What stands in for warehouses in the cloud: started from environments of their own, once for each test process.

`python -m tests.services` makes the environments, under `.services/` of a checkout.
"""

from __future__ import annotations

import atexit
import subprocess
from functools import cache
from pathlib import Path

from connect.testing.postgres import NoServer

ROOT = Path(__file__).resolve().parents[2]


class Service:
    """A program that prints the port it listens on, and ends when its standard input does."""

    def __init__(self, name: str) -> None:
        """Starts `tests/services/NAME_server.py` with the Python of `.services/NAME`. Raises NoServer."""
        python = ROOT / ".services" / name / "bin" / "python"
        if not (python.parents[1] / "requirements.txt").exists():
            raise NoServer(f"there is no {name} here: run `make test-services`")
        program = ROOT / "tests" / "services" / f"{name}_server.py"
        self._process = subprocess.Popen(
            [str(python), "-P", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said.strip().isdigit():
            self.close()
            raise NoServer(f"{name} does not start: see what `{python} -P {program}` says")
        self.port = int(said)

    def close(self) -> None:
        self._process.communicate()


@cache
def _shared(name: str) -> Service | NoServer:
    try:
        service = Service(name)
    except NoServer as why:
        return why
    atexit.register(service.close)
    return service


def shared_service(name: str) -> Service:
    """The one of this process. Raises NoServer, every time, when there can be none."""
    found = _shared(name)
    if isinstance(found, NoServer):
        raise found
    return found
