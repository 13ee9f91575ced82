"""What connect.yml says of a Postmark account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from connect.providers.interface import ProviderSettings
from connect.redact import Secret

CORRELATION = "connect_id"
"""The key of the metadata that holds our correlation id."""

_Key = Annotated[str, StringConstraints(min_length=1, max_length=20)]
_Value = Annotated[str, StringConstraints(max_length=80)]
"""Lengths of metadata: postmarkapp.com/support, "Custom metadata FAQ"."""


class Settings(ProviderSettings):
    server_token: Secret | None = None
    """Of the server that sends: its tab API Tokens. Only the sandbox works without."""
    message_stream: str = "broadcast"
    """The ID of the message stream, as its settings have it."""
    tag: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """Of every message, for Postmark's own statistics."""
    metadata: Annotated[dict[_Key, _Value], Field(max_length=9, default_factory=dict)]
    """Of every message, beside our correlation id."""
    track_opens: bool | None = None
    """As the server is set up, if not given."""
    track_links: Literal["none", "html_and_text", "html_only", "text_only"] | None = None
    """As the server is set up, if not given."""
    endpoint_url: str = "https://api.postmarkapp.com"
    """For tests and proxies."""
    webhook_username: str = "connect"
    """Of the webhook's basic authentication…"""
    webhook_password: Secret | None = None
    """…without which no webhook is believed."""

    @field_validator("metadata")
    @classmethod
    def _not_ours(cls, metadata: dict[str, str]) -> dict[str, str]:
        if CORRELATION in map(str.lower, metadata):
            raise ValueError(f"`{CORRELATION}` is the name of Connect's own metadata")
        return metadata
