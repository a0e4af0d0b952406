"""How a p-value is written wherever one is read by people; files for programs keep the number."""

__all__ = ["LEAST_P", "p_value", "p_words"]

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
