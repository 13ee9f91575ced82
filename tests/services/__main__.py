"""Makes the environments of the services that are named, or of all."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.services import FOLDER, SERVICES


def main(names: Sequence[str]) -> int:
    if unknown := sorted(set(names) - set(SERVICES)):
        print(f"there is no service {unknown[0]}; there are: {', '.join(sorted(SERVICES))}", file=sys.stderr)  # noqa: T201
        return 2
    for name in names or sorted(SERVICES):
        SERVICES[name](FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
