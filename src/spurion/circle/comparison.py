"""Two energies on one grid, two sets of minima, and clusters of samples: the numbers of the comparison."""

__all__ = ["cluster_samples", "compare_grids", "hausdorff", "nearest"]

import math

import torch
from jaxtyping import Float
from scipy.spatial.distance import directed_hausdorff
from torch import Tensor


def compare_grids(
    learned: Float[Tensor, " n"], exact: Float[Tensor, " n"], beta: float
) -> tuple[float, float, float]:
    """Correlation, root mean square difference in kT, and the same weighted by the exact density.

    Arguments:
        learned: The learned energy on the grid, with shape (n); NaN where it is not known.
        exact: The exact energy there, with shape (n).
        beta: The inverse temperature: kT is 1 / beta.

    Raises:
        ValueError: If fewer than two values are known.

    Example:
        >>> exact = torch.tensor([0.0, 1.0, 3.0])
        >>> compare_grids(exact + 0.5, exact, beta=2.0)[1]  # one kT apart everywhere
        1.0
    """
    known = learned.isfinite()
    if int(known.sum()) < 2:
        raise ValueError("the learned energy could not be computed anywhere on the grid")
    learned, exact = learned[known].double(), exact[known].double()
    correlation = float(torch.corrcoef(torch.stack([learned, exact]))[0, 1])
    squared = (beta * (learned - exact)).square()
    weights = torch.softmax(-beta * exact, dim=0)
    return correlation, math.sqrt(float(squared.mean())), math.sqrt(float(weights @ squared))


def hausdorff(first: Float[Tensor, "m 2"], second: Float[Tensor, "n 2"]) -> float | None:
    """Hausdorff distance of two sets of points; None if one is empty.

    Example:
        >>> hausdorff(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        5.0
    """
    if not len(first) or not len(second):
        return None
    a, b = first.numpy(), second.numpy()
    answer: float | None = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
    return answer


def nearest(points: Float[Tensor, "m 2"], others: Float[Tensor, "n 2"]) -> list[float]:
    """Distance from each point to the nearest of some others, at least one."""
    apart = torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.amin(dim=1).tolist() if len(points) else []


def cluster_samples(samples: Float[Tensor, "n 2"], linkage: float) -> tuple[Float[Tensor, "c 2"], list[int]]:
    """Centroids and sizes of Ward's clusters, largest first.

    Arguments:
        samples: The samples, at least 2, with shape (n, 2).
        linkage: The distance at which clusters are no longer joined, positive.
    """
    from sklearn.cluster import AgglomerativeClustering  # import time that only clusters need

    labels = AgglomerativeClustering(n_clusters=None, distance_threshold=linkage).fit_predict(samples.numpy())
    groups = [samples[torch.from_numpy(labels == label)] for label in range(labels.max() + 1)]
    groups.sort(key=lambda group: (-len(group), group[0].tolist()))
    return torch.stack([group.mean(0) for group in groups]), [len(group) for group in groups]
