"""Makes the environments of the services that are named, or of all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tests.services import FOLDER, SERVICES


def main(names: Sequence[str]) -> int:
    if unknown := sorted(set(names) - set(SERVICES)):
        print(f"there is no service {unknown[0]}; there are: {', '.join(sorted(SERVICES))}", file=sys.stderr)  # noqa: T201
        return 2
    return max(_made(name) for name in names or sorted(SERVICES))


def _made(name: str) -> int:
    """The others are made also where one can not be."""
    try:
        SERVICES[name](FOLDER / name)
    except subprocess.CalledProcessError as error:
        print(f"{name} can not be made: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
