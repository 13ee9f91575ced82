"""The rig of `aws_sms`: a fake that is driven by botocore's model of the service, and a topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.redact import Secret
from connect.testing.api import ApiServer
from connect.testing.aws import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from connect.testing.fakes.aws_sms import DROP, HANG, AwsSms, error
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account
from connect.testing.topic import Topic


class AwsSmsRig:
    """The fake behind a local server."""

    cannot: Mapping[Situation, str] = {Situation.throttled_until: "AWS sends no Retry-After"}
    reports = frozenset({EventType.delivered, EventType.bounced})
    bounces = frozenset(Bounce)
    ages = True
    one_at_a_time = True

    def __init__(self, fake: AwsSms, server: ApiServer, root: Path) -> None:
        self.adapter = catalog.load("aws_sms")
        self._fake = fake
        self._server = server
        self._root = root
        self._url = server.url
        self._nobody = Nobody()
        self._topic = Topic()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "region": REGION,
                "access_key_id": Secret(ACCESS_KEY_ID),
                "secret_access_key": Secret(SECRET_ACCESS_KEY),
                "endpoint_url": self._url,
                "configuration_set": "campaigns",
                "webhook_topic_arn": self._topic.arn,
            }
        )
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        number = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.broken_after_write:
                self._fake.answers[number] = DROP
            case Situation.silent_after_write:
                self._fake.answers[number] = HANG
            case _:
                code, http_status, members = _ERRORS[situation]
                self._fake.answers[number] = error(code, words, http_status, **members)

    def relent(self) -> None:
        self._url = self._server.url
        self._fake.answers.clear()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [Arrived(each["DestinationPhoneNumber"], None, each["MessageBody"]) for each in self._fake.delivered]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (one,) = happened
        kind = {None: "TEXT_DELIVERED", Bounce.hard: "TEXT_INVALID", Bounce.soft: "TEXT_UNREACHABLE"}[one.bounce]
        return self._topic.notification(an_event(kind, one.outgoing, at), at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return self._topic.notification(content.decode(errors="replace"), at)

    def said(self, webhook: Webhook) -> bytes:
        return self._topic.said(webhook)

    def forged(self, webhook: Webhook) -> Webhook:
        return self._topic.forged(webhook)

    def unconfigured(self) -> ProviderSettings:
        return self.adapter.Settings()


_ERRORS: dict[Situation, tuple[str, int, dict[str, object]]] = {
    Situation.throttled: ("ThrottlingException", 400, {}),
    Situation.quota: ("ServiceQuotaExceededException", 400, {"Reason": "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"}),
    Situation.bad_credentials: ("UnrecognizedClientException", 400, {}),
    Situation.bad_recipient: (
        "ValidationException",
        400,
        {"Reason": "INVALID_PARAMETER", "Fields": [{"Name": "DestinationPhoneNumber", "Message": "is not valid"}]},
    ),
    Situation.bad_content: ("ValidationException", 400, {"Reason": "MAXIMUM_SIZE_EXCEEDED"}),
    Situation.transient: ("InternalServerException", 500, {}),
}


def an_event(kind: str, outgoing: Outgoing, at: datetime, **fields: object) -> dict[str, object]:
    """As the service publishes it ("Example AWS End User Messaging SMS event data")."""
    return {
        "eventType": kind,
        "eventVersion": "1.0",
        "eventTimestamp": int(at.timestamp() * 1000),
        "isFinal": True,
        "originationPhoneNumber": "+12065550152",
        "destinationPhoneNumber": outgoing.message.address,
        "isoCountryCode": "DE",
        "messageId": "862a8790-60c0-4430-9b2b-658bdexample",
        "messageRequestTimestamp": int(at.timestamp() * 1000),
        "messageEncoding": "GSM",
        "messageType": "PROMOTIONAL",
        "messageStatus": kind.removeprefix("TEXT_"),
        "messageStatusDescription": "as it is described",
        "context": {"connect_id": outgoing.correlation_id},
        "totalMessageParts": 1,
        "totalMessagePrice": 0.09582,
        "totalCarrierFee": 0.0,
    }


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = AwsSms()
    with ApiServer(fake.answer) as server, closing(AwsSmsRig(fake, server, root)) as built:
        yield built
