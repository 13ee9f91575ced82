"""What an SMTP server's reply means for one message: every table that maps replies to receipts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from connect.channels.message import Outgoing
from connect.providers.interface import Receipt, Status, hide


class Stage(StrEnum):
    """Where in a transaction a reply came."""

    mail = "mail"  # MAIL FROM
    rcpt = "rcpt"  # RCPT TO
    data = "data"  # DATA, and the reply after the final dot


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    text: str

    @property
    def accepted(self) -> bool:
        return 200 <= self.code < 300

    @property
    def enhanced(self) -> str:
        """The enhanced status code without its class (RFC 3463): `1.1` of `550 5.1.1 no such user`."""
        match = _ENHANCED.match(self.text)
        return match.group(1) if match else ""


_ENHANCED = re.compile(r"[245]\.(\d{1,3}\.\d{1,3})\b")

REASONS_BY_ENHANCED_CODE: dict[str, str] = {
    "1.0": "mailbox_unavailable",
    "1.1": "mailbox_unavailable",
    "1.2": "bad_domain",
    "1.3": "bad_address_syntax",
    "1.6": "mailbox_moved",
    "1.10": "bad_domain",  # null MX, RFC 7505
    "2.0": "mailbox_unavailable",
    "2.1": "mailbox_disabled",
    "2.2": "mailbox_full",
    "2.3": "message_too_large",
    "3.4": "message_too_large",
    "4.1": "host_unreachable",
    "4.4": "host_unreachable",
    "4.6": "mail_loop",
    "6.0": "content_unsupported",
    "6.1": "content_unsupported",
    "7.0": "blocked",
    "7.1": "blocked",
    "7.23": "spf_failed",
    "7.25": "reverse_dns_failed",
    "7.26": "authentication_checks_failed",
    "7.27": "bad_domain",  # the sender's domain has a null MX
}

REASONS_BY_CODE: dict[Stage, dict[int, str]] = {
    Stage.mail: {552: "message_too_large"},
    Stage.rcpt: {
        501: "bad_address_syntax",
        510: "bad_domain",
        511: "mailbox_unavailable",
        521: "bad_domain",
        550: "mailbox_unavailable",
        551: "mailbox_moved",
        552: "mailbox_full",
        553: "bad_address_syntax",
        554: "blocked",
        556: "bad_domain",
    },
    Stage.data: {552: "message_too_large", 554: "blocked"},
}

REFUSED: dict[Stage, tuple[Status, str]] = {
    Stage.mail: (Status.config, "sender_refused"),
    Stage.rcpt: (Status.rejected_recipient, "recipient_refused"),
    Stage.data: (Status.rejected_content, "content_refused"),
}
"""What a 5xx means where nothing more is known."""

SIGN_IN: dict[int, str] = {
    530: "authentication_required",
    534: "authentication_failed",
    535: "authentication_failed",
    538: "encryption_required",
}
"""Replies about who we are: never the recipient's fault, at any stage (RFC 4954)."""

_SLOW_DOWN = {421, 454}
_TOO_FAST = re.compile(r"throttl|rate.?limit|sending rate|too (many|fast)|slow down", re.IGNORECASE)
_QUOTA = re.compile(
    r"\b(daily|monthly|hourly|message|sending|user sending) (message |sending |user )*(quota|limit)", re.I
)
_RELAY = re.compile(r"relay(ing)?\b.*(denied|not permitted|not allowed|prohibited)|unable to relay|not? relay", re.I)


def refusal(stage: Stage, reply: Reply, outgoing: Outgoing) -> Receipt:
    """The receipt of a message that the server said no to, for now or for good."""
    status, reason = _meaning(stage, reply)
    return Receipt(status, reason, detail=hide(f"{reply.code} {reply.text}", outgoing))


def _meaning(stage: Stage, reply: Reply) -> tuple[Status, str]:
    if reply.code in SIGN_IN:
        return Status.config, SIGN_IN[reply.code]
    if _is_quota(reply):
        return Status.quota, "sending_quota"
    return _for_now(reply) if reply.code < 500 else _for_good(stage, reply)


def _is_quota(reply: Reply) -> bool:
    """Our own quota: Gmail says 550 5.4.5, SES 454 with words. A full mailbox (x.2.2) is the recipient's."""
    return reply.enhanced != "2.2" and (reply.enhanced == "4.5" or bool(_QUOTA.search(reply.text)))


def _for_now(reply: Reply) -> tuple[Status, str]:
    """4xx. 421, 454, and 4.7.x with words about a rate ask the account to slow down; a plain 4.7.x is greylisting."""
    about_rate = reply.enhanced.startswith("7.") or not reply.enhanced
    if reply.code in _SLOW_DOWN or (about_rate and _TOO_FAST.search(reply.text)):
        return Status.throttled, "slow_down"
    return Status.transient, REASONS_BY_ENHANCED_CODE.get(reply.enhanced, "try_again_later")


def _for_good(stage: Stage, reply: Reply) -> tuple[Status, str]:
    known = REASONS_BY_ENHANCED_CODE.get(reply.enhanced) or REASONS_BY_CODE[stage].get(reply.code)
    if known == "message_too_large":
        return Status.rejected_content, known
    if stage is Stage.rcpt and _RELAY.search(reply.text):
        # Said of every recipient until somebody signs in or allows this machine: not the recipient's fault.
        return Status.config, "relay_denied"
    if stage is Stage.data and reply.enhanced.startswith(("1.1", "2.0", "2.1", "2.2")):
        # Some servers look the recipient up only after the content.
        stage = Stage.rcpt
    status, reason = REFUSED[stage]
    return (status, reason) if stage is Stage.mail else (status, known or reason)


_QUEUED_AS = re.compile(r"(?:queued as|id=|\bOk)\s*:?\s*([A-Za-z0-9._-]{6,64})(?:\s|$)", re.IGNORECASE)


def queue_id(text: str) -> str:
    """The id under which the server queued a message, where it says one."""
    match = _QUEUED_AS.search(text.replace("Ok: queued", "queued"))
    return match.group(1) if match else ""
