"""The audit as a metric of a training loop: `update` with batches, `compute`, `reset`, as in torchmetrics.

Batches may come in any order and from any number of processes: images are sorted by their content before
anything is computed, so the same images give the same answer to the last digit. All images are kept, float32
on the CPU, for nearest neighbors need them; `spurion.audit` computes, and says what the numbers mean.

What is wrong with the sets, such as fakes in another range than the real images, is a `UserWarning` of
`compute` for each of the `warnings` of `PhaseMetric.audit`.

With `torch.distributed` initialized, `compute` is to be called in every process, and each gets the answer for
the images of all; without, `merge_state` adds the images of metrics that were filled elsewhere.
"""

__all__ = ["PhaseMetric"]

import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
import torch.distributed
from jaxtyping import Float32
from torch import Tensor

from spurion.audits.door import audit
from spurion.audits.request import AUDIT_KINDS, rule_for
from spurion.audits.results import AuditResult
from spurion.core.arguments import FLAG, Kind, check_arguments, check_choice
from spurion.data import Declared
from spurion.data.arrays import read_array
from spurion.data.numbers import as_array
from spurion.data.ranges import ValueRange, declared_ranges, range_of_type
from spurion.neighbors import DISTANCES, Distance
from spurion.phases.classification import CLASSES
from spurion.phases.exposed import digests
from spurion.statistics.intervals import Interval

METRIC_KINDS = {name: AUDIT_KINDS[name] for name in ("thresholds", "distance", "value_range", "seed")}
"""What the arguments of the metric must be."""

UPDATE_KINDS: dict[str, Kind] = {
    "images": (Tensor, "a tensor with shape (n, C, H, W)"),
    "real": FLAG,
    "holdout": FLAG,
}
"""What the arguments of an update must be."""

_ROLES = ("train", "samples", "holdout")


class PhaseMetric:
    """Fractions of memorized, spurious and generalized samples, in the manner of torchmetrics.

    Arguments:
        thresholds: "null:ALPHA" (by default "null:0.01"), "holdout:ALPHA", "fixed:DM,DS" or "valley".
        distance: A distance, or the name of one that needs no weights.
        value_range: What stands for black and for white in images of floats, (-1, 1) if not given; (0, 1) is
            what `normalize=True` means in other metrics. It is not that of uint8, which has its own. Or
            ranges by set ("train", "samples", "holdout"), for images of any type.
        clip: Whether values outside the range are clipped, instead of refused.
        seed: Seed of the bootstrap, the controls and the null test.
        sync_on_compute: Whether `compute` gathers the images of all processes where `torch.distributed` is
            initialized. Then every process must call it.

    Example:
        >>> metric = PhaseMetric(thresholds="fixed:0.5,0.5")
        >>> metric.update(torch.zeros(2, 1, 2, 2), real=True)
        >>> gray = torch.tensor([0.0, 1.0, 1.0, -1.0])
        >>> metric.update(gray.reshape(4, 1, 1, 1).expand(4, 1, 2, 2), real=False)
        >>> found = metric.compute()
        >>> found["memorized"], found["spurious"], found["generalized"]
        (0.25, 0.5, 0.25)
    """

    def __init__(
        self,
        *,
        thresholds: str | None = None,
        distance: str | Distance = "l2",
        value_range: Declared | None = None,
        clip: bool = False,
        seed: int = 0,
        sync_on_compute: bool = True,
    ) -> None:
        check_arguments(locals(), METRIC_KINDS)
        rule_for(thresholds)
        if isinstance(distance, str):
            check_choice("distance", distance, DISTANCES)
        if seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {seed}.")
        self.thresholds = thresholds
        self.distance = distance
        self._ranges = declared_ranges(value_range, dict.fromkeys(_ROLES, np.dtype(np.float32)))
        self._by_set = isinstance(value_range, Mapping)
        self._clip = clip
        self.seed = seed
        self.sync_on_compute = sync_on_compute
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._images: dict[str, list[Tensor]] = {role: [] for role in _ROLES}

    def update(
        self,
        images: Tensor,
        real: bool,
        *,
        holdout: bool = False,
    ) -> None:
        """Add a batch of images.

        Arguments:
            images: Images with shape (n, C, H, W) on any device: floats in [-1, 1] or the range that was
                declared, uint8, or any other type with a range.
            real: Whether they are training images; else they are samples.
            holdout: With `real`: they are real images that the model never saw.

        Raises:
            ValueError: If the images are out of range or of another shape than those before, or samples are
                called held-out.
        """
        check_arguments(locals(), UPDATE_KINDS)
        if holdout and not real:
            raise ValueError("`holdout` is for real images the model never saw; samples are `real=False`.")
        pixels = as_array(images, "`images`")
        if pixels.ndim and not len(pixels):
            return
        role = "holdout" if holdout else "train" if real else "samples"
        ends = self._range(pixels.dtype, role)
        batch = read_array(pixels, name="the batch", value_range=ends, clip=self._clip).images
        known = next((batches[0] for batches in self._images.values() if batches), batch)
        if batch.shape[1:] != known.shape[1:]:
            raise ValueError(
                f"`images` must have the shape {tuple(known.shape[1:])} of the images before, got "
                f"{tuple(batch.shape[1:])}."
            )
        self._images[role].append(batch)

    def _range(self, dtype: np.dtype, role: str) -> ValueRange | None:
        """What stands for black and for white in a batch, as far as its type does not tell."""
        declared = self._ranges[role] if self._by_set or range_of_type(dtype) is None else None
        return declared or ((-1, 1) if dtype.kind == "f" else None)

    def merge_state(self, *others: "PhaseMetric") -> None:
        """Add the images of other metrics; they keep theirs."""
        for other in others:
            for role in _ROLES:
                self._images[role].extend(other._images[role])

    def audit(self) -> AuditResult:
        """The whole audit of the images of this process.

        Raises:
            ValueError: If there is no training image or there are fewer than two samples.
        """
        sets = {role: _sorted(self._images[role]) for role in _ROLES}
        train, samples, holdout = (sets[role] for role in _ROLES)
        if train is None or samples is None:
            raise ValueError(
                "there is nothing to compute: `update` with training images (`real=True`) and with samples "
                "(`real=False`) first."
            )
        return audit(
            train, samples, holdout, thresholds=self.thresholds, distance=self.distance, seed=self.seed
        )

    def compute(self) -> dict[str, float]:
        """The main numbers, NaN where one could not be computed.

        Returns:
            - ``memorized``, ``spurious``, ``generalized``: fractions of samples, each with ``_low`` and
              ``_high``, the ends of its 95 % interval;
            - ``threshold_memorized``, ``threshold_spurious``: in the unit of the distance;
            - ``closer_to_train`` with ``_low``, ``_high`` and ``_p_value``; ``ct`` and ``authpct``: the
              held-out null;
            - ``train_size``, ``samples_size``, ``holdout_size``: numbers of images.

        Raises:
            ValueError: As in `audit`.
        """
        metric = self._gathered() if self.sync_on_compute and _is_distributed() else self
        found = metric.audit()
        for sentence in found.said("warning"):
            warnings.warn(sentence, stacklevel=2)
        values: dict[str, float] = {}
        for name in CLASSES:
            values |= _ends(name, getattr(found.fractions, name, None))
            if name != "generalized":
                values[f"threshold_{name}"] = _number(getattr(found.thresholds, name, None))
        values |= _ends("closer_to_train", getattr(found.null, "share_closer_to_train", None))
        values["closer_to_train_p_value"] = _number(getattr(found.null, "share_p_value", None))
        for name in ("ct", "authpct"):
            values[name] = _number(getattr(found.null, name, None))
        counts = {f"{role}_size": sum(map(len, metric._images[role])) for role in _ROLES}
        return {**values, **{name: float(count) for name, count in counts.items()}}

    def _gathered(self) -> "PhaseMetric":
        """A metric with the images of all processes."""
        states: list[dict[str, list[Tensor]]] = [{}] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(states, self._images)
        metric = PhaseMetric(thresholds=self.thresholds, distance=self.distance, seed=self.seed)
        metric._images = {role: [batch for state in states for batch in state[role]] for role in _ROLES}
        return metric


def _sorted(batches: list[Tensor]) -> Float32[Tensor, "n channels height width"] | None:
    """The images in an order that depends on nothing but themselves."""
    if not batches:
        return None
    images = torch.cat(batches)
    keys = digests(images)
    return images[sorted(range(len(keys)), key=keys.__getitem__)]


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _ends(name: str, interval: Interval | None) -> dict[str, float]:
    ends = ("", math.nan), ("_low", math.nan), ("_high", math.nan)
    if interval is not None:
        ends = ("", interval.value), ("_low", interval.low), ("_high", interval.high)
    return {f"{name}{suffix}": value for suffix, value in ends}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
