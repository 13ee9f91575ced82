"""What connect.yml says of a Resend account."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from connect.providers.interface import ProviderSettings
from connect.providers.signatures import standard_key
from connect.redact import Secret

CORRELATION = "connect_id"
"""The name of the tag that holds our correlation id."""

_Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,256}$")]
"""What names and values of tags may hold: resend.com/docs/api-reference/emails/send-email."""


class Settings(ProviderSettings):
    api_key: Secret
    """A key that may send is enough."""
    tags: Annotated[dict[_Tag, _Tag], Field(default_factory=dict)]
    """Of every message, beside our correlation id."""
    endpoint_url: str = "https://api.resend.com"
    """For tests and proxies."""
    webhook_secret: Secret | None = None
    """The webhook's signing secret, `whsec_…`: without it no webhook is believed."""

    @field_validator("tags")
    @classmethod
    def _not_ours(cls, tags: dict[str, str]) -> dict[str, str]:
        if CORRELATION in tags:
            raise ValueError(f"`{CORRELATION}` is the name of Connect's own tag")
        return tags

    @field_validator("webhook_secret")
    @classmethod
    def _readable(cls, secret: Secret | None) -> Secret | None:
        if secret is not None:
            standard_key(secret)
        return secret
