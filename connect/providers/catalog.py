"""Providers by name: the ones that come with Connect, and those that other packages register as entry points."""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from connect.errors import UserError
from connect.providers.interface import Provider

providers: dict[str, str] = {
    "apns": "connect.providers.apns:Apns",
    "aws_sms": "connect.providers.aws_sms:AwsSms",
    "fcm": "connect.providers.fcm:Fcm",
    "http": "connect.providers.endpoint:HttpEndpoint",
    "mailgun": "connect.providers.mailgun:Mailgun",
    "mailjet": "connect.providers.mailjet:Mailjet",
    "memory": "connect.providers.memory:Memory",
    "memory_idempotent": "connect.providers.memory:MemoryIdempotent",
    "messagebird": "connect.providers.messagebird:MessageBird",
    "outbox": "connect.providers.outbox:Outbox",
    "postmark": "connect.providers.postmark:Postmark",
    "resend": "connect.providers.resend:Resend",
    "sendgrid": "connect.providers.sendgrid:SendGrid",
    "ses": "connect.providers.ses:Ses",
    "smtp": "connect.providers.smtp:Smtp",
    "sns": "connect.providers.sns:Sns",
    "sparkpost": "connect.providers.sparkpost:SparkPost",
    "twilio": "connect.providers.twilio:Twilio",
    "vonage": "connect.providers.vonage:Vonage",
}
"""Name → "module:attribute". Nothing is imported before it is asked for."""

extras: dict[str, str] = {
    "aws_sms": "aws_sms",
    "fcm": "fcm",
    "ses": "ses",
    "sns": "sns",
    "vonage": "vonage",
}
"""Name → the extra of connect-campaigns that brings what the adapter needs."""

GROUP = "connect.providers"
"""The entry point group in which other packages register their adapters."""


def names() -> list[str]:
    """Every provider that can be named in connect.yml, sorted."""
    return sorted({*providers, *_registered()})


def load(name: str) -> type[Provider]:
    """The adapter of this name. Raises UserError when there is none, or when what it needs is not installed."""
    try:
        return cast(type[Provider], _found(name).load())
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "connect":
            raise
        raise _missing_extra(name, missing.name or "") from None


def _found(name: str) -> EntryPoint:
    if name in providers:
        return EntryPoint(name=name, value=providers[name], group=GROUP)
    registered = _registered()
    if name in registered:
        return registered[name]
    raise _unknown(name)


def _registered() -> dict[str, EntryPoint]:
    """Adapters of other packages. A name that Connect has itself stays Connect's."""
    importlib.invalidate_caches()
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in providers}


def _unknown(name: str) -> UserError:
    nearest = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean `{nearest[0]}`? " if nearest else ""
    return UserError.of("unknown-provider", f"there is no provider `{name}`", f"{hint}known: {', '.join(names())}")


def _missing_extra(name: str, module: str) -> UserError:
    if name in extras:
        remedy = f'pip install "connect-campaigns[{extras[name]}]"'
    else:
        remedy = f"pip install {module}"
    return UserError.of("missing-extra", f"provider `{name}` needs the package `{module}`, which is not here", remedy)
