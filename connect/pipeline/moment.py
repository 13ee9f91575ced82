"""When a run is: what its queries bind, and what stays the same for its waves and its resumes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """The instants of a run, all aware."""

    fire_time: datetime
    since: datetime | None = None
    """An event trigger's window: events after this…"""
    until: datetime | None = None
    """…up to this."""
