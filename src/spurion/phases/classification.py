r"""Memorized, spurious or generalized: the class of every sample.

With :math:`a_i` the distance of sample i to the training set and :math:`b_i` its distance to the other
samples, thresholds :math:`\delta_m` and :math:`\delta_s` give

.. math::
    M_i = [a_i \leq \delta_m], \qquad S_i = [b_i \leq \delta_s] \wedge \neg M_i, \qquad
    G_i = \neg M_i \wedge \neg S_i :

a copy of the training set, a pattern of the model's own that it produces again and again, or something
new. The workshop version of the paper compares ratios of distances instead; see `classify_by_ratio`.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 9-11
    | Memorization to Generalization: workshop version (Pham et al., 2025), Eq. 4-6
"""

__all__ = ["CLASSES", "class_shares", "classify", "classify_by_ratio"]

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from spurion.core.arguments import TENSOR, check_arguments
from spurion.core.quantities import ROUNDING
from spurion.phases.repetition import repeats
from spurion.phases.rules import ThresholdInfo

CLASSES = ("memorized", "spurious", "generalized")
"""Names of the labels 0, 1 and 2."""

RATIO_EPSILON = 1e-6

CALLED = 0.5
"""A sample is called spurious if it is at least so likely to be met again."""


def classify(
    distance_train: Float[Tensor, " n"], distance_sample: Float[Tensor, "m *k"], thresholds: ThresholdInfo
) -> Int64[Tensor, " n"]:
    """Classify samples by absolute distance (Eq. 9-11).

    Arguments:
        distance_train: Distance of each sample to its nearest training image, with shape (n,).
        distance_sample: Distance of each sample to its nearest other sample, with shape (n,); infinite
            where there is no other. Where thresholds hold for fewer than n samples, the distances to the
            k nearest others, with shape (n, k); see `spurion.phases.repetition`.
        thresholds: Both thresholds, in the unit of the distances.

    Returns:
        Labels 0 memorized, 1 spurious, 2 generalized, with shape (n,); see `CLASSES`.

    Raises:
        ValueError: If a threshold is missing, a distance is NaN or negative, or their numbers differ.

    Example:
        >>> from spurion.phases.thresholds import fixed
        >>> a, b = torch.tensor([0.1, 0.9, 0.9]), torch.tensor([0.9, 0.2, 0.3])
        >>> [CLASSES[label] for label in classify(a, b, fixed(0.5, 0.2))]
        ['memorized', 'spurious', 'generalized']
    """
    copied, met = _read(distance_train, distance_sample, thresholds)
    return _labels(copied, met >= CALLED - ROUNDING)


def class_shares(
    distance_train: Float[Tensor, " n"], distance_sample: Float[Tensor, "m *k"], thresholds: ThresholdInfo
) -> tuple[float, float, float]:
    """Shares of memorized, spurious and generalized samples, at the number of samples of the thresholds.

    They sum to 1. The spurious share is the expected one of a random subset, exactly
    (`spurion.phases.repetition`); arguments and errors as for `classify`, and at least one sample.

    Example:
        >>> from spurion.phases.thresholds import fixed
        >>> class_shares(torch.tensor([0.1, 0.9]), torch.tensor([0.9, 0.2]), fixed(0.5, 0.2))
        (0.5, 0.5, 0.0)
    """
    copied, met = _read(distance_train, distance_sample, thresholds)
    if not len(copied):
        raise ValueError("`distance_train` must hold at least one sample, got none.")
    memorized, spurious = float(copied.double().mean()), float((met * ~copied).mean())
    return memorized, spurious, max(0.0, 1.0 - memorized - spurious)


def _read(
    distance_train: Float[Tensor, " n"], distance_sample: Float[Tensor, "m *k"], thresholds: ThresholdInfo
) -> tuple[Bool[Tensor, " n"], Float64[Tensor, " n"]]:
    """Which samples are copies, and how probably each is met again."""
    check_arguments(locals(), {"thresholds": (ThresholdInfo, "what a threshold rule returns")})
    if thresholds.memorized is None or thresholds.spurious is None:
        raise ValueError(
            f"the rule `{thresholds.rule}` found no threshold in these data; use another rule, such as "
            "`fixed:DM,DS` or `null:ALPHA`."
        )
    _check(distance_train=distance_train, distance_sample=distance_sample)
    near = distance_sample[:, None] if distance_sample.ndim == 1 else distance_sample
    met = repeats(near, thresholds.spurious, thresholds.sample_size)
    return distance_train <= thresholds.memorized, met


def classify_by_ratio(
    distance_train: Float[Tensor, " n"],
    distance_train_2: Float[Tensor, " l"] | None,
    distance_sample: Float[Tensor, " m"],
    *,
    memorized: float = 1 / 3,
    spurious: float = 0.3,
) -> Int64[Tensor, " n"]:
    r"""Classify samples by ratios of distances (workshop Eq. 4-6).

    With the first and second nearest training image at :math:`d_1 \leq d_2` and the nearest other sample
    at :math:`d'`, a sample is memorized if :math:`d_1 / (d_2 + \epsilon) \leq \delta_m`, else spurious if
    :math:`d' / (d_1 + d' + \epsilon) \leq \delta_s`, :math:`\epsilon = 10^{-6}`.

    Duplicates in the training set break the first ratio: an exact copy of a duplicated image has
    :math:`d_1 = d_2 = 0`, ratio 0, and is memorized; a *near* copy has :math:`d_1 = d_2`, ratio 1, and is
    not. Remove duplicates first, or trust `classify`.

    Arguments:
        distance_train: Distance of each sample to its nearest training image, with shape (n,).
        distance_train_2: Distance to the second nearest training image, with shape (n,); None where
            the training set has only one image.
        distance_sample: Distance to the nearest other sample, with shape (n,); infinite where there
            is no other.
        memorized: The ratio :math:`\delta_m > 0`.
        spurious: The ratio :math:`\delta_s` in (0, 1]; 0.5 means equally far.

    Returns:
        Labels 0 memorized, 1 spurious, 2 generalized, with shape (n,); see `CLASSES`.

    Raises:
        ValueError: If there is no second training image, a distance is NaN or negative, the two training
            distances are out of order, their numbers differ, or a ratio is out of range.
    """
    if distance_train_2 is None or not distance_train_2.isfinite().all():
        raise ValueError(
            "ratio rules need a second nearest training image, and the training set has only one; use "
            "absolute thresholds."
        )
    if not memorized > 0:
        raise ValueError(f"`memorized` must be a positive ratio, got {memorized}.")
    if not 0 < spurious <= 1:
        raise ValueError(f"`spurious` must be above 0 and at most 1, got {spurious}.")
    _check(distance_train=distance_train, distance_train_2=distance_train_2, distance_sample=distance_sample)
    if (distance_train_2 < distance_train).any():
        raise ValueError("`distance_train_2` must not be smaller than `distance_train`; swap the two.")
    to_train = distance_train / (distance_train_2 + RATIO_EPSILON)
    to_sample = distance_sample / (distance_train + distance_sample + RATIO_EPSILON)  # NaN without another
    return _labels(to_train <= memorized, to_sample <= spurious)


def _labels(memorized: Bool[Tensor, " n"], repeated: Bool[Tensor, " n"]) -> Int64[Tensor, " n"]:
    labels = torch.full(memorized.shape, CLASSES.index("generalized"), device=memorized.device)
    labels[repeated] = CLASSES.index("spurious")
    labels[memorized] = CLASSES.index("memorized")
    return labels


def _check(**distances: Float[Tensor, "..."]) -> None:
    check_arguments(distances, dict.fromkeys(distances, TENSOR))
    lengths = [str(len(values)) for values in distances.values()]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"{', '.join(f'`{name}`' for name in distances)} must hold one distance for each sample, got "
            f"{', '.join(lengths[:-1])} and {lengths[-1]}."
        )
    for name, values in distances.items():
        if not (values >= 0).all():
            raise ValueError(f"`{name}` must hold distances of at least 0, got NaN or a negative number.")
