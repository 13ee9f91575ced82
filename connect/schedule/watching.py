"""Whether the project's files have changed: asked every few seconds, so it only looks at the folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from connect.project import files
from connect.project.load import FILE

_SINGLE = (FILE, ".env")
_FOLDERS = (files.CAMPAIGNS, files.MESSAGES, files.AUDIENCES, files.SEGMENTS, files.TEMPLATES)
_DEEPEST = 12
"""A symlink to a folder above it would have no end."""
_SETTLED = 1.0
"""Seconds for which files must stay as they are: a checkout in progress is not read half-way."""

Entry = tuple[str, int, int, int]
"""Path, time of the last change in nanoseconds, size, inode."""
Signature = frozenset[Entry]


def signature(root: Path) -> Signature:
    """The files of a project as they are now, through symlinks: a checkout that is swapped has other inodes."""
    return frozenset(_entries(str(root)))


def _entries(root: str) -> Iterator[Entry]:
    for name in _SINGLE:
        try:
            yield _entry(os.path.join(root, name), os.stat(os.path.join(root, name)))
        except OSError:
            continue  # it is missing; should it come, it makes a difference
    for name in _FOLDERS:
        yield from _below(os.path.join(root, name), _DEEPEST)


def _below(folder: str, deep: int) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:
            continue  # gone meanwhile, or a symlink to nowhere
        if not stat.S_ISDIR(status.st_mode):
            yield _entry(entry.path, status)
        elif deep:
            yield from _below(entry.path, deep - 1)


def _entry(path: str, status: os.stat_result) -> Entry:
    return path, status.st_mtime_ns, status.st_size, status.st_ino


class Watch:
    """Compares the files with those that were read last."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder with connect.yml, not resolved: a symlink that is swapped is looked through anew."""
        self.root = root
        self._read = self._seen = signature(root)
        self._since: float | None = None

    @property
    def unsettled(self) -> bool:
        """Files are changing now: it is worth to look again soon."""
        return self._since is not None

    def changed(self, now: float) -> bool:
        """True once when the files are others than were read, and have been the same for a second.

        `now` is by a monotonic clock.
        """
        found = signature(self.root)
        if found == self._read:
            self._since = None
        elif self._since is None or found != self._seen:
            self._seen, self._since = found, now
        elif now - self._since >= _SETTLED:
            self.reading()
            return True
        return False

    def reading(self) -> None:
        """The files are about to be read: from now on, only what changes after this is a change."""
        self._read, self._since = signature(self.root), None
