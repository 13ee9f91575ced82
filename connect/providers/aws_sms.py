"""AWS End User Messaging SMS (API `pinpoint-sms-voice-v2`): one text message in one SendTextMessage.

It has no idempotency key, so nothing is repeated, and a call that was written and not answered is `ambiguous`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

from botocore.exceptions import ClientError
from pydantic import Field, field_validator

from connect.channels.message import Outgoing, Sms
from connect.providers import aws_replies, aws_sms_replies, http_replies
from connect.providers.api import json_bytes
from connect.providers.aws import Door, NoKeys, ReportingSettings, Service, Way, opened
from connect.providers.aws_replies import Refusal
from connect.providers.aws_sms_events import CONTEXT_KEY, parse_events
from connect.providers.http import NotWritten, Unanswered
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.vocabulary import Channel

SERVICE = Service(
    "AWS End User Messaging SMS",
    "pinpoint-sms-voice-v2",
    {"content-type": "application/x-amz-json-1.0", "x-amz-target": "PinpointSMSVoiceV2.SendTextMessage"},
    (
        "aws-sms-credentials",
        "give `access_key_id` and `secret_access_key` as references (or let boto3 find them: environment, profile, "
        "role), and `region`; they need sms-voice:SendTextMessage",
    ),
    ("aws-sms-unreachable", "check `region`, and whether a firewall lets this machine out on port 443"),
)

_SHORTEST, _LONGEST = timedelta(seconds=5), timedelta(days=3)


class Settings(ReportingSettings):
    origination_identity: str | None = Field(None, pattern=r"^[A-Za-z0-9_:/+-]{1,256}$")
    """A number, sender id or pool (its id or ARN) that messages come from, where their content has no `from`; AWS
    chooses one if not given."""
    configuration_set: str | None = None
    """Through which events are published."""
    message_type: Literal["PROMOTIONAL", "TRANSACTIONAL"] = "PROMOTIONAL"
    """It must be what the number that messages come from was requested for."""
    max_price: str | None = Field(None, pattern=r"^[0-9]{0,2}\.[0-9]{1,5}$")
    """US dollars for one message, at most, e.g. `0.10`; dearer ones are refused."""
    ttl: timedelta | None = None
    """How long a message is tried, 5s to 3d; AWS's own three days if not given."""
    protect_configuration: str | None = None
    """The id or ARN of rules by country and number."""
    india_entity_id: str | None = None
    """Of the registration that India wants."""
    india_template_id: str | None = None
    """Of the registered text."""

    @field_validator("ttl")
    @classmethod
    def _in_range(cls, ttl: timedelta | None) -> timedelta | None:
        if ttl is not None and not _SHORTEST <= ttl <= _LONGEST:
            raise ValueError("`ttl` is from 5s to 3d")
        return ttl


class AwsSms:
    """Messages of one account, each in a call of its own."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.sms}), attachments=False, custom_headers=False, sandbox=True
    )
    parse_events = staticmethod(parse_events)

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account = account
        self._settings = account.settings
        self._known = _known(account.settings, account.sandbox)
        self._door: Door | None = None
        self._way = Way("", "")

    async def open(self) -> None:
        self._door = door = await opened(self._account, self._settings, SERVICE)
        self._way = door.way("/")

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        deadline = asyncio.get_running_loop().time() + self._account.timeout.total_seconds()
        return [await self._send(outgoing, deadline) for outgoing in batch]

    async def check(self) -> str:
        if self._door is None:
            await self.open()
        assert self._door is not None
        try:
            account = await self._door.ask("describe_account_attributes")
            limits = await self._door.ask("describe_spend_limits")
        except ClientError as error:
            return _unable_to_say(error)
        return _standing(account, limits)

    async def close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    async def _send(self, outgoing: Outgoing, deadline: float) -> Receipt:
        try:
            if self._door is None:
                raise NotWritten("client_closed")
            answer = aws_replies.read(await self._door.post(self._way, self._body(outgoing), deadline))
        except Unanswered as failure:
            return http_replies.unanswered(failure)
        except NoKeys as error:
            return aws_replies.unsigned(str(error))
        if isinstance(answer, Refusal):
            return aws_sms_replies.refused(answer, outgoing)
        return aws_replies.accepted(answer)

    def _body(self, outgoing: Outgoing) -> bytes:
        sms = outgoing.message
        assert isinstance(sms, Sms)
        sender = {"OriginationIdentity": sms.sender} if sms.sender else {}
        ours = {CONTEXT_KEY: outgoing.correlation_id}
        message = {"DestinationPhoneNumber": sms.to, "MessageBody": sms.body, "Context": ours}
        return json_bytes(self._known | sender | message)


def _known(settings: Settings, sandbox: bool) -> dict[str, object]:
    """What is the same in every call."""
    india = {"IN_ENTITY_ID": settings.india_entity_id, "IN_TEMPLATE_ID": settings.india_template_id}
    fields = {
        "OriginationIdentity": settings.origination_identity,
        "ConfigurationSetName": settings.configuration_set,
        "MessageType": settings.message_type,
        "MaxPrice": settings.max_price,
        "TimeToLive": int(settings.ttl.total_seconds()) if settings.ttl else None,
        "ProtectConfigurationId": settings.protect_configuration,
        "DestinationCountryParameters": {name: value for name, value in india.items() if value},
        "DryRun": sandbox,
    }
    return {name: value for name, value in fields.items() if value}


def _standing(account: Any, limits: Any) -> str:
    """What DescribeAccountAttributes and DescribeSpendLimits say, in one line."""
    tiers = [each.get("Value") for each in account.get("AccountAttributes", []) if each.get("Name") == "ACCOUNT_TIER"]
    monthly = [
        each.get("EnforcedLimit", 0)
        for each in limits.get("SpendLimits", [])
        if each.get("Name") == "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT"
    ]
    place = "; in the sandbox (only verified numbers)" if "SANDBOX" in tiers else ""
    return f"signed in{place}" + "".join(f"; at most {limit:,} US dollars a month" for limit in monthly)


def _unable_to_say(error: ClientError) -> str:
    """Credentials that may only send are fine; credentials that are wrong are not."""
    code = error.response.get("Error", {}).get("Code", "")
    status, reason = aws_sms_replies.ERRORS.get(code, (Status.accepted, ""))
    if status is Status.config and reason != "access_denied":
        raise SERVICE.trouble(SERVICE.credentials, code) from None
    return "reachable; these credentials may not ask for sandbox and spend limit (sms-voice:Describe…)"
