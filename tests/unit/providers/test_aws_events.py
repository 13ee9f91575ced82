"""What comes from an SNS topic is believed only where SNS signed it, lately, for a topic that was named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connect.providers import aws_events
from connect.providers.aws_events import LIFETIME, Notification
from connect.providers.events import AGE, LARGEST, CertificateWanted, Confirmation, EventsRefused, Webhook
from connect.testing.topic import CERTIFICATE_URL, TRAVELS, Topic, certificate, signed

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def read(webhook: Webhook, *topics: str) -> Notification | Confirmation | None:
    return aws_events.read(webhook, topics or (Topic().arn,))


def refused(webhook: Webhook, *topics: str) -> str:
    with pytest.raises(EventsRefused) as caught:
        read(webhook, *topics)
    return caught.value.reason


def changed(webhook: Webhook, **fields: object) -> Webhook:
    """The same with other fields, and the old signature; None takes one away."""
    envelope = {**json.loads(webhook.body), **fields}
    body = {name: value for name, value in envelope.items() if value is not None}
    return replace(webhook, body=json.dumps(body).encode())


def test_what_is_signed_is_as_amazon_has_it() -> None:
    """The examples of "Verifying the signatures of Amazon SNS messages"."""
    notification = {
        "Type": "Notification",
        "MessageId": "4d4dc071-ddbf-465d-bba8-08f81c89da64",
        "TopicArn": "arn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P",
        "Subject": "My subject",
        "Message": "Hello world!",
        "Timestamp": "2011-06-12T23:12:07.000Z",
        "UnsubscribeURL": "https://sns.us-east-2.amazonaws.com/?Action=Unsubscribe",
    }
    assert signed(notification) == (
        "Message\nHello world!\nMessageId\n4d4dc071-ddbf-465d-bba8-08f81c89da64\nSubject\nMy subject\n"
        "Timestamp\n2011-06-12T23:12:07.000Z\nTopicArn\narn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P\n"
        "Type\nNotification\n"
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("fields", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_notification_of_either_version(version: str, fields: dict[str, str]) -> None:
    webhook = Topic(version=version).notification({"text": "Grüße 🎉\n"}, NOW, **fields)
    found = read(webhook)
    assert isinstance(found, Notification)
    assert found.content == {"text": "Grüße 🎉\n"}
    assert found.at == NOW - TRAVELS
    assert found.id == json.loads(webhook.body)["MessageId"]
    assert "Grüße" not in repr(found)


def test_one_of_several_topics() -> None:
    assert read(Topic().notification({}, NOW), "arn:aws:sns:eu-west-1:123456789012:other", Topic().arn)


def test_a_message_that_is_not_ours_is_nothing() -> None:
    """SES says this to a topic when it becomes an event destination."""
    hello = "Successfully validated SNS topic for Amazon SES event publishing."
    for text in (hello, "[1]", "null", "[" * 100_000):
        found = read(Topic().notification(text, NOW))
        assert isinstance(found, Notification)
        assert found.content == {}


def test_a_subscription_is_confirmed_where_sns_says_so() -> None:
    topic = Topic()
    found = read(topic.confirmation(NOW))
    assert isinstance(found, Confirmation)
    assert found.topic == topic.arn
    assert found.url.startswith("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&")
    assert found.url not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=2",
        "https://evil.example/?Action=ConfirmSubscription&Token=2",
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2",
        "https://me@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2",
        "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&Token=2",
        "https://sns.eu-west-1.amazonaws.com@evil.example/?Action=ConfirmSubscription&Token=2",
    ],
)
def test_a_subscription_is_confirmed_nowhere_else(url: str) -> None:
    assert refused(Topic().confirmation(NOW, SubscribeURL=url)) == "wrong_topic"


def test_a_good_bye_is_not_answered() -> None:
    """Its SubscribeURL would subscribe again."""
    assert read(Topic().confirmation(NOW, "UnsubscribeConfirmation")) is None


def test_china_has_hosts_of_its_own() -> None:
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    topic = Topic(arn="arn:aws-cn:sns:cn-north-1:1:reports", certificate_url=url, certificates={url: certificate()})
    assert read(topic.notification({}, NOW), topic.arn)


def test_the_certificate_is_asked_for() -> None:
    with pytest.raises(CertificateWanted) as caught:
        read(Topic(certificates={}).notification({}, NOW))
    assert caught.value.url == CERTIFICATE_URL


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
        "https://evil.example/SimpleNotificationService-1.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.evil.example#.amazonaws.com/SimpleNotificationService-1.pem",
        "https://snsXeu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.a.b.amazonaws.com/SimpleNotificationService-1.pem",
        "https://me:pw@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "file:///etc/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.txt",
        "https://sns.eu-west-1.amazonaws.com/?x=SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com/a/b.pem",
        "https://sns.eu-west-1.amazonaws.com/1.pem\n",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_asked_for(url: str) -> None:
    webhook = Topic(certificate_url=url, certificates={url: certificate()}).notification({}, NOW)
    assert refused(webhook) in ("wrong_certificate", "unreadable")


def no_certificate() -> bytes:
    return b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def elliptic() -> bytes:
    """A certificate of a key that SNS does not sign with."""
    from cryptography import x509

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - AGE, NOW + AGE)
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "pem", [no_certificate, elliptic, lambda: b"", lambda: certificate(2020, 2026), lambda: certificate(2027, 2030)]
)
def test_a_certificate_that_is_not_good_now(pem: Callable[[], bytes]) -> None:
    webhook = Topic(certificates={CERTIFICATE_URL: pem()}).notification({}, NOW)
    assert refused(webhook) == "wrong_certificate"


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Subject"])
def test_what_was_changed_is_refused(name: str) -> None:
    webhook = Topic().notification({}, NOW, Subject="a subject")
    value = "2026-11-20T09:29:58.000Z" if name == "Timestamp" else '{"eventType": "Complaint"}'
    assert refused(changed(webhook, **{name: value})) == "bad_signature"


def test_a_subject_that_was_taken_away_or_put_in() -> None:
    assert refused(changed(Topic().notification({}, NOW, Subject="a subject"), Subject=None)) == "bad_signature"
    assert refused(changed(Topic().notification({}, NOW), Subject="a subject")) == "bad_signature"


def test_a_line_break_does_not_move_what_is_signed_from_field_to_field() -> None:
    """The same text is signed, and the message would be another."""
    genuine = Topic().notification("one\nMessageId\ntwo", NOW)
    text = json.loads(genuine.body)["MessageId"]
    moved = changed(genuine, Message="one", MessageId=f"two\nMessageId\n{text}")
    assert signed(json.loads(moved.body)) == signed(json.loads(genuine.body))
    assert refused(moved) == "unreadable"


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64 !", "ÄÖÜ"])
def test_what_is_no_signature(signature: str) -> None:
    assert refused(changed(Topic().notification({}, NOW), Signature=signature)) == "bad_signature"


@pytest.mark.parametrize("version", ["0", "3", "", "1 "])
def test_a_version_that_nobody_knows(version: str) -> None:
    assert refused(changed(Topic().notification({}, NOW), SignatureVersion=version)) == "bad_signature"


def test_a_version_is_not_taken_for_another() -> None:
    assert refused(changed(Topic(version="2").notification({}, NOW), SignatureVersion="1")) == "bad_signature"


def test_another_topic_is_refused_before_anything_is_fetched() -> None:
    theirs = Topic(arn="arn:aws:sns:eu-west-1:999999999999:reports", certificates={})
    assert refused(theirs.notification({}, NOW)) == "wrong_topic"
    assert refused(theirs.confirmation(NOW)) == "wrong_topic"


def test_nothing_is_believed_before_a_topic_is_named() -> None:
    with pytest.raises(EventsRefused, match="not_configured"):
        aws_events.read(Topic().notification({}, NOW), ())


def test_a_message_is_as_old_as_sns_may_let_it_become() -> None:
    webhook = Topic().notification({}, NOW)
    assert read(replace(webhook, at=NOW - TRAVELS + LIFETIME))
    assert refused(replace(webhook, at=NOW - TRAVELS + LIFETIME + timedelta(seconds=1))) == "too_old"
    assert read(replace(webhook, at=NOW - TRAVELS - AGE))
    assert refused(replace(webhook, at=NOW - TRAVELS - AGE - timedelta(seconds=1))) == "too_old"


def test_a_time_that_is_none() -> None:
    assert refused(Topic().notification({}, NOW, Timestamp="yesterday")) == "unreadable"


def test_raw_delivery_is_refused() -> None:
    """SNS signs nothing then: the body is what was published, and nothing else."""
    headers = {"x-amz-sns-rawdelivery": "true", "x-amz-sns-message-type": "Notification"}
    webhook = replace(Topic().notification({}, NOW), headers=headers, body=b'{"eventType": "Bounce"}')
    assert refused(webhook) == "bad_signature"
    assert refused(replace(webhook, headers={})) == "unreadable"


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"null", b'"text"', b"{}", b'{"Type": ["Notification"]}', b"[" * 99999]
)
def test_what_can_not_be_read(body: bytes) -> None:
    assert refused(replace(Topic().notification({}, NOW), body=body)) == "unreadable"


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "Signature", "SigningCertURL", "Timestamp", "TopicArn", "Type"]
)
@pytest.mark.parametrize("value", [None, 1, ["text"], {}])
def test_fields_that_are_missing_or_no_texts(name: str, value: object) -> None:
    assert refused(changed(Topic().notification({}, NOW), **{name: value})) == "unreadable"


def test_half_a_surrogate_pair() -> None:
    assert refused(changed(Topic().notification({}, NOW), Message="\ud800")) == "bad_signature"


def test_the_header_names_the_type() -> None:
    webhook = Topic().notification({}, NOW)
    headers = {**webhook.headers, "x-amz-sns-message-type": "SubscriptionConfirmation"}
    assert refused(replace(webhook, headers=headers)) == "unreadable"


def test_a_body_that_is_too_large() -> None:
    assert refused(replace(Topic().notification({}, NOW), body=b" " * (LARGEST + 1))) == "too_large"
