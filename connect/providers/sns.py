"""Amazon SNS: push messages to endpoints of its platform applications, and text messages to numbers.

It has no idempotency key outside FIFO topics, so nothing is repeated, and a call that was written and not answered is
`ambiguous`. What becomes of a message later, SNS writes to CloudWatch only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from botocore.exceptions import ClientError
from pydantic import Field

from connect.channels.message import Outgoing, Push, Sms
from connect.providers import aws_replies, http_replies, sns_payload, sns_replies
from connect.providers.api import FORM
from connect.providers.aws import AwsSettings, Door, NoKeys, Service, Way, opened
from connect.providers.aws_replies import Refusal
from connect.providers.http import NotWritten, Unanswered
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.providers.sns_payload import Attributes
from connect.vocabulary import Channel

SERVICE = Service(
    "Amazon SNS",
    "sns",
    {"content-type": f"{FORM}; charset=utf-8"},
    (
        "sns-credentials",
        "give `access_key_id` and `secret_access_key` as references (or let boto3 find them: environment, profile, "
        "role), and `region`; they need sns:Publish",
    ),
    ("sns-unreachable", "check `region`, and whether a firewall lets this machine out on port 443"),
)


class Settings(AwsSettings):
    sms_type: Literal["Promotional", "Transactional"] = "Promotional"
    """What AWS optimises a text message for: cost, or arrival."""
    sender: str | None = None
    """Whom text messages come from, where their content has no `from`: a sender id, or a number of the account."""
    max_price: str | None = Field(None, pattern=r"^[0-9]{0,2}\.[0-9]{1,5}$")
    """US dollars for one text message, at most, e.g. `0.10`."""


class Sns:
    """Messages of one account, each in a call of its own."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.push, Channel.sms}), attachments=False, custom_headers=False
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        self._account = account
        self._settings = account.settings
        self._sms = _sms_attributes(account.settings)
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
            applications = await self._door.ask("list_platform_applications")
            sandbox = await self._door.ask("get_sms_sandbox_account_status")
        except ClientError as error:
            return _unable_to_say(error)
        return _standing(applications, sandbox)

    async def close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    async def _send(self, outgoing: Outgoing, deadline: float) -> Receipt:
        body = self._body(outgoing)
        if isinstance(body, Receipt):
            return body
        try:
            if self._door is None:
                raise NotWritten("client_closed")
            answer = sns_replies.read(await self._door.post(self._way, body, deadline))
        except Unanswered as failure:
            return http_replies.unanswered(failure)
        except NoKeys as error:
            return aws_replies.unsigned(str(error))
        if isinstance(answer, Refusal):
            return sns_replies.refused(answer, outgoing)
        return Receipt(Status.accepted, provider_id=answer)

    def _body(self, outgoing: Outgoing) -> bytes | Receipt:
        message = outgoing.message
        if isinstance(message, Push):
            return sns_payload.push(message)
        assert isinstance(message, Sms)
        return sns_payload.text(message, self._sms)


def _sms_attributes(settings: Settings) -> Attributes:
    """What every text message of the account has."""
    found: Attributes = {"AWS.SNS.SMS.SMSType": ("String", settings.sms_type)}
    if settings.sender:
        found |= sns_payload.sender_attribute(settings.sender)
    if settings.max_price:
        found["AWS.SNS.SMS.MaxPrice"] = ("Number", settings.max_price)
    return found


def _standing(applications: Any, sandbox: Any) -> str:
    """What ListPlatformApplications and GetSMSSandboxAccountStatus say, in one line."""
    arns = [str(each.get("PlatformApplicationArn", "")) for each in applications.get("PlatformApplications", [])]
    kinds = sorted({arn.split("/")[1] for arn in arns if arn.count("/") == 2})
    push = f"push to {', '.join(kinds)}" if kinds else "no platform application for push"
    place = " in the sandbox (only verified numbers)" if sandbox.get("IsInSandbox") else ""
    return f"signed in; {push}; text messages{place}"


def _unable_to_say(error: ClientError) -> str:
    """Credentials that may only publish are fine; credentials that are wrong are not."""
    code = error.response.get("Error", {}).get("Code", "")
    status, reason = sns_replies.ERRORS.get(code, (Status.accepted, ""))
    if status is Status.config and reason != "access_denied":
        raise SERVICE.trouble(SERVICE.credentials, code) from None
    return "reachable; these credentials may not ask for applications and sandbox (sns:List…, sns:GetSMSSandbox…)"
