"""An SNS topic that posts to a URL: notifications and confirmations, signed as SNS signs them.

    topic = Topic()
    webhook = topic.notification({"eventType": "Delivery", …}, at)
    parse_events(webhook, Settings(webhook_topic_arn=topic.arn))

What is signed is put together here from the examples of "Verifying the signatures of Amazon SNS messages", and not by
the code that checks it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from connect.providers.events import Webhook
from connect.providers.replays import Remembered

URL = "https://connect.acme.example/webhooks/aws"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
TRAVELS = timedelta(seconds=1)
"""From when a message is published to when it is posted."""


@cache
def _keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """SNS's, and somebody else's."""
    return rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)


@cache
def certificate(since: int = 2020, until: int = 2120) -> bytes:
    """Of SNS's key, good from the beginning of one year to that of another, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    key = _keys()[0]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(since, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(until, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Topic:
    """A topic, and SNS behind it."""

    arn: str = "arn:aws:sns:eu-west-1:123456789012:reports"
    version: str = "2"
    certificate_url: str = CERTIFICATE_URL
    key: rsa.RSAPrivateKey = field(default_factory=lambda: _keys()[0], repr=False)
    certificates: Mapping[str, bytes] = field(default_factory=lambda: {CERTIFICATE_URL: certificate()}, repr=False)

    def notification(self, message: object, at: datetime, **fields: str) -> Webhook:
        """A message as it arrives then: JSON, or a text as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        return self.posted({"Type": "Notification", "Message": text, **fields}, at)

    def confirmation(self, at: datetime, kind: str = "SubscriptionConfirmation", **fields: str) -> Webhook:
        asked = {
            "Type": kind,
            "Message": f"You have chosen to subscribe to the topic {self.arn}.\nTo confirm, visit the SubscribeURL.",
            "Token": "2336412f37fb687f5d51e6e241d09c805a5a57b30d712f794cc5f6a988666d92",
            "SubscribeURL": f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={self.arn}&Token=2",
        }
        return self.posted(asked | fields, at)

    def posted(self, fields: Mapping[str, str], at: datetime) -> Webhook:
        """A signed message with these fields, as it arrives then."""
        envelope = {
            "MessageId": str(uuid.UUID(bytes=hashlib.md5(repr(fields).encode()).digest())),
            "TopicArn": self.arn,
            "Timestamp": f"{(at - TRAVELS).astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}",
            **fields,
        }
        signature = self.key.sign(signed(envelope).encode(), padding.PKCS1v15(), _DIGESTS[self.version]())
        envelope |= {
            "SignatureVersion": self.version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": self.certificate_url,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=1",
        }
        headers = {
            "content-type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": envelope["Type"],
            "x-amz-sns-message-id": envelope["MessageId"],
            "x-amz-sns-topic-arn": envelope["TopicArn"],
            "user-agent": "Amazon Simple Notification Service Agent",
        }
        body = json.dumps(envelope, ensure_ascii=False).encode()
        return Webhook(headers, body, URL, at, Remembered(), self.certificates)

    def said(self, webhook: Webhook) -> bytes:
        """The message in its envelope."""
        message: str = json.loads(webhook.body)["Message"]
        return message.encode()

    def forged(self, webhook: Webhook) -> Webhook:
        """The same, signed by somebody who has not SNS's key."""
        envelope = json.loads(webhook.body)
        own = signed({name: envelope[name] for name in envelope if name in _SIGNED})
        signature = _keys()[1].sign(own.encode(), padding.PKCS1v15(), _DIGESTS[self.version]())
        envelope["Signature"] = base64.b64encode(signature).decode()
        return replace(webhook, body=json.dumps(envelope).encode())


_DIGESTS = {"1": hashes.SHA1, "2": hashes.SHA256}
_SIGNED = {"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}


def signed(envelope: Mapping[str, str]) -> str:
    """Name and value of what is signed, each in a line of its own, sorted by name."""
    return "".join(f"{name}\n{envelope[name]}\n" for name in sorted(_SIGNED & envelope.keys()))
