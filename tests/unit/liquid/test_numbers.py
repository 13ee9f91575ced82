"""Numbers in filters: exact, in words, and as locales write them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.liquid import Refusal, Template
from connect.liquid.words import in_words

Compile = Callable[..., Template]
Render = Callable[..., str]


@pytest.mark.parametrize(
    ("expression", "value", "printed"),
    [
        ("plus: 1", Decimal("12.50"), "13.50"),
        ("plus: 0.2", 0.1, "0.3"),
        ("plus: 1", "41", "42"),
        ("plus: 1", "1.5", "2.5"),
        ("plus: 1", None, "1"),
        ("plus: 1", " ", "1"),
        ("minus: 0.1", 0.3, "0.2"),
        ("times: 3", Decimal("0.10"), "0.30"),
        ("divided_by: 3", 10, "3"),
        ("divided_by: 4", Decimal("10.00"), "2.50"),
        ("modulo: 3", -7, "2"),
        ("modulo: 3", Decimal("-7"), "2"),
        ("at_least: 2", Decimal("1.5"), "2"),
        ("round", Decimal("2.5"), "3"),
        ("round", -2.5, "-3"),
        ("round: 1", 2.25, "2.3"),
        ("ceil", Decimal("-1.5"), "-1"),
        ("floor", "-1.5", "-2"),
        ("abs", Decimal("-1.50"), "1.50"),
        ("precision: 2", Decimal("2.005"), "2.01"),
        ("precision: 2", 1.005, "1.01"),
        ("precision: 2", None, ""),
        ("delimiter", -1234567, "-1,234,567"),
        ("delimiter", Decimal("-0.50"), "-0.50"),
        ("delimiter", 999, "999"),
        ("format: '%05d'", Decimal("7.9"), "00007"),
        ("format: '%s!'", "x", "x!"),
        ("format: '%x'", 255, "ff"),
        ("humanize", 10**15, "1,000,000,000,000,000"),
        ("humanize", Decimal("-2.50"), "minus two point five"),
        ("humanize", "", ""),
        ("money: 'eur', 'de'", 1234.5, "1.234,50\N{NO-BREAK SPACE}€"),
        ("money: 'USD'", None, ""),
        ("number", 1234.5678, "1,234.5678"),
        ("sum", [Decimal("1.10"), 2, "3"], "6.10"),
    ],
)
def test_a_number_becomes(rendered: Render, expression: str, value: object, printed: str) -> None:
    assert rendered("{{ user.a | " + expression + " }}", user={"a": value}) == printed


@pytest.mark.parametrize("expression", ["plus: 1", "precision: 2", "money: 'USD'", "humanize", "delimiter", "round"])
@pytest.mark.parametrize("value", ["n/a", "1e999999", float("inf"), float("nan"), ["x"], "0x10"])
def test_what_is_not_a_number_is_refused_and_not_shown(compiled: Compile, expression: str, value: object) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled("{{ user.a | " + expression + " }}").render({"user": {"a": value}})
    assert refusal.value.problem.code == "render-error"
    assert str(value) not in str(refusal.value)


@pytest.mark.parametrize("divisor", [0, 0.0, "0", None])
def test_division_by_zero_is_refused(compiled: Compile, divisor: object) -> None:
    with pytest.raises(Refusal, match="division by zero"):
        compiled("{{ 1 | divided_by: user.a }}").render({"user": {"a": divisor}})


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (110, "one hundred and ten"),
        (1001, "one thousand and one"),
        (1_000_000, "one million"),
        (12_345_678, "twelve million three hundred and forty-five thousand six hundred and seventy-eight"),
        (-7, "minus seven"),
        (Decimal("1.05"), "one point zero five"),
    ],
)
def test_numbers_in_words(number: int | Decimal, words: str) -> None:
    assert in_words(number) == words


@given(st.integers(0, 10**15 - 1), st.integers(0, 10**15 - 1))
def test_different_numbers_have_different_words(one: int, other: int) -> None:
    assert (in_words(one) == in_words(other)) == (one == other)
