"""Apple's push service (APNs): a request for each device, all of them over one HTTP/2 connection.

APNs has no idempotency key, so nothing is repeated, and a request that was written and not answered is `ambiguous`. One
that is sent again bears the same `apns-collapse-id`: the device shows one notification, and may ring twice.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from connect.channels.message import Outgoing, Push
from connect.providers import apns_payload, apns_replies
from connect.providers.api import Api, trouble
from connect.providers.apns_token import ProviderTokens
from connect.providers.http import Reply
from connect.providers.interface import Account, Capabilities, ProviderSettings, Receipt, Status
from connect.redact import Secret
from connect.vocabulary import Channel, Platform

_HOSTS = {"production": "https://api.push.apple.com", "sandbox": "https://api.sandbox.push.apple.com"}

PushType = Literal[
    "alert",
    "background",
    "complication",
    "controls",
    "fileprovider",
    "liveactivity",
    "location",
    "mdm",
    "pushtotalk",
    "voip",
    "widgets",
]


class Settings(ProviderSettings):
    team_id: str = Field(min_length=1)
    """Ten characters: the membership page of the developer account."""
    key_id: str = Field(min_length=1)
    """Ten characters: the key's page there."""
    private_key: Secret
    """The text of the `.p8` file that the key's page offers once."""
    topic: str = Field(min_length=1)
    """The app's bundle id, with the suffix that some push types want (`.voip`, `.push-type.liveactivity`)."""
    environment: Literal["production", "sandbox"] = "production"
    """`sandbox` for builds out of Xcode: a token of one environment is bad in the other."""
    push_type: PushType = "alert"
    priority: int = 10
    """10 at once, 5 when it suits the device's battery, 1 without ever waking it."""
    endpoint_url: str | None = None
    """Instead of Apple's host of the environment, e.g. its port 2197, or a server for tests; https only."""
    ca_file: str | None = None
    """A CA certificate beyond the system's, relative to the project's root."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.priority not in (1, 5, 10):
            raise ValueError("`priority` is 10, 5 or 1")
        if self.push_type == "background" and self.priority != 5:
            raise ValueError("`push_type: background` needs `priority: 5`; APNs takes no other")
        if self.endpoint_url is not None and not self.endpoint_url.startswith("https://"):
            raise ValueError("`endpoint_url` begins with https://")
        return self


class Apns:
    """One request for each message. The devices are Apple's."""

    Settings: ClassVar[type[ProviderSettings]] = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        channels=frozenset({Channel.push}),
        attachments=False,
        custom_headers=False,
        default_concurrency=200,
        platforms=frozenset({Platform.ios}),
    )

    def __init__(self, account: Account) -> None:
        assert isinstance(account.settings, Settings)
        settings = self._settings = account.settings
        self._seconds = account.timeout.total_seconds()
        self._ca_file = account.root / settings.ca_file if settings.ca_file else None
        self._api = Api(account, http2=True, ca_file=self._ca_file)
        self._url = (settings.endpoint_url or _HOSTS[settings.environment]).rstrip("/") + "/3/device/"
        self._most = apns_payload.MOST_VOIP_BYTES if settings.push_type == "voip" else apns_payload.MOST_BYTES
        self._always = {
            "apns-topic": settings.topic,
            "apns-push-type": settings.push_type,
            "apns-priority": str(settings.priority),
        }
        self._tokens: ProviderTokens | None = None

    async def open(self) -> None:
        """Without the network: the first push tells what a call here would."""
        if self._ca_file is not None:
            await asyncio.to_thread(_readable, self._ca_file)
        try:
            self._tokens = ProviderTokens(self._settings.private_key, self._settings.key_id, self._settings.team_id)
        except ValueError:
            self._tokens = None
        if self._tokens is None:
            raise trouble("apns-private-key", "APNs: `private_key` is not the PEM of a P-256 key", _KEY_HINT)

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [await self._sent(outgoing) for outgoing in batch]

    async def check(self) -> str:
        """APNs judges the provider token and the topic before the device, and no device has this token."""
        if self._tokens is None:
            await self.open()
        reply = await self._asked("0" * 64, b'{"aps":{}}', {}, asyncio.get_running_loop().time() + self._seconds)
        if isinstance(reply, Receipt):
            raise trouble("apns-unreachable", f"APNs: {reply.reason}", _UNREACHABLE_HINT)
        reason = apns_replies.reason_of(reply)
        status, meaning = apns_replies.REASONS.get(reason, (Status.transient, ""))
        if status is Status.config:
            raise trouble("apns-refused", f"APNs: {reason}", _HINTS.get(meaning, _KEY_HINT))
        if status is not Status.rejected_recipient:
            raise trouble("apns-unreachable", f"APNs answered {reply.status} {reason}".rstrip(), "try again later")
        return f"signed in; {self._settings.topic}, {self._settings.environment}"

    async def close(self) -> None:
        await self._api.close()

    async def _sent(self, outgoing: Outgoing) -> Receipt:
        push = outgoing.message
        assert isinstance(push, Push)
        body = apns_payload.unsendable(push) or apns_payload.body(push, self._most)
        if isinstance(body, Receipt):
            return body
        deadline = asyncio.get_running_loop().time() + self._seconds
        reply = await self._asked(
            push.device.address, body, apns_payload.headers(outgoing, push, time.time()), deadline
        )
        return reply if isinstance(reply, Receipt) else apns_replies.receipt(reply, outgoing)

    async def _asked(self, device: str, body: bytes, headers: dict[str, str], deadline: float) -> Reply | Receipt:
        """The reply; once more, where the provider token is said to have expired and there is a younger one."""
        assert self._tokens is not None, "send before open"
        headers |= self._always
        bearer = headers["authorization"] = self._tokens.bearer(time.time())
        reply = await self._api.ask(self._url + device, body, headers, deadline=deadline)
        if isinstance(reply, Receipt) or reply.status != 403 or apns_replies.reason_of(reply) != apns_replies.EXPIRED:
            return reply
        if (renewed := self._tokens.renewed(bearer, time.time())) is None:
            return reply
        return await self._api.ask(self._url + device, body, headers | {"authorization": renewed}, deadline=deadline)


def _readable(ca_file: Path) -> None:
    """Raises RunTrouble where there is no certificate in it."""
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError too
        words = error.strerror or type(error).__name__
    else:
        return
    raise trouble("apns-ca-file", f"APNs: `ca_file` can not be read: {words}", "give a file of PEM certificates")


_KEY_HINT = (
    "`private_key` is the whole text of the .p8 file, as ${file:AuthKey_….p8} or ${NAME}; it belongs to `key_id`, and "
    "the key to `team_id` (developer.apple.com: Certificates, Identifiers & Profiles → Keys)"
)
_UNREACHABLE_HINT = (
    "check whether a firewall lets this machine out to api.push.apple.com, port 443 (or 2197: `endpoint_url`)"
)
_HINTS = {
    "bad_topic": "`topic` is the bundle id of an app of this team, with the suffix that the push type wants",
    "clock_is_wrong": "set this machine's clock: APNs takes tokens that are at most an hour old",
    "wrong_environment": "the key is for the other `environment`; choose that, or a key for both",
}
"""By the reason of a receipt."""
