"""What Amazon SES reports later."""

from __future__ import annotations

from connect.providers.events import Confirmation, Event, EventsRefused, Webhook
from connect.providers.interface import ProviderSettings


def parse_events(webhook: Webhook, settings: ProviderSettings) -> list[Event | Confirmation]:
    raise EventsRefused("not_configured")
