"""What a program finds where Connect alone is installed, without any extra: this environment has many more packages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HIDING = """
import sys
from importlib.machinery import PathFinder

HIDDEN = frozenset({hidden})


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""


def hiding_the_rest(folder: Path) -> str:
    """A PYTHONPATH with which Python programs find nothing that is not installed with Connect; written to `folder`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HIDING.format(hidden=json.dumps(sorted(beyond()))))
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


@cache
def beyond() -> frozenset[str]:
    """The packages here, by the names that they are imported by, that are not installed with Connect."""
    kept = set(_needed("connect-campaigns", frozenset()))
    found = packages_distributions().items()
    return frozenset(name for name, owners in found if kept.isdisjoint(map(canonicalize_name, owners)))


def _needed(name: str, extras: frozenset[str]) -> Iterator[str]:
    """This distribution, and all that it needs with these extras of it."""
    asked, left = set(), [(name, extras)]
    while left:
        name, extras = each = left.pop()
        if each in asked:
            continue
        asked.add(each)
        yield canonicalize_name(name)
        for line in _requires(name):
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                left.append((wanted.name, frozenset(wanted.extras)))


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # for another system
        return []
