"""Addresses: is this text one, and in which form does it go on the wire.

Nothing here asks the network. Whether an address exists is for its provider to say.
"""

from __future__ import annotations

import re
from functools import lru_cache

from connect.channels.headers import unsafe
from connect.channels.message import Mailbox
from connect.channels.phones import is_plainly_valid
from connect.vocabulary import Channel


def email_address(text: str) -> str | None:
    """The address in this text as SMTP wants it, None where it is not one.

    Trimmed; the domain in lower case and, where it is international, in its ASCII form (`xn--…`). A local part
    outside ASCII is kept: such a message needs a server that speaks SMTPUTF8.
    """
    trimmed = text.strip()
    return _plain_address(trimmed) or _judged_address(trimmed)


_LONGEST = 254  # RFC 3696, erratum 1690
_LONGEST_LABEL = 63  # RFC 1035 2.3.1
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+\-]+(?:\.[A-Za-z0-9_+\-]+)*")
_PLAIN_DOMAIN = re.compile(r"(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+([A-Za-z]{2,24})")
# email_validator.SPECIAL_USE_DOMAIN_NAMES: nobody gets mail there.
_SPECIAL_TOP = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})
# RFC 2142 names that email_validator lower-cases.
_ROLES = frozenset(
    {"info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster"}
    | {"usenet", "news", "webmaster", "www", "uucp", "ftp"}
)


def _plain_address(text: str) -> str | None:
    """The address, when it is so plain that email-validator could only agree; None when it has to be asked.

    The library takes forty times as long, a quarter of a second for every ten thousand messages.
    """
    local, _, given = text.partition("@")
    if len(text) > _LONGEST or _PLAIN_LOCAL.fullmatch(local) is None:
        return None
    domain = _plain_domain(given)
    if domain is None or (not local.islower() and local.lower() in _ROLES):
        return None
    return text if domain == given else f"{local}@{domain}"


@lru_cache(maxsize=4096)
def _plain_domain(text: str) -> str | None:
    """The domain in lower case, when it is plain. Remembered: most people are at a few of them."""
    match = _PLAIN_DOMAIN.fullmatch(text)
    if match is None or len(max(text.split("."), key=len)) > _LONGEST_LABEL:
        return None
    return None if match[1].lower() in _SPECIAL_TOP else text.lower()


def _judged_address(text: str) -> str | None:
    """What email-validator says of it."""
    from email_validator import EmailNotValidError, validate_email

    if len(text) > _LONGEST:
        return None
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


# What people and spreadsheets write between digits, the no-break and Unicode hyphens included. Letters are refused:
# phonenumbers would read `+1 800 FLOWERS` as digits and drop an extension without a word.
_PHONE = re.compile(r"\+[0-9\s().\-/\u2010-\u2013]{6,40}")
_NOT_DIGIT = re.compile(r"[^0-9]+")


_CHECKED_PHONE = re.compile(r"\+[0-9]{7,15}")


def phone_number(text: str) -> str | None:
    """The number in this text as E.164 (`+61412345678`), None where it is not a valid one.

    The leading `+` is required: without it the country would be a guess.
    """
    trimmed = text.strip()
    return trimmed if is_plainly_valid(trimmed) else _judged_number(trimmed)


def _judged_number(trimmed: str) -> str | None:
    """What phonenumbers says of it."""
    import phonenumbers

    if _PHONE.fullmatch(trimmed) is None:
        return None
    try:
        number = phonenumbers.parse("+" + _NOT_DIGIT.sub("", trimmed), None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mailboxes(text: str) -> tuple[Mailbox, ...] | None:
    """The mailboxes of a rendered list such as `Acme <a@b.example>, "Smith, Jo" <c@d.example>, e@f.example`.

    () where the text is blank, None when any of them is bad. Blanks between commas are let go, as an empty cell
    leaves one. Comments and groups (RFC 5322) are refused: they hide recipients from the reader of a template.
    """
    trimmed = text.strip()
    alone = _plain_mailbox(trimmed)
    return _listed(trimmed) if alone is None else (alone,)


_BARE = r'[^"<>()@,;:\\]*'
_PLAIN_NAME = re.compile(_BARE)


def _plain_mailbox(text: str) -> Mailbox | None:
    """The only mailbox in this text, when it is so plain that a closer look would find the same."""
    if text[-1:] != ">":
        address, name = _plain_address(text), ""
    else:
        before, _, angled = text[:-1].partition("<")
        address, name = _plain_address(angled), before.rstrip(" ")
        if not name.isprintable() or "  " in name or _PLAIN_NAME.fullmatch(name) is None:
            return None
    return None if address is None else Mailbox(address, name)


def _listed(text: str) -> tuple[Mailbox, ...] | None:
    items = _split(text)
    if items is None or unsafe(text):
        return None
    found = [_mailbox(item) for item in items if item.strip()]
    checked = tuple(box for box in found if box is not None)
    return checked if len(checked) == len(found) else None


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>]*>|[^",<]+|,|(?P<open>["<])', re.DOTALL)


def _split(text: str) -> list[str] | None:
    """The text cut at the commas that stand outside quotes and angle brackets; None where one is left open."""
    items = [""]
    for piece in _PIECE.finditer(text):
        if piece["open"]:
            return None
        if piece[0] == ",":
            items.append("")
        else:
            items[-1] += piece[0]
    return items


_NAMED = re.compile(rf'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>{_BARE}))\s*<(?P<address>[^<>]*)>', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _mailbox(item: str) -> Mailbox | None:
    trimmed = item.strip()
    named = _NAMED.fullmatch(trimmed)
    address = email_address(named["address"] if named else trimmed)
    if address is None:
        return None
    if named is None:
        return Mailbox(address)
    name = named["bare"] if named["quoted"] is None else _ESCAPED.sub(r"\1", named["quoted"])
    return Mailbox(address, " ".join(name.split()))  # parsers take a run of spaces in a name for one


def normal(channel: Channel, address: str) -> str:
    """The form that identifies an address in message keys and opt-outs, the same however people typed it."""
    match channel:
        case Channel.email:
            return address.strip().lower()
        case Channel.sms:
            checked = _CHECKED_PHONE.fullmatch(address)  # as `phone_number` gives it: no need to judge it twice
            return address if checked else phone_number(address) or address.strip()
        case _:
            return address.strip()
