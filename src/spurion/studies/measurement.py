"""What is measured before any threshold is known: nearest-neighbor distances.

For samples S', a training set S and, if there is one, a held-out set H:

- ``distance_train``, ``nearest_train``: from each sample to its nearest training image (the paper's olive
  histogram), ``distance_train_2``: to the second nearest (infinite if S has one image);
- ``distance_sample``, ``nearest_sample``: to the nearest other sample (the gray histogram);
- ``copies``: from training images with a whisper of noise to the training set (control; none if the distance
  knows no other images than it was given);
- ``holdout_train``, ``holdout_holdout``: from held-out images to the training set, and to the nearest other
  held-out image at the number of samples (the null of the `holdout` threshold rule).

A sample is never its own neighbor. See Pham et al. (2025), Eq. 9-11.
"""

__all__ = ["COPY_NOISE", "Measurement", "load_measurement", "measure", "save_measurement"]

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spurion.core.files import atomic_write
from spurion.core.random import generator
from spurion.neighbors import Distance, DistanceInfo, as_distance, nearest
from spurion.phases.null import NullTest, null_test

COPY_NOISE = 0.01
"""Standard deviation of the noise on control copies, in the unit of the images ([-1, 1])."""

COPIES = 200
"""Number of control copies."""


@dataclass(frozen=True)
class Measurement:
    """Distances of samples, controls and held-out images; see the module. Floats are float64."""

    distance: DistanceInfo
    distance_train: Float[Tensor, " n"]
    nearest_train: Int64[Tensor, " n"]
    distance_train_2: Float[Tensor, " n"]
    distance_sample: Float[Tensor, " n"]
    nearest_sample: Int64[Tensor, " n"]
    copies: Float[Tensor, " c"]
    train_train: Float[Tensor, " k"]
    holdout_train: Float[Tensor, " h"]
    holdout_holdout: Float[Tensor, " g"]
    null: NullTest | None


def measure(
    train: Float[Tensor, "k *train_shape"],
    samples: Float[Tensor, "n *sample_shape"],
    holdout: Float[Tensor, "h *holdout_shape"] | None = None,
    *,
    distance: str | Distance = "l2",
    seed: int = 0,
) -> Measurement:
    """Measure samples against a training set; see the module.

    Arguments:
        train: The training set, with shape (K, *shape), of any size from 1.
        samples: The samples, with shape (n, *shape), at least 2.
        holdout: Images from the same source that the model never saw, with shape (h, *shape).
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        seed: Seed of the controls and of the null test's subsets.

    Raises:
        ValueError: If shapes differ, or there are fewer than two samples.
    """
    _check(train, samples, holdout)
    distance = as_distance(distance)
    olive = nearest(samples, train, min(2, len(train)), distance=distance)
    gray = nearest(samples, samples, 1, distance=distance, exclude_self=True)
    return Measurement(
        distance=distance.info,
        distance_train=olive.distances[:, 0],
        nearest_train=olive.indices[:, 0],
        distance_train_2=_second(olive.distances),
        distance_sample=gray.distances[:, 0],
        nearest_sample=gray.indices[:, 0],
        copies=_copy_distances(train, distance, seed),
        train_train=_within_set(train, distance),
        holdout_train=_to_train(holdout, train, distance),
        holdout_holdout=_matched(holdout, len(samples), distance, seed),
        null=None if holdout is None else null_test(samples, train, holdout, distance=distance, seed=seed),
    )


def save_measurement(measurement: Measurement, path: Path) -> None:
    """Store a measurement as one safetensors file, atomically."""
    tensors = {name: value for name, value in vars(measurement).items() if isinstance(value, Tensor)}
    null = measurement.null.model_dump_json() if measurement.null else "null"
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(
            save(contiguous, {"distance": measurement.distance.model_dump_json(), "null": null})
        )


def load_measurement(path: Path) -> Measurement:
    """Read a stored measurement.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        null = json.loads(metadata["null"])
        return Measurement(
            distance=DistanceInfo.model_validate_json(metadata["distance"]),
            null=NullTest.model_validate(null) if null else None,
            **tensors,
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to measure this point again.") from None


def _check(train: Tensor, samples: Tensor, holdout: Tensor | None) -> None:
    if len(samples) < 2:
        raise ValueError(f"`samples` must hold at least 2 images, got {len(samples)}.")
    for name, images in (("samples", samples), ("holdout", holdout)):
        if images is not None and images.shape[1:] != train.shape[1:]:
            raise ValueError(
                f"`{name}` must have the training images' shape {tuple(train.shape[1:])}, "
                f"got {tuple(images.shape[1:])}; resize one of them."
            )


def _second(distances: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    return distances[:, 1] if distances.shape[1] > 1 else torch.full_like(distances[:, 0], torch.inf)


def _copy_distances(
    reference: Float[Tensor, "k *shape"], distance: Distance, seed: int
) -> Float[Tensor, " none_or_c"]:
    if not distance.embeds_any_image:
        return torch.empty(0, dtype=torch.float64)
    chosen = torch.randperm(len(reference), generator=generator(seed, "control", "choice"))[:COPIES]
    noise = torch.randn(len(chosen), *reference.shape[1:], generator=generator(seed, "control", "noise"))
    return nearest(reference[chosen] + COPY_NOISE * noise, reference, 1, distance=distance).distances[:, 0]


def _within_set(images: Float[Tensor, "k *shape"], distance: Distance) -> Float[Tensor, " none_or_k"]:
    if len(images) < 2:
        return torch.empty(0, dtype=torch.float64)
    return nearest(images, images, 1, distance=distance, exclude_self=True).distances[:, 0]


def _to_train(
    holdout: Float[Tensor, "h *shape"] | None, train: Float[Tensor, "k *shape"], distance: Distance
) -> Float[Tensor, " h"]:
    if holdout is None:
        return torch.empty(0, dtype=torch.float64)
    return nearest(holdout, train, 1, distance=distance).distances[:, 0]


def _matched(
    holdout: Float[Tensor, "h *shape"] | None, size: int, distance: Distance, seed: int
) -> Float[Tensor, " g"]:
    if holdout is None:
        return torch.empty(0, dtype=torch.float64)
    chosen = torch.randperm(len(holdout), generator=generator(seed, "holdout", "matched"))[:size]
    return _within_set(holdout[chosen], distance)
