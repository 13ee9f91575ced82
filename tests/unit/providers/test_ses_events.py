"""What Amazon SES reports, event by event."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connect.identity import read_correlation_id
from connect.providers.events import Bounce, Confirmation, Event, EventType
from connect.providers.ses import Ses, Settings
from connect.providers.ses_events import BOUNCE_REASONS, COMPLAINT_REASONS, parse_events
from connect.testing import an_email
from connect.testing.topic import Topic
from connect.vocabulary import Channel

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
TOPIC = Topic()
SETTINGS = Settings.model_validate({"webhook_topic_arn": TOPIC.arn})
OURS = an_email(1)


def mail(*destination: str, **fields: object) -> dict[str, Any]:
    tags = {"ses:configuration-set": ["campaigns"], "connect_id": [OURS.correlation_id.replace(".", "-")]}
    to = list(destination or ["person-1@mail.example"])
    return {"messageId": "0102-example", "destination": to, "tags": tags, **fields}


def events(message: object) -> list[Event]:
    found = parse_events(TOPIC.notification(message, NOW), SETTINGS)
    assert all(isinstance(each, Event) for each in found)
    return found  # type: ignore[return-value]


def one(kind: str, detail: dict[str, Any], **fields: Any) -> Event:
    name = {"Rendering Failure": "failure"}.get(kind, kind.lower())
    (event,) = events({"eventType": kind, name: detail, "mail": mail(), **fields})
    return event


def test_a_delivery() -> None:
    event = one("Delivery", {"timestamp": "2026-11-20T09:29:57.123Z", "recipients": ["person-1@mail.example"]})
    assert event.type is EventType.delivered
    assert event.at == datetime(2026, 11, 20, 9, 29, 57, 123000, UTC)
    assert event.channel is Channel.email
    assert (event.run_id, event.key) == read_correlation_id(OURS.correlation_id)
    assert (event.address, event.provider_id) == ("person-1@mail.example", "0102-example")
    assert (event.bounce, event.reason, event.link) == (None, "", "")


def test_every_correlation_id_comes_back() -> None:
    """Its own dashes stand where dots became dashes too."""
    for number in range(300):
        outgoing = an_email(number)
        tags = {"connect_id": [outgoing.correlation_id.replace(".", "-")]}
        (event,) = events({"eventType": "Open", "mail": mail(tags=tags)})
        assert (event.run_id, event.key) == read_correlation_id(outgoing.correlation_id)


@pytest.mark.parametrize("tags", [{}, {"connect_id": []}, {"connect_id": ["c1-other"]}, {"connect_id": "c1"}, [], None])
def test_what_is_not_ours_has_no_run(tags: object) -> None:
    (event,) = events({"eventType": "Open", "mail": mail(tags=tags)})
    assert (event.run_id, event.key) == (None, None)


@pytest.mark.parametrize(
    ("kind", "sub_type", "bounce", "reason"),
    [
        ("Permanent", "General", Bounce.hard, "general"),
        ("Permanent", "NoEmail", Bounce.hard, "mailbox_unavailable"),
        ("Permanent", "Suppressed", Bounce.hard, "suppressed"),
        ("Permanent", "OnAccountSuppressionList", Bounce.hard, "suppressed"),
        ("Transient", "General", Bounce.soft, "general"),
        ("Transient", "MailboxFull", Bounce.soft, "mailbox_full"),
        ("Transient", "ContentRejected", Bounce.soft, "content_rejected"),
        ("Undetermined", "Undetermined", Bounce.soft, "undetermined"),
        ("Permanent", "SomethingNew", Bounce.hard, "other"),
        ("SomethingNew", "", Bounce.soft, "other"),
    ],
)
def test_a_bounce(kind: str, sub_type: str, bounce: Bounce, reason: str) -> None:
    people = [{"emailAddress": "person-1@mail.example", "diagnosticCode": "smtp; 550"}]
    event = one("Bounce", {"bounceType": kind, "bounceSubType": sub_type, "bouncedRecipients": people})
    assert (event.type, event.bounce, event.reason) == (EventType.bounced, bounce, reason)
    assert event.address == "person-1@mail.example"


def test_a_bounce_of_several_is_an_event_for_each() -> None:
    people = [{"emailAddress": "Person <person-1@mail.example>"}, {"emailAddress": "cc@mail.example"}]
    found = events({"eventType": "Bounce", "bounce": {"bouncedRecipients": people}, "mail": mail()})
    assert [event.address for event in found] == ["person-1@mail.example", "cc@mail.example"]
    assert found[1].id == f"{found[0].id}/1"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"complaintFeedbackType": "abuse"}, "abuse"),
        ({"complaintFeedbackType": "auth-failure"}, "auth_failure"),
        ({"complaintSubType": "OnAccountSuppressionList"}, "suppressed"),
        ({}, "other"),
    ],
)
def test_a_complaint(fields: dict[str, str], reason: str) -> None:
    event = one("Complaint", {"complainedRecipients": [{"emailAddress": "person-1@mail.example"}], **fields})
    assert (event.type, event.reason, event.address) == (EventType.complained, reason, "person-1@mail.example")


def test_a_complaint_that_is_taken_back_is_none() -> None:
    detail = {"complainedRecipients": [{"emailAddress": "a@mail.example"}], "complaintFeedbackType": "not-spam"}
    assert events({"eventType": "Complaint", "complaint": detail, "mail": mail()}) == []


def test_an_open_and_a_click() -> None:
    opened = one("Open", {"timestamp": "2026-11-20T09:29:57Z", "userAgent": "Mozilla/5.0"})
    clicked = one("Click", {"link": "https://acme.example/offer?a=1&b=2"})
    assert (opened.type, opened.address) == (EventType.opened, "person-1@mail.example")
    assert (clicked.type, clicked.link) == (EventType.clicked, "https://acme.example/offer?a=1&b=2")


def test_of_several_nobody_knows_who_opened_it() -> None:
    (event,) = events({"eventType": "Open", "open": {}, "mail": mail("person-1@mail.example", "cc@mail.example")})
    assert event.address == ""


@pytest.mark.parametrize(
    ("kind", "detail", "reason"),
    [
        ("Reject", {"reason": "Bad content"}, "rejected"),
        ("Rendering Failure", {"templateName": "t", "errorMessage": "e"}, "rendering_failure"),
    ],
)
def test_what_ses_took_and_did_not_send(kind: str, detail: dict[str, Any], reason: str) -> None:
    event = one(kind, detail)
    assert (event.type, event.bounce, event.reason) == (EventType.bounced, Bounce.soft, reason)
    assert event.address == "person-1@mail.example"


def topics(everything: bool, **statuses: str) -> dict[str, Any]:
    listed = [{"topicName": name, "subscriptionStatus": status} for name, status in statuses.items()]
    return {"unsubscribeAll": everything, "topicSubscriptionStatus": listed}


@pytest.mark.parametrize(
    ("old", "new", "type"),
    [
        (topics(False), topics(True), EventType.unsubscribed),
        (topics(False, news="OptIn"), topics(False, news="OptOut"), EventType.unsubscribed),
        (topics(False, news="OptIn"), topics(False, news="OPT_OUT"), EventType.unsubscribed),
        (topics(False, a="OptOut", b="OptIn"), topics(False, a="OptIn", b="OptOut"), EventType.unsubscribed),
        (topics(True), topics(False), EventType.resubscribed),
        (topics(False, news="OptOut"), topics(False, news="OptIn"), EventType.resubscribed),
        (topics(True, news="OptOut"), topics(False, news="OptOut"), None),
        (topics(False), topics(False), None),
        (None, None, None),
    ],
)
def test_ses_own_subscriptions(old: object, new: object, type: EventType | None) -> None:
    detail = {"contactList": "all", "newTopicPreferences": new, "oldTopicPreferences": old}
    found = events({"eventType": "Subscription", "subscription": detail, "mail": mail()})
    assert [event.type for event in found] == ([type] if type else [])


def test_an_identitys_own_notification() -> None:
    """Without event publishing, SES calls the type otherwise, and knows no tags."""
    people = [{"emailAddress": "person-1@mail.example"}]
    message = {
        "notificationType": "Bounce",
        "bounce": {"bounceType": "Permanent", "bouncedRecipients": people},
        "mail": {},
    }
    (event,) = events(message)
    assert (event.type, event.run_id) == (EventType.bounced, None)


@pytest.mark.parametrize(
    "message",
    [
        {"eventType": "Send", "send": {}, "mail": mail()},
        {"eventType": "DeliveryDelay", "deliveryDelay": {"delayType": "MailboxFull"}, "mail": mail()},
        {"eventType": "SomethingNew", "mail": mail()},
        {"eventType": ["Bounce"]},
        {},
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
)
def test_what_we_have_no_name_for(message: object) -> None:
    assert events(message) == []


@pytest.mark.parametrize("rubbish", [None, 7, "text", [], [None, 7, [[]]], {"a": 1}])
def test_rubbish_is_nothing_worse_than_nothing(rubbish: object) -> None:
    for kind in ("Delivery", "Bounce", "Complaint", "Open", "Click", "Reject", "Subscription"):
        for detail in (rubbish, {"recipients": rubbish, "bouncedRecipients": rubbish, "timestamp": rubbish}):
            for event in events({"eventType": kind, kind.lower(): detail, "mail": rubbish}):
                assert (event.address, event.run_id) == ("", None)
                assert event.at.tzinfo is not None


def test_a_subscription_to_the_topic_is_handed_on() -> None:
    (found,) = parse_events(TOPIC.confirmation(NOW), SETTINGS)
    assert isinstance(found, Confirmation)
    assert parse_events(TOPIC.confirmation(NOW, "UnsubscribeConfirmation"), SETTINGS) == []


def test_several_topics_can_be_named() -> None:
    several = Settings.model_validate({"webhook_topic_arn": ["arn:aws:sns:eu-west-1:1:other", TOPIC.arn]})
    assert parse_events(TOPIC.notification({"eventType": "Open", "mail": mail()}, NOW), several)
    assert Ses.parse_events is parse_events


def test_reasons_are_in_snake_case() -> None:
    for reason in (*BOUNCE_REASONS.values(), *COMPLAINT_REASONS.values()):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "providers" / "ses.md").read_text()
    for reason in (*BOUNCE_REASONS.values(), *COMPLAINT_REASONS.values(), "rejected", "rendering_failure"):
        assert f"`{reason}`" in page
