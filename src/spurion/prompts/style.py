"""Whether two lists of prompts are written in different styles, which a detector might read instead."""

__all__ = ["FEATURES", "Difference", "differences"]

import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu

FEATURES: dict[str, Callable[[str], float]] = {
    "length": len,
    "words": lambda text: len(text.split()),
    "capitals": lambda text: sum(letter.isupper() for letter in text) / max(len(text), 1),
    "punctuation": lambda text: sum(letter in string.punctuation for letter in text) / max(len(text), 1),
    "digits": lambda text: sum(letter.isdigit() for letter in text) / max(len(text), 1),
}
"""What is read of a text, by its name in words; shares are of its characters."""

CHANCE = 0.01
"""Probability, over all features together, that texts of one style are said to differ."""


class Difference(NamedTuple):
    """A feature in which two lists differ.

    Attributes:
        name: Which.
        auc: P(first > second) + P(equal) / 2.
        p_value: Two-sided Mann-Whitney test, for all features together (Bonferroni).
    """

    name: str
    auc: float
    p_value: float


def differences(first: Sequence[str], second: Sequence[str]) -> list[Difference]:
    """The features in which two lists of texts differ by more than chance; none where one is empty.

    Example:
        >>> [one.name for one in differences(["A cat!"] * 30, ["a cat"] * 30)]
        ['length', 'capitals', 'punctuation']
    """
    found: list[Difference] = []
    if not first or not second:
        return found
    for name, feature in FEATURES.items():
        x, y = (np.array([feature(text) for text in texts], dtype=float) for texts in (first, second))
        if np.ptp(np.concatenate([x, y])) == 0:
            continue
        test = mannwhitneyu(x, y)
        p_value = min(1.0, float(test.pvalue) * len(FEATURES))
        if p_value < CHANCE:
            found.append(Difference(name, float(test.statistic) / (len(x) * len(y)), p_value))
    return found
