"""How often something holds in two groups, and between what a share lies."""

__all__ = ["clopper_pearson", "more_often"]

from jaxtyping import Bool
from scipy.special import betaincinv
from scipy.stats import fisher_exact
from torch import Tensor


def more_often(ours: Bool[Tensor, " m"], theirs: Bool[Tensor, " n"], *, shared: int = 1) -> float:
    """Fisher's exact test that a first group has a property more often than a second: the p-value.

    Arguments:
        ours: Which of the first group have it, with shape (m,).
        theirs: Which of the second, with shape (n,).
        shared: So many of the second count as one, where they are not independent.

    Example:
        >>> import torch
        >>> f"{more_often(torch.arange(10) < 9, torch.arange(10) < 1):.5f}"
        '0.00055'
    """
    table = [
        [int(ours.sum()), int((~ours).sum())],
        [int(theirs.sum()) // shared, int((~theirs).sum()) // shared],
    ]
    return float(fisher_exact(table, alternative="greater").pvalue)


def clopper_pearson(successes: float, trials: float, tail: float) -> tuple[float, float]:
    """The ends of the interval whose exact tails have a probability each; trials need not be whole.

    Arguments:
        successes: From 0 to `trials`.
        trials: How many in all, above 0.
        tail: The probability of either tail.

    Example:
        >>> "{:.4f} {:.4f}".format(*clopper_pearson(5, 10, 0.025))
        '0.1871 0.8129'
    """
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high
