"""What APNs's answers mean for one message: every table that maps them to receipts."""

from __future__ import annotations

from connect.channels.message import Outgoing
from connect.providers import http_replies
from connect.providers.api import json_of, refused
from connect.providers.http import Reply
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

EXPIRED = "ExpiredProviderToken"

REASONS: dict[str, Meaning] = {
    # the device; a burst of any of these pauses the run, as it is rather the account that is wrong then
    "BadDeviceToken": (Status.rejected_recipient, "bad_device_token"),  # or one of the other environment
    "MissingDeviceToken": (Status.rejected_recipient, "bad_device_token"),
    "DeviceTokenNotForTopic": (Status.rejected_recipient, "device_token_not_for_topic"),
    "Unregistered": (Status.rejected_recipient, "unregistered"),
    "ExpiredToken": (Status.rejected_recipient, "unregistered"),
    # the message
    "BadCollapseId": (Status.rejected_content, "bad_collapse_key"),
    "BadExpirationDate": (Status.rejected_content, "bad_expiration"),
    "BadMessageId": (Status.rejected_content, "bad_message_id"),
    "DuplicateHeaders": (Status.rejected_content, "bad_request"),
    "PayloadEmpty": (Status.rejected_content, "payload_empty"),
    "PayloadTooLarge": (Status.rejected_content, "payload_too_large"),
    # the account
    "BadCertificate": (Status.config, "authentication_failed"),
    "BadCertificateEnvironment": (Status.config, "wrong_environment"),
    "BadEnvironmentKeyIdInToken": (Status.config, "wrong_environment"),
    "BadEnvironmentKeyInToken": (Status.config, "wrong_environment"),
    "BadPath": (Status.config, "endpoint_not_found"),
    "BadPriority": (Status.config, "bad_priority"),
    "BadTopic": (Status.config, "bad_topic"),
    EXPIRED: (Status.config, "clock_is_wrong"),
    "Forbidden": (Status.config, "access_denied"),
    "InvalidProviderToken": (Status.config, "authentication_failed"),
    "InvalidPushType": (Status.config, "bad_push_type"),
    "MethodNotAllowed": (Status.config, "endpoint_not_found"),
    "MissingProviderToken": (Status.config, "authentication_failed"),
    "MissingTopic": (Status.config, "bad_topic"),
    "TopicDisallowed": (Status.config, "bad_topic"),
    "UnrelatedKeyIdInToken": (Status.config, "authentication_failed"),
    # not now
    "IdleTimeout": (Status.transient, "try_again_later"),
    "InternalServerError": (Status.transient, "provider_failed"),
    "ServiceUnavailable": (Status.transient, "provider_failed"),
    "Shutdown": (Status.transient, "try_again_later"),
    "TooManyProviderTokenUpdates": (Status.throttled, "token_updated_too_often"),
    "TooManyRequests": (Status.transient, "device_slow_down"),  # one device: nobody else has to wait
}
"""`reason` of the body (documented at developer.apple.com, "Handling notification responses from APNs")."""

HTTP_STATUSES: dict[int, Meaning] = {
    400: (Status.rejected_content, "other"),
    404: (Status.config, "endpoint_not_found"),
    405: (Status.config, "endpoint_not_found"),
    410: (Status.rejected_recipient, "unregistered"),
    413: (Status.rejected_content, "payload_too_large"),
}
"""What a status says where the reason is not known."""


def reason_of(reply: Reply) -> str:
    """APNs's own word; blank where it says none."""
    if reply.status == 200:
        return ""
    said = json_of(reply)
    reason = said.get("reason") if isinstance(said, dict) else None
    return reason if isinstance(reason, str) else ""


def receipt(reply: Reply, outgoing: Outgoing) -> Receipt:
    """What became of a message."""
    if reply.status == 200:
        return Receipt(Status.accepted, provider_id=reply.headers.get("apns-id", ""))
    if reply.status < 300:  # nothing that APNs ever says
        return Receipt(Status.ambiguous, "unrecognised_answer")
    reason = reason_of(reply)
    known = REASONS.get(reason)
    return refused(reply, known or http_replies.meaning(reply.status, HTTP_STATUSES), reason, outgoing)
