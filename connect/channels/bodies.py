"""A text as lines that any server passes on (RFC 2045): as it is, quoted-printable or base64."""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from collections.abc import Callable
from functools import lru_cache, partial
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connect.liquid.wire import WireText

_LONGEST_LINE = 998  # RFC 5322 2.1.1, without its CRLF
_SEVEN_BIT = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])


def transfer(text: str, data: bytes, eight_bit: bool = False) -> tuple[str, bytes]:
    """(Content-Transfer-Encoding, the body in it) of a text and its UTF-8, whose lines end in `\\n`.

    As it is if it may be, else what is smaller. `eight_bit`: the server offers 8BITMIME (RFC 6152).
    """
    if eight_bit:
        if b"\0" not in data and _lines_fit(data):
            return "7bit" if data.isascii() else "8bit", crlf(data)
    elif data.isascii() and _lines_fit(data) and not data.translate(None, _SEVEN_BIT):
        return "7bit", crlf(data)
    if _quotes_smaller(data, len(data) - len(text)):
        return "quoted-printable", quoted_printable(data)
    return "base64", base64_lines(crlf(data))


def transfer_octets(text: WireText, eight_bit: bool = False) -> tuple[str, bytes]:
    """As `transfer`, for a text that was rendered as octets: what is known of its literals is not looked for again."""
    known, data = text.literals, text.data
    if eight_bit:
        if not ((known.has_nul or "\0" in text.values) and b"\0" in data) and _wire_lines_fit(text):
            return "7bit" if data.isascii() else "8bit", data
    elif data.isascii() and _wire_lines_fit(text) and not _has_controls(text):
        return "7bit", data
    if _octets_quote_smaller(data, text.added):
        return "quoted-printable", requoted(data, _lines_surely_fit(text))
    return "base64", base64_lines(data)


def _wire_lines_fit(text: WireText) -> bool:
    return _lines_surely_fit(text) or _lines_fit(text.data, 1)


def _lines_surely_fit(text: WireText) -> bool:
    longest = text.literals.longest
    return longest is not None and longest + len(text.values) <= _LONGEST_LINE


def _has_controls(text: WireText) -> bool:
    possible = text.literals.has_controls or not text.values.isprintable()
    return possible and bool(text.data.translate(None, _SEVEN_BIT))


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _lines_fit(data: bytes, ends: int = 0) -> bool:
    """Whether no line is longer than servers must take. Looks at one line end in a thousand bytes.

    `ends` is how many bytes stand before each `\\n` that are not of the line.
    """
    start, last = 0, len(data) - _LONGEST_LINE
    while start < last:
        end = data.rfind(b"\n", start, start + _LONGEST_LINE + ends + 1)
        if end < 0:
            return False
        start = end + 1
    return True


_GROWTH = 78 / 57  # base64: 76 octets and a line end for 57
_SOFT_BREAKS = 78 / 75  # quoted-printable: `=` and a line end in every line, at most


def _quotes_smaller(data: bytes, added: int, ends: int = 0) -> bool:
    """Whether quoted-printable is the smaller one: three octets for each that is quoted, else one.

    Nearly always that is clear from how many bytes there are more than characters, `added`: a character of two to four
    bytes adds one to three, so of the quoted bytes there are between four thirds of what was added, and twice of it.
    """
    length = len(data) - ends
    most = length * (_GROWTH - 1)
    if 2 * added * 4 / 3 > most:
        return False
    if 2 * (2 * added + data.count(b"=")) * _SOFT_BREAKS + length * (_SOFT_BREAKS - 1) <= most:
        return True
    quoted = len(data.translate(None, _SEVEN_BIT)) + data.count(b"=")
    return (length + 2 * quoted) * _SOFT_BREAKS <= length * _GROWTH


def _octets_quote_smaller(data: bytes, added: int) -> bool:
    """As `_quotes_smaller`, where lines end in CRLF. To count them takes longer than all the rest.

    Of the length without their CR it is known that it is not more than the length, and not less than half of it.
    """
    length = len(data)
    if 2 * added * 4 / 3 > length * (_GROWTH - 1):
        return False
    if 2 * (2 * added + data.count(b"=")) * _SOFT_BREAKS <= length / 2 * (_GROWTH - _SOFT_BREAKS):
        return True
    return _quotes_smaller(data, added, data.count(b"\n"))


def quoted_printable(data: bytes) -> bytes:
    """Line by line: most lines of an e-mail are the same for everybody."""
    return b"\r\n".join([_quoted(line) if len(line) <= _LONGEST_LINE else _quote(line) for line in data.split(b"\n")])


def requoted(data: bytes, lines_fit: bool) -> bytes:
    """As `quoted_printable`, of lines that end in CRLF already."""
    if lines_fit:
        return b"\n".join(map(_ended, data.split(b"\n")))
    most = _LONGEST_LINE + 1
    return b"\n".join([_ended(line) if len(line) <= most else _end(line) for line in data.split(b"\n")])


def _end(line: bytes) -> bytes:
    return _quote(line[:-1]) + b"\r" if line.endswith(b"\r") else _quote(line)


def _quote(line: bytes) -> bytes:
    return crlf(b2a_qp(line, istext=True))


_quoted = lru_cache(maxsize=4096)(_quote)
_ended = lru_cache(maxsize=4096)(_end)
"""The lines of a few dozen contents, within a few megabytes."""


def _packer() -> Callable[[bytes], bytes]:
    """Base64 without line ends: by pybase64, twenty times as fast, where it is installed."""
    try:
        from pybase64 import b64encode
    except ImportError:
        return partial(b2a_base64, newline=False)
    return b64encode


_packed = _packer()
_LINE = 76  # RFC 2045 6.8
_LINES = 1024
_BLOCK = _LINE * _LINES


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76, each with its CRLF."""
    packed = _packed(data)
    whole, rest = divmod(len(packed), _LINE)
    if rest and whole <= _LINES:
        return b"\r\n".join((*_cutter(whole).unpack_from(packed), packed[-rest:], b""))
    return _in_blocks(packed)


def _in_blocks(packed: bytes) -> bytes:
    lines: list[bytes] = []
    for start in range(0, len(packed), _BLOCK):
        block = packed[start : start + _BLOCK]
        whole, rest = divmod(len(block), _LINE)
        lines += _cutter(whole).unpack_from(block)
        if rest:
            lines.append(block[-rest:])
    lines.append(b"")
    return b"\r\n".join(lines)


@lru_cache(maxsize=512)
def _cutter(lines: int) -> Struct:
    """Cuts so many whole lines in a fourth of the time that slices take."""
    return Struct(f"{_LINE}s" * lines)
