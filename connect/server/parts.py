"""The parts of the server, in the order of their routes."""

from __future__ import annotations

from connect.server.api import Api
from connect.server.health import Health
from connect.server.heralding import Heralding
from connect.server.metrics import Metrics
from connect.server.site import MakePart, Part, Site
from connect.server.tracking import Tracking
from connect.server.unsubscribe import Unsubscribe
from connect.server.viewing import Viewing
from connect.server.webhooks import Webhooks

PARTS: tuple[MakePart, ...] = (Health, Api, Heralding, Metrics, Tracking, Unsubscribe, Viewing, Webhooks)


def make_parts(site: Site) -> list[Part]:
    return [make(site) for make in PARTS]
