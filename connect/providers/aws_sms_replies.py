"""What AWS End User Messaging SMS's answers mean for one message.

Codes and machine-readable reasons: the errors of SendTextMessage in the API's reference (docs.aws.amazon.com/pinpoint,
SMS and voice v2 API, seen 2026-11). A reason says more than its code.
"""

from __future__ import annotations

from connect.channels.message import Outgoing
from connect.providers import aws_replies
from connect.providers.aws_replies import IN_DOUBT, Refusal
from connect.providers.http_replies import Meaning
from connect.providers.interface import Receipt, Status

ERRORS: dict[str, Meaning] = {
    **aws_replies.ERRORS,
    "ServiceQuotaExceededException": (Status.quota, "quota_exceeded"),
    "AccessDeniedException": (Status.config, "access_denied"),
    "ResourceNotFoundException": (Status.config, "resource_not_found"),
    "ConflictException": (Status.config, "conflict"),
    "ValidationException": (Status.rejected_content, "bad_request"),
    "InternalServerException": (Status.transient, "provider_failed"),
}
"""Error codes of a call."""

REASONS: dict[str, Meaning] = {
    # ConflictException: the state of a number, or of something of the account's
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": (Status.rejected_recipient, "opted_out"),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": (Status.rejected_recipient, "number_blocked"),
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": (Status.rejected_recipient, "country_blocked"),
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": (Status.config, "recipient_not_verified"),  # the account is in the sandbox
    "NO_ORIGINATION_IDENTITIES_FOUND": (Status.config, "sender_not_found"),
    "MESSAGE_TYPE_MISMATCH": (Status.config, "message_type_mismatch"),
    "NUMBER_CAPABILITIES_MISMATCH": (Status.config, "sender_not_capable"),
    "REGISTRATION_NOT_COMPLETE": (Status.config, "sender_not_registered"),
    "RESOURCE_NOT_ACTIVE": (Status.config, "sender_not_active"),
    # ValidationException: what can not be sent from here to there
    "DESTINATION_COUNTRY_BLOCKED": (Status.rejected_recipient, "country_blocked"),
    "COUNTRY_NOT_ENABLED": (Status.rejected_recipient, "country_not_supported"),
    "COUNTRY_CODE_MISMATCH": (Status.rejected_recipient, "country_not_supported"),
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": (Status.rejected_recipient, "country_not_supported"),
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": (Status.rejected_recipient, "country_not_supported"),
    "SENDER_ID_NOT_SUPPORTED": (Status.rejected_recipient, "country_not_supported"),
    # By one person's country, and the others may well be elsewhere.
    "SENDER_ID_NOT_REGISTERED": (Status.rejected_recipient, "sender_not_registered"),
    "SENDER_ID_REQUIRES_REGISTRATION": (Status.rejected_recipient, "sender_not_registered"),
    "CHANNEL_NOT_ENABLED": (Status.config, "access_denied"),
    "INVALID_ARN": (Status.config, "resource_not_found"),
    "RESOURCE_NOT_ACCESSIBLE": (Status.config, "resource_not_found"),
    "PARAMETERS_CANNOT_BE_USED_TOGETHER": (Status.config, "bad_settings"),
    "UNKNOWN_OPERATION": (Status.config, "bad_settings"),
    "UNSPECIFIED_PARAMETER_NOT_SUPPORTED": (Status.config, "bad_settings"),
    "PRICE_OVER_THRESHOLD": (Status.rejected_content, "over_max_price"),
    "MAXIMUM_SIZE_EXCEEDED": (Status.rejected_content, "message_too_large"),
    # ServiceQuotaExceededException
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": (Status.quota, "monthly_spend_limit"),
    # AccessDeniedException
    "ACCOUNT_DISABLED": (Status.config, "account_disabled"),
    "INSUFFICIENT_ACCOUNT_REPUTATION": (Status.config, "account_reputation"),
}
"""`Reason`, of any code."""

FIELDS: dict[str, Meaning] = {
    "DestinationPhoneNumber": (Status.rejected_recipient, "invalid_number"),
    "MessageBody": (Status.rejected_content, "bad_request"),
    "OriginationIdentity": (Status.config, "sender_not_found"),
    "ConfigurationSetName": (Status.config, "bad_settings"),
    "DestinationCountryParameters": (Status.config, "bad_settings"),
    "MaxPrice": (Status.config, "bad_settings"),
    "MessageType": (Status.config, "bad_settings"),
    "ProtectConfigurationId": (Status.config, "bad_settings"),
    "TimeToLive": (Status.config, "bad_settings"),
}
"""What a ValidationException names in `Fields`, where its reason tells no more."""


def refused(refusal: Refusal, outgoing: Outgoing) -> Receipt:
    """The receipt of a message whose call was answered with an error."""
    return aws_replies.receipt(_meaning(refusal), refusal, outgoing)


def _meaning(refusal: Refusal) -> Meaning:
    if refusal.why in REASONS:
        return REASONS[refusal.why]
    if refusal.code == "ValidationException":
        return next((FIELDS[name] for name in refusal.fields if name in FIELDS), ERRORS[refusal.code])
    known = ERRORS.get(refusal.code) or aws_replies.HTTP_STATUSES.get(refusal.http_status)
    return known or _unknown(refusal.http_status)


def _unknown(http_status: int) -> Meaning:
    """A refusal (4xx) that no table knows is about this message; anything else is in doubt."""
    return (Status.rejected_content, "other") if 400 <= http_status < 500 else IN_DOUBT
