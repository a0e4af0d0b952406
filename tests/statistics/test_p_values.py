"""How p-values are written."""

import math

import pytest

from spurion.statistics.numbers import p_value, p_words


@pytest.mark.parametrize("exponent", [*range(-320, 1), -400])
def test_no_p_value_is_written_as_0_or_with_an_exponent(exponent):
    number = float(f"1e{exponent}")
    assert p_words(number) in (f"p {p_value(number)}", f"p = {p_value(number)}")
    assert ("< 0.0001" in p_words(number)) == (exponent < -4)
    assert "e" not in p_value(number)
    assert number < 1e-4 or math.isclose(float(p_value(number)), number)
