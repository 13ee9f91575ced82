"""Header fields of an e-mail: folded (RFC 5322) and, outside ASCII, written as encoded words (RFC 2047).

Our own instead of the standard library's, whose folding differs between Python versions, accepts a line break in a
header's name and takes most of the time of an `EmailMessage`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote

from connect.channels.message import Mailbox

CRLF = "\r\n"
_WIDTH = 76  # RFC 2047 section 2: lines with encoded words; RFC 5322 would allow 78
_LONGEST_NAME = 70
_LONGEST_TOKEN = 998 - _LONGEST_NAME - len(": ")  # RFC 5322 2.1.1: a line has at most 998 octets without its CRLF

# Everything that any mail software takes for a line break, every other control character, and lone surrogates,
# which no UTF-8 has.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME = re.compile(rf"[!-9;-~]{{1,{_LONGEST_NAME}}}")  # RFC 5322 ftext


def unsafe(text: str) -> bool:
    """Whether this text can not stand in a header."""
    # None of these characters is printable, and nearly all text is.
    return not text.isprintable() and _UNSAFE.search(text) is not None


@lru_cache(maxsize=256)
def is_name(name: str) -> bool:
    """Whether this is a header's name by RFC 5322."""
    return _NAME.fullmatch(name) is not None


def field(name: str, value: str) -> str:
    """One unstructured field with its CRLF; a parser reads exactly `value` back. Raises ValueError when unsafe."""
    # Printable ASCII on one line stands as it is: a tenth of the time of finding so by `_plain` and `_folded`.
    if (
        (len(name) + len(value) <= _WIDTH - 2 or (" " not in value and len(value) <= _LONGEST_TOKEN))
        and value.isascii()
        and value.isprintable()
        and value[:1] != " " != value[-1:]
        and "=?" not in value
        and is_name(name)
    ):
        return f"{name}: {value}\r\n"
    _refuse(name, value)
    if _plain(value):
        return _folded(name, _tokens(value))
    words = encoded_words(value, _room(name))
    return f"{name}: {words[0]}\r\n" if len(words) == 1 else _folded(name, words)


def address_field(name: str, boxes: Sequence[Mailbox]) -> str:
    """One field with a list of mailboxes, with its CRLF. Raises ValueError when a name or an address is unsafe.

    An address outside ASCII stands as it is, in UTF-8 (RFC 6532): encoded words are not allowed in addresses.
    """
    return (len(boxes) == 1 and _plain_address_field(name, boxes[0])) or _address_field(name, boxes)


def _plain_address_field(name: str, box: Mailbox) -> str | None:
    """What nearly every recipient needs: a name of plain words, or none, and all on one line."""
    shown = box.name
    line = f"{name}: {shown} <{box.address}>\r\n" if shown else f"{name}: {box.address}\r\n"
    if len(line) > _WIDTH + 2 or not box.address.isprintable() or not is_name(name):
        return None
    return line if not shown or (_ATOMS.fullmatch(shown) and "=?" not in shown) else None


def _address_field(name: str, boxes: Sequence[Mailbox]) -> str:
    tokens: list[str] = []
    for box in boxes:
        _refuse(name, box.name)
        _refuse(name, box.address)
        if tokens:
            tokens[-1] += ","
        tokens += _mailbox(box, _room(name))
    return _folded(name, tokens)


def parameters_field(name: str, value: str, parameters: Sequence[tuple[str, str]]) -> str:
    """One MIME field (RFC 2045) whose parameters are quoted or, outside ASCII or when long, as RFC 2231 says."""
    _refuse(name, value + "".join(text for _, text in parameters))
    pieces = [value, *(piece for parameter, text in parameters for piece in _parameter(parameter, text))]
    return _folded(name, [piece + ";" for piece in pieces[:-1]] + pieces[-1:])


def _refuse(name: str, value: str) -> None:
    """The last guard: callers have checked already and know the field to blame. Never says the value."""
    if not is_name(name):
        raise ValueError("a header's name is not valid")
    if unsafe(value):
        raise ValueError(f"the header {name} holds a control character")


def _folded(name: str, tokens: Iterable[str]) -> str:
    """The field, with a line break before each token that would go over the width.

    Tokens are parted by the spaces that they bring, else by one.
    """
    lines = [f"{name}: "]
    for index, token in enumerate(tokens):
        spaced = token if index == 0 or token.startswith(" ") else " " + token
        if index and len(lines[-1]) + len(spaced) > _WIDTH:
            lines.append(spaced)
        else:
            lines[-1] += spaced
    return CRLF.join(lines) + CRLF


_ENCODED_WORD = re.compile(r"=\?[^?\s]*\?[bq]\?", re.IGNORECASE)


def _plain(value: str) -> bool:
    """Whether this value can stand as it is: ASCII that nothing would decode, trim or be unable to fold."""
    return (
        value.isascii()
        and value == value.strip()
        and _ENCODED_WORD.search(value) is None
        and all(len(token) <= _LONGEST_TOKEN for token in _tokens(value))
    )


_TOKEN = re.compile(r" *[^ ]+")


def _tokens(value: str) -> list[str]:
    """Words, each with the spaces before it, so that folding before a word loses none."""
    return _TOKEN.findall(value)


def _room(name: str) -> int:
    return max(_WIDTH - len(name) - 2, 30)


_FRAME = len("=?utf-8?b?") + len("?=")
# What encoded words may show as it is, in names of people too (RFC 2047 section 5.3).
_SHOWN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
_Q = tuple("_" if byte == 0x20 else chr(byte) if byte in _SHOWN else f"={byte:02X}" for byte in range(256))


def encoded_words(text: str, room: int = 75) -> list[str]:
    """The text as encoded words of at most `room` characters (75 by RFC 2047), in whichever encoding is shorter."""
    data = text.encode()
    capacity = min(room, 75) - _FRAME
    shown = "".join(map(_Q.__getitem__, data))
    if len(shown) <= len(data) * 4 // 3:
        chunks = [shown] if len(shown) <= capacity else _q_chunks(text, capacity)
        return [f"=?utf-8?q?{chunk}?=" for chunk in chunks]
    return [f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=" for chunk in _chunks(data, capacity // 4 * 3)]


def _q_chunks(text: str, capacity: int) -> Iterator[str]:
    """Pieces of Q encoding; no character is cut in two (RFC 2047 section 5)."""
    chunk = ""
    for character in text:
        shown = _Q[ord(character)] if character < "\x80" else "".join(map(_Q.__getitem__, character.encode()))
        if len(chunk) + len(shown) > capacity:
            yield chunk
            chunk = ""
        chunk += shown
    yield chunk


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Pieces of UTF-8 of at most this many bytes; no character is cut in two."""
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")
_LONGEST_QUOTED = 60  # a quoted string has no good place to fold


def _mailbox(box: Mailbox, room: int) -> list[str]:
    """`Name <address>` as tokens to fold between."""
    if not box.name:
        return [box.address]
    angled = f"<{box.address}>"
    if not box.name.isascii() or "=?" in box.name or len(box.name) > _LONGEST_QUOTED:
        return [*encoded_words(box.name, room), angled]
    if _ATOMS.fullmatch(box.name):
        return [box.name, angled]
    return [_quoted(box.name), angled]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parameter(name: str, text: str) -> list[str]:
    """`name="text"`, or `name*0*=utf-8''…` in pieces where the text is long or not ASCII."""
    if text.isascii() and len(text) <= _LONGEST_QUOTED:
        return [f"{name}={_quoted(text)}"]
    chunks = [quote(chunk, safe="") for chunk in _chunks(text.encode(), 18)]
    if len(chunks) == 1:
        return [f"{name}*=utf-8''{chunks[0]}"]
    return [f"{name}*{n}*={_charset(n)}{chunk}" for n, chunk in enumerate(chunks)]


def _charset(section: int) -> str:
    return "utf-8''" if section == 0 else ""
