"""How many parts a text message has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.channels.segments import BASIC, EXTENSION, encoding, first_outside, segments

EMOJI = "🎉"


def by_hand(text: str) -> int:
    """As the tables say it, a character at a time."""
    plain = all(character in BASIC + EXTENSION for character in text)
    if plain:
        sizes, single, part = [2 if character in EXTENSION else 1 for character in text], 160, 153
    else:
        sizes, single, part = [2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67
    if sum(sizes) <= single:
        return 1
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape would be the last of 153: the pair goes on together
        ("a" * 151 + "€" + "a" * 153, 2),
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("ç" * 134, 2),
        ("ç" * 135, 3),
        (EMOJI * 35, 1),
        (EMOJI * 36, 2),
        ("ç" * 66 + EMOJI + "ç" * 66, 3),  # 134 units, but a pair would be cut in two
        ("ç" * 65 + EMOJI + "ç" * 67, 2),
    ],
)
def test_parts(text: str, parts: int) -> None:
    assert segments(text) == parts


def test_half_a_character_is_a_unit() -> None:
    assert segments("\ud83c" * 71) == 2
    assert segments("\ud83c" * 134) == 2
    assert segments("\ud83c" * 135) == 3


def test_the_alphabet_has_its_characters() -> None:
    """3GPP TS 23.038, 6.2.1: 128 codes, of which one is the escape; nine are behind it and the page break."""
    assert len(set(BASIC)) == len(BASIC) == 127
    assert len(set(EXTENSION)) == 10
    assert not set(BASIC) & set(EXTENSION)
    positions = {"@": 0, "\n": 10, "Δ": 16, " ": 33 - 1, "A": 65, "Ä": 91, "¿": 96, "a": 97, "à": 127}
    assert {character: (BASIC[:27] + "\x1b" + BASIC[27:]).index(character) for character in positions} == positions


@pytest.mark.parametrize(
    ("text", "name", "outside"),
    [
        ("Hello, {you} [there] €5", "GSM-7", ""),
        ("Größe: 5 £ ¿Qué?", "GSM-7", ""),
        ("it’s", "UCS-2", "’"),
        ("a `tick` and ç", "UCS-2", "`"),
        ("tab\there", "UCS-2", "\t"),
        ("Qué? " + EMOJI, "UCS-2", EMOJI),
        ("", "GSM-7", ""),
    ],
)
def test_encodings(text: str, name: str, outside: str) -> None:
    assert (encoding(text), first_outside(text)) == (name, outside)


GSM = st.text(alphabet=BASIC + EXTENSION * 6, max_size=500)
MIXED = st.text(alphabet=BASIC + EXTENSION + "ç’" + EMOJI * 20, max_size=500)


@given(GSM | MIXED)
def test_parts_are_as_if_counted_by_hand(text: str) -> None:
    assert segments(text) == by_hand(text)
