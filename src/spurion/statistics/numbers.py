"""How numbers are written for people: one way for each kind, the same in claims, terminal and report."""

__all__ = [
    "LEAST_P",
    "absent",
    "at_most",
    "decimals",
    "fraction",
    "listed",
    "p_value",
    "p_words",
    "percent",
    "percent_interval",
    "size",
    "span",
    "value",
]

from collections.abc import Callable, Sequence
from math import ceil, floor, log10

from spurion.statistics.intervals import Interval

absent = "–"
"""Stands where a value could not be computed."""


def size(number: float | None) -> str:
    """A number of images: thousands apart, an estimate between two of the grid to a whole image.

    Example:
        >>> size(1024), size(22.6), size(None)
        ('1,024', '23', '–')
    """
    return absent if number is None else f"{number:,.0f}"


def fraction(number: float | None) -> str:
    """A fraction to three decimals.

    Example:
        >>> fraction(0.30251), fraction(0.0), fraction(None)
        ('0.303', '0.000', '–')
    """
    return absent if number is None else f"{number:.3f}"


def span(interval: Interval) -> str:
    """The two ends of an interval.

    Example:
        >>> span(Interval(value=0.3, low=0.28, high=0.3251))
        '0.280–0.325'
    """
    return f"{interval.low:.3f}–{interval.high:.3f}"


def value(number: float | None, digits: int = 3) -> str:
    """A number of any kind to so many significant digits, with a true minus sign.

    Example:
        >>> value(-12.345), value(0.35678), value(None)
        ('−12.3', '0.357', '–')
    """
    return absent if number is None else f"{number:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def decimals(count: int) -> Callable[[float | None], str]:
    """A way of writing numbers: so many decimals, thousands apart, with a true minus sign.

    Example:
        >>> decimals(2)(-12.345), decimals(1)(None)
        ('−12.35', '–')
    """
    return lambda number: absent if number is None else f"{number:,.{count}f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share in percent; never 0% or 100% where it is not exactly that.

    Example:
        >>> percent(0.302), percent(0.0345), percent(0.0002), percent(0.9998), percent(1.0), percent(0)
        ('30%', '3.5%', '<0.1%', '>99.9%', '100%', '0%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    decimals = 0 if 0.1 <= share <= 0.99 or share in (0, 1) else 1
    return f"{100 * share:.{decimals}f}%"


def at_most(share: float) -> str:
    """An upper bound in percent, to two significant digits, rounded up so that it stays true.

    Example:
        >>> at_most(0.0014967), at_most(0.0123), at_most(1.0), at_most(0.0)
        ('0.15%', '1.3%', '100%', '0%')
    """
    if share <= 0:
        return "0%"
    step = 10.0 ** (floor(log10(share)) - 1)
    return f"{100 * ceil(share / step - 1e-9) * step:.{max(0, 1 - floor(log10(100 * share)))}f}%"


def percent_interval(interval: Interval) -> str:
    """A share with its 95 % interval, for the running text.

    Example:
        >>> percent_interval(Interval(value=0.302, low=0.281, high=0.324))
        '30% (95% interval 28% to 32%)'
    """
    ends = f"{percent(interval.low)} to {percent(interval.high)}"
    return f"{percent(interval.value)} (95% interval {ends})"


def listed(items: Sequence[str]) -> str:
    """Join words as a sentence does.

    Example:
        >>> listed(["8"]), listed(["8", "16"]), listed(["8", "16", "32"])
        ('8', '8 and 16', '8, 16, and 32')
    """
    if len(items) < 3:
        return " and ".join(items)
    return f"{', '.join(items[:-1])}, and {items[-1]}"


LEAST_P = 1e-4
"""Smaller p-values are not told apart: they depend on the far tail of an approximation."""


def p_value(number: float) -> str:
    """A p-value as readers expect it, never 0.

    Example:
        >>> p_value(1e-208), p_value(0.0), p_value(0.00012), p_value(0.0312), p_value(1.0)
        ('< 0.0001', '< 0.0001', '0.0001', '0.03', '1.00')
    """
    if number < LEAST_P:
        return f"< {LEAST_P:.4f}"
    return f"{number:.4f}" if number < 0.01 else f"{number:.2f}"


def p_words(number: float) -> str:
    """A p-value in running text.

    Example:
        >>> p_words(1e-9), p_words(0.31)
        ('p < 0.0001', 'p = 0.31')
    """
    shown = p_value(number)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"
