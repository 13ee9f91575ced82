"""The short ways with floats say what Decimals say."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from connect.liquid import numbers, quick

EXACT = Context(prec=640, rounding=ROUND_HALF_UP)
prices = st.integers(-(10**13), 10**13).flatmap(lambda whole: st.sampled_from([whole / 100, whole / 10_000, whole / 3]))
sizes = st.floats(1e-200, 1e200)
floats = prices | sizes | sizes.map(lambda size: -size)
operands = floats | st.integers(-(10**18), 10**18)


def exactly(value: float) -> Decimal:
    return Decimal(str(value))


def same(quickly: float | None, slowly: Decimal) -> bool:
    return quickly is None or (type(quickly) is float and repr(quickly) == repr(float(slowly)))


@given(operands, operands)
@example(0.1, 0.2)
@example(-1.5, 0)
@example(-0.0, 2)
@example(99999999999.9999, 3)
def test_sums_and_products(left: float, right: float) -> None:
    a, b = exactly(left), exactly(right)
    assert same(quick.plus(left, right), EXACT.add(a, b))
    assert same(quick.minus(left, right), EXACT.subtract(a, b))
    assert same(quick.times(left, right), EXACT.multiply(a, b))


@given(floats, st.integers(0, 6))
@example(2.5, 0)
@example(-0.004, 2)
@example(1.005, 2)
def test_rounding(value: float, places: int) -> None:
    wanted = exactly(value).quantize(Decimal(1).scaleb(-places), context=EXACT)
    assert numbers.precision(value, places) == format(wanted, "f")
    rounded = numbers.rounded(value, places)
    assert repr(rounded) == repr(float(wanted) if places else int(wanted))


def test_ordinary_prices_take_the_short_way() -> None:
    assert (quick.times(4.75, 2), quick.plus(0.1, 0.2), quick.minus(3, 0.5), quick.rounded(1.005, 2)) == (
        9.5,
        0.3,
        2.5,
        101,
    )
    assert quick.times(True, 2.5) is None
