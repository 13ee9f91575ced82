"""The rig of `ses`: the recorder that is driven by botocore's model of the service."""

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
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account, as_parsed
from connect.testing.ses import SesServer
from connect.testing.topic import Topic


class SesRig:
    """The recorder that is driven by botocore's model of the service."""

    cannot: Mapping[Situation, str] = {Situation.throttled_until: "SES sends no Retry-After"}
    reports = frozenset(EventType)
    bounces = frozenset(Bounce)
    ages = True
    one_at_a_time = True

    def __init__(self, server: SesServer, root: Path) -> None:
        self.adapter = catalog.load("ses")
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
                "region": "eu-west-1",
                "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
                "secret_access_key": Secret("only for tests"),
                "endpoint_url": self._url,
                "webhook_topic_arn": self._topic.arn,
            }
        )
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.broken_after_write:
                self._server.break_off()
            case Situation.silent_after_write:
                self._server.stay_silent()
            case Situation.bad_recipient:
                self._server.refuse("BadRequestException", f"Illegal address {words}", address=address)
            case _:
                code, said, http_status = _SES_ERRORS[situation]
                self._server.refuse(code, f"{said} {words}", http_status, address)

    def relent(self) -> None:
        self._url = self._server.url
        self._server.forget_answers()

    def arrived(self) -> list[Arrived]:
        assert self._server.misfits == []
        return [
            as_parsed(each.to[0], each.raw) if each.raw else Arrived(each.to[0], each.subject, each.text, each.html)
            for each in self._server.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (one,) = happened
        return self._topic.notification(_event(one, at), at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return self._topic.notification(content.decode(errors="replace"), at)

    def said(self, webhook: Webhook) -> bytes:
        return self._topic.said(webhook)

    def forged(self, webhook: Webhook) -> Webhook:
        return self._topic.forged(webhook)

    def unconfigured(self) -> ProviderSettings:
        return self.adapter.Settings()


def _event(happened: Happened, at: datetime) -> dict[str, object]:
    """As SES publishes it ("Examples of event data that Amazon SES publishes to Amazon SNS")."""
    address, when = happened.outgoing.message.address, f"{at:%Y-%m-%dT%H:%M:%S.123Z}"
    mail = {
        "timestamp": when,
        "messageId": "01020190a1b2c3d4-0a1b2c3d-example-000000",
        "destination": [address],
        "tags": {
            "ses:operation": ["SendEmail"],
            "connect_id": [happened.outgoing.correlation_id.replace(".", "-")],
        },
    }
    bounce_type, sub_type = ("Permanent", "NoEmail") if happened.bounce is Bounce.hard else ("Transient", "MailboxFull")
    out, back = {"unsubscribeAll": True}, {"unsubscribeAll": False, "topicSubscriptionStatus": []}
    details: dict[EventType, tuple[str, dict[str, object]]] = {
        EventType.delivered: ("Delivery", {"recipients": [address], "smtpResponse": "250 2.6.0 Message received"}),
        EventType.opened: ("Open", {"ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}),
        EventType.clicked: ("Click", {"link": happened.link, "linkTags": {"offer": ["1"]}}),
        EventType.bounced: (
            "Bounce",
            {
                "bounceType": bounce_type,
                "bounceSubType": sub_type,
                "bouncedRecipients": [{"emailAddress": address, "action": "failed", "status": "5.1.1"}],
                "feedbackId": "0102-example",
            },
        ),
        EventType.complained: (
            "Complaint",
            {"complainedRecipients": [{"emailAddress": address}], "complaintFeedbackType": "abuse"},
        ),
        EventType.unsubscribed: ("Subscription", {"newTopicPreferences": out, "oldTopicPreferences": back}),
        EventType.resubscribed: ("Subscription", {"newTopicPreferences": back, "oldTopicPreferences": out}),
    }
    name, detail = details[happened.type]
    return {"eventType": name, "mail": mail, name.lower(): {"timestamp": when, **detail}}


_SES_ERRORS: dict[Situation, tuple[str, str, int]] = {
    Situation.throttled: ("TooManyRequestsException", "Maximum sending rate exceeded.", 429),
    Situation.quota: ("ThrottlingException", "Daily message quota exceeded.", 400),
    Situation.bad_credentials: ("UnrecognizedClientException", "The security token is invalid.", 403),
    Situation.bad_content: ("MessageRejected", "The message contains a virus.", 400),
    Situation.transient: ("ServiceUnavailable", "Try again.", 503),
}


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    with SesServer() as server, closing(SesRig(server, root)) as built:
        yield built
