"""What AWS's services publish to an SNS topic, and SNS posts to a URL: whether it is genuine, and what it says.

Every customer of AWS can have SNS sign whatever they like, on a topic of their own: so the topic is pinned, before
anything is asked for, and the certificate comes from SNS's own hosts only. "Verifying the signatures of Amazon SNS
messages", docs.aws.amazon.com/sns/latest/dg.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from connect.providers.api import read_json
from connect.providers.events import AGE, CertificateWanted, Confirmation, EventsRefused, Webhook, json_body

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LIFETIME = timedelta(hours=1)
"""SNS tries a message again for at most 3,600 seconds, whatever the topic's delivery policy says ("Amazon SNS message
delivery retries"), and never writes a new Timestamp."""

_SIGNED = ("Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type")
_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_NEEDED = {
    "Notification": set(_SIGNED) - {"SubscribeURL", "Subject", "Token"},
    **dict.fromkeys(_CONFIRMATIONS, set(_SIGNED) - {"Subject"}),
}
"""Type → the fields that are signed; `Subject` too, where a notification has one."""

_SNS = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?"
_CERTIFICATE = re.compile(rf"{_SNS}/[A-Za-z0-9._-]+\.pem")
_SUBSCRIBE = re.compile(rf"{_SNS}/\?Action=ConfirmSubscription&[!-~]+")


@dataclass(frozen=True, slots=True)
class Notification:
    """What a service published."""

    id: str
    """The same for each time that SNS tries."""
    at: datetime
    """When it was published."""
    content: dict[str, Any] = field(repr=False)
    """{} where it is not a JSON object: SES, for one, says hello to a new topic in a sentence."""


def read(webhook: Webhook, topics: Collection[str]) -> Notification | Confirmation | None:
    """What SNS says; None where that is only good-bye. Raises EventsRefused or CertificateWanted.

    `topics`: the ARNs of those that are believed.
    """
    if not topics:
        raise EventsRefused("not_configured")
    envelope = _envelope(webhook)
    if envelope["TopicArn"] not in topics:
        raise EventsRefused("wrong_topic")
    _check_signature(webhook, envelope)
    at = instant(envelope["Timestamp"])
    if at is None:
        raise EventsRefused("unreadable")
    if not -AGE <= webhook.at - at <= LIFETIME:
        raise EventsRefused("too_old")
    if envelope["Type"] == "Notification":
        return Notification(envelope["MessageId"], at, _object(envelope["Message"]))
    return _confirmation(envelope) if envelope["Type"] == "SubscriptionConfirmation" else None


def instant(text: object) -> datetime | None:
    """A time as AWS writes it (ISO 8601, in UTC), aware; None for anything else."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        return at and (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _envelope(webhook: Webhook) -> dict[str, str]:
    """The fields that matter, each a text; the others are not signed."""
    body = json_body(webhook)
    if webhook.headers.get("x-amz-sns-rawdelivery") == "true":
        raise EventsRefused("bad_signature")  # raw messages are not signed at all
    given = body if isinstance(body, dict) else {}
    kind = given.get("Type")
    needed = _NEEDED.get(kind) if isinstance(kind, str) else None
    if needed is None or webhook.headers.get("x-amz-sns-message-type") != kind:
        raise EventsRefused("unreadable")
    names = needed | {"SignatureVersion", "Signature", "SigningCertURL"}
    if given.get("Subject") is not None and "Token" not in needed:
        names |= {"Subject"}
    envelope = {name: text for name in names if isinstance(text := given.get(name), str)}
    # In what is signed a field ends with its line: one that holds a line break could pass for two. The message is
    # first, so that where it ends is where the next field's name stands, and those after it have one line each.
    if len(envelope) < len(names) or any("\n" in text for name, text in envelope.items() if name != "Message"):
        raise EventsRefused("unreadable")
    return envelope


def _check_signature(webhook: Webhook, envelope: dict[str, str]) -> None:
    url = envelope["SigningCertURL"]
    if not _CERTIFICATE.fullmatch(url):
        raise EventsRefused("wrong_certificate")
    if url not in webhook.certificates:
        raise CertificateWanted(url)
    signer = _signer(webhook.certificates[url])
    if not signer.since <= webhook.at <= signer.until:
        raise EventsRefused("wrong_certificate")
    lines = "".join(f"{name}\n{envelope[name]}\n" for name in _SIGNED if name in envelope)
    if not _verified(signer.key, envelope, lines.encode(errors="replace")):
        raise EventsRefused("bad_signature")


@dataclass(frozen=True, slots=True)
class _Signer:
    """Of a certificate."""

    key: RSAPublicKey
    since: datetime
    until: datetime


@lru_cache(maxsize=16)
def _signer(pem: bytes) -> _Signer:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError:
        raise EventsRefused("wrong_certificate") from None
    if not isinstance(key, RSAPublicKey):
        raise EventsRefused("wrong_certificate")
    return _Signer(key, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _verified(key: RSAPublicKey, envelope: dict[str, str], signed: bytes) -> bool:
    """RSA with PKCS #1 v1.5 padding, over SHA-1 (version 1, every topic's default) or SHA-256 (version 2)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    digests = {"1": hashes.SHA1, "2": hashes.SHA256}
    digest = digests.get(envelope["SignatureVersion"])
    if digest is None:
        return False
    try:
        signature = base64.b64decode(envelope["Signature"], validate=True)
        key.verify(signature, signed, PKCS1v15(), digest())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _object(message: str) -> dict[str, Any]:
    try:
        content = read_json(message.encode())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _confirmation(envelope: dict[str, str]) -> Confirmation:
    if not _SUBSCRIBE.fullmatch(envelope["SubscribeURL"]):
        raise EventsRefused("wrong_topic")
    return Confirmation(envelope["TopicArn"], envelope["SubscribeURL"])
