"""When a run is: what its queries bind, and what stays the same for its waves and its resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """The instants of a run, all aware, and what it was called with."""

    fire_time: datetime
    since: datetime | None = None
    """An event trigger's window: events after this…"""
    until: datetime | None = None
    """…up to this."""
    parameters: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What a call of the API gave."""
