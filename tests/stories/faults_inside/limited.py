"""The command `connect`, in a process that may hardly take any more memory once it sends."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from connect.channels.message import Outgoing
from connect.cli.main import main
from connect.providers import memory

MORE = 64 << 20
TOO_MUCH = 512 << 20

taken: list[bytearray] = []


def take(outgoing: Outgoing, attempt: int) -> None:
    """The 1,500th message takes more than there is."""
    if memory.counts("mail").accepted == 1500:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE, resource.RLIM_INFINITY))
        taken.append(bytearray(TOO_MUCH))


memory.script("mail", take)
sys.exit(main())
