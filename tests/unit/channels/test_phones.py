"""The fast path for plain numbers agrees with phonenumbers wherever it says yes."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.channels.addresses import _judged_number, phone_number
from connect.channels.phones import is_plainly_valid
from tests.examples import some

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
KINDS = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)


def examples() -> list[str]:
    """A valid number of each kind of each region."""
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in KINDS
    ]
    e164 = phonenumbers.PhoneNumberFormat.E164
    return [phonenumbers.format_number(number, e164) for number in found if number is not None]


@settings(max_examples=some(600), deadline=None)
@given(
    st.builds(
        lambda code, rest: f"+{code}{rest}", st.sampled_from(CODES), st.from_regex(r"[0-9]{4,13}", fullmatch=True)
    )
)
def test_it_never_says_yes_alone(text: str) -> None:
    if is_plainly_valid(text):
        assert _judged_number(text) == text


@settings(max_examples=some(600), deadline=None)
@given(st.sampled_from(examples()), st.integers(0, 12), st.sampled_from("0123456789"))
def test_nor_next_to_valid_numbers(number: str, place: int, digit: str) -> None:
    place = 1 + place % (len(number) - 1)
    changed = number[:place] + digit + number[place + 1 :]
    if is_plainly_valid(changed):
        assert _judged_number(changed) == changed


def test_most_numbers_take_it() -> None:
    numbers = examples()
    assert all(phone_number(number) == _judged_number(number) for number in numbers)
    assert sum(map(is_plainly_valid, numbers)) > 0.8 * len(numbers)


@pytest.mark.parametrize("text", ["", "+", "0412345678", "+61 412 345 678", "+0412345678", "+999123456", "+٤١٢٣٤٥٦٧٨"])
def test_what_is_not_plain_is_left_to_the_library(text: str) -> None:
    assert not is_plainly_valid(text)
