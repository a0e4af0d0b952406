"""What is measured before any threshold is known: nearest-neighbor distances.

For samples S', a training set S and, if there is one, a held-out set H:

- ``distance_train``, ``nearest_train``: from each sample to its nearest training image (the paper's olive
  histogram), ``distance_train_2``: to the nearest that is no duplicate of that image (infinite if S holds but
  one image, once or often);
- ``distance_sample``, ``nearest_sample``: to the nearest other sample (the gray histogram), and
  ``to_samples`` to as many others as repetitions among fewer samples take (`spurion.phases.repetition`);
- ``copies``: from training images with a whisper of noise to the training set (control; none if the distance
  knows no other images than it was given);
- ``holdout_train``, ``holdout_holdout``: from held-out images to the training set, and to the nearest other
  one of at most as many as there are samples (the `holdout` threshold rule); the former without images that
  are also in the training set, unless all of them are: they are not held out.

- ``first_equal``: for each training image the first one that is equal to it, often itself.

A sample is never its own neighbor. See Pham et al. (2025), Eq. 9-11.
"""

__all__ = [
    "COPY_NOISE",
    "Measurement",
    "load_measurement",
    "measure",
    "save_measurement",
]

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.random import generator
from spurion.core.tensors import Damaged, holding, load_tensors, save_tensors
from spurion.data.storage import taken
from spurion.neighbors import Distance, DistanceInfo, Neighbors, Searcher, as_distance, nearest
from spurion.phases.anchor import LEAST
from spurion.phases.exposed import duplicate_groups, equal_images
from spurion.phases.null import DEPTH, NullTest, Searches, null_test, searches
from spurion.phases.partition import second_outside
from spurion.phases.repetition import USUAL, depth

COPY_NOISE = 0.01
"""Standard deviation of the noise on control copies, in the unit of the images ([-1, 1])."""

COPIES = 200
"""Number of control copies."""


@dataclass(frozen=True)
class Measurement:
    """Distances of samples, controls and held-out images; see the module. Floats are float64.

    Beside the distances stand the searches that they are read off: `to_train`, up to `DEPTH` training images
    nearest to each sample, `to_samples`, some other samples nearest to each, and with held-out images the two
    others of the null test, else None.
    """

    distance: DistanceInfo
    to_train: Neighbors
    to_samples: Neighbors
    distance_train_2: Float[Tensor, " n"]
    copies: Float[Tensor, " c"]
    first_equal: Int64[Tensor, " k"]
    holdout_train: Float[Tensor, " h"]
    holdout_holdout: Float[Tensor, " g"]
    to_holdout: Neighbors | None
    holdout_to_train: Neighbors | None
    null: NullTest | None

    @property
    def distance_train(self) -> Float[Tensor, " n"]:
        """The distance of each sample to its nearest training image."""
        return self.to_train.distances[:, 0]

    @property
    def nearest_train(self) -> Int64[Tensor, " n"]:
        """The training image nearest to each sample."""
        return self.to_train.indices[:, 0]

    @property
    def distance_sample(self) -> Float[Tensor, " n"]:
        """The distance of each sample to its nearest other sample."""
        return self.to_samples.distances[:, 0]

    @property
    def nearest_sample(self) -> Int64[Tensor, " n"]:
        """The other sample nearest to each sample."""
        return self.to_samples.indices[:, 0]

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Equal images of the training set, as `duplicate_groups` gives them."""
        members: dict[int, list[int]] = {}
        for index, first in enumerate(self.first_equal.tolist()):
            members.setdefault(first, []).append(index)
        return tuple(tuple(group) for group in members.values() if len(group) > 1)

    @property
    def duplicates(self) -> int:
        """Number of training images with an equal one elsewhere in the training set."""
        return sum(map(len, self.groups))


def measure(
    train: Float[Tensor, "k *train_shape"],
    samples: Float[Tensor, "n *sample_shape"],
    holdout: Float[Tensor, "h *holdout_shape"] | None = None,
    *,
    distance: str | Distance = "l2",
    seed: int = 0,
    sample_size: int = USUAL,
    progress: Progress = silent,
    search: Searcher = nearest,
) -> Measurement:
    """Measure samples against a training set; see the module.

    Arguments:
        train: The training set, with shape (K, *shape), of any size from 1.
        samples: The samples, with shape (n, *shape), at least 2.
        holdout: Images from the same source that the model never saw, with shape (h, *shape).
        distance: A distance, or the name of one that needs no `weights`; see `load_distance`.
        seed: Seed of the controls and of the null test's subsets.
        sample_size: The smallest number of samples at which repetitions will be counted.
        progress: Called with the stage and how far it is.
        search: What finds the training and the held-out images nearest to others.

    Returns:
        The distances, and the searches they are read off.

    Raises:
        ValueError: If shapes differ, or there are fewer than two samples.
    """
    _check(train, samples, holdout)
    distance = as_distance(distance).kept()
    groups = duplicate_groups(train)
    known = None
    if holdout is not None:
        known = searches(
            samples,
            train,
            holdout,
            distance=distance,
            progress=partial(progress, "search train and held-out"),
            search=search,
        )
    olive = known.to_train if known else _to_train(samples, train, distance, progress, search)
    told, among = partial(progress, "search samples"), _depth(len(samples), holdout, sample_size)
    gray = nearest(samples, samples, among, distance=distance, exclude_self=True, progress=told)
    progress("controls and null", 0, 1)
    measurement = Measurement(
        distance=distance.info,
        to_train=olive,
        to_samples=gray,
        distance_train_2=second_outside(olive, groups, samples, train, distance=distance, search=search),
        copies=_copy_distances(train, distance, seed, search),
        first_equal=_first_equal(len(train), groups),
        to_holdout=None if known is None else known.to_holdout,
        holdout_to_train=None if known is None else known.holdout_to_train,
        **_held_out(known, train, samples, holdout, distance, seed, groups, search),
    )
    progress("controls and null", 1, 1)
    return measurement


SEARCHES = ("to_train", "to_samples", "to_holdout", "holdout_to_train")


def save_measurement(measurement: Measurement, path: Path) -> None:
    """Store a measurement as one safetensors file, atomically and under a checksum."""
    tensors = {name: value for name, value in vars(measurement).items() if isinstance(value, Tensor)}
    for name in SEARCHES:
        found: Neighbors | None = getattr(measurement, name)
        if found is not None:
            tensors[f"{name}.distances"] = found.distances.contiguous()
            tensors[f"{name}.indices"] = found.indices.contiguous()
    null = measurement.null.model_dump_json() if measurement.null else "null"
    save_tensors(path, tensors, {"distance": measurement.distance.model_dump_json(), "null": null})


def load_measurement(path: Path) -> Measurement:
    """Read a stored measurement.

    Raises:
        Damaged: If the file is damaged, or of a former version that kept one other sample of each alone.
    """
    tensors, facts = load_tensors(path)
    if "distance_sample" in tensors and "to_samples.distances" not in tensors:
        raise Damaged(f"{path} is of a former version, which kept one other sample near each and no more.")
    searches: dict[str, Any] = dict.fromkeys(SEARCHES)
    with holding(path, "measurement"):
        for name in SEARCHES:
            if name in SEARCHES[:2] or f"{name}.distances" in tensors:
                searches[name] = Neighbors(tensors.pop(f"{name}.distances"), tensors.pop(f"{name}.indices"))
        null = json.loads(facts["null"])
        return Measurement(
            distance=DistanceInfo.model_validate_json(facts["distance"]),
            null=NullTest.model_validate(null) if null else None,
            **{**searches, **tensors},
        )


def _check(train: Tensor, samples: Tensor, holdout: Tensor | None) -> None:
    if len(samples) < 2:
        raise ValueError(f"`samples` must hold at least 2 images, got {len(samples)}.")
    for name, images in (("samples", samples), ("holdout", holdout)):
        if images is not None and images.shape[1:] != train.shape[1:]:
            kinds = [tuple(found.shape[1:]) for found in (train, images)]
            remedy = "resize one of them" if kinds[0][:-2] == kinds[1][:-2] else "convert them to one kind"
            raise ValueError(
                f"`{name}` must have the training images' shape {kinds[0]}, got {kinds[1]}; {remedy}."
            )


def _depth(samples: int, holdout: Tensor | None, sample_size: int) -> int:
    """How many other samples must be known, to count repetitions as the rules do."""
    sizes = [sample_size] if holdout is None or len(holdout) < LEAST else [sample_size, len(holdout)]
    return max(depth(samples, size) for size in sizes)


def _to_train(
    samples: Float[Tensor, "n *shape"],
    train: Float[Tensor, "k *shape"],
    distance: Distance,
    progress: Progress,
    search: Searcher,
) -> Neighbors:
    depth = min(DEPTH, len(train))
    return search(samples, train, depth, distance=distance, progress=partial(progress, "search train"))


def _copy_distances(
    reference: Float[Tensor, "k *shape"], distance: Distance, seed: int, search: Searcher
) -> Float[Tensor, " none_or_c"]:
    if not distance.embeds_any_image:
        return torch.empty(0, dtype=torch.float64)
    chosen = torch.randperm(len(reference), generator=generator(seed, "control", "choice"))[:COPIES]
    noise = torch.randn(len(chosen), *reference.shape[1:], generator=generator(seed, "control", "noise"))
    return search(reference[chosen] + COPY_NOISE * noise, reference, 1, distance=distance).distances[:, 0]


def _first_equal(count: int, groups: Sequence[Sequence[int]]) -> Int64[Tensor, " k"]:
    first = torch.arange(count)
    for group in groups:
        first[list(group)] = group[0]
    return first


def _held_out(
    known: Searches | None,
    train: Float[Tensor, "k *shape"],
    samples: Float[Tensor, "n *shape"],
    holdout: Float[Tensor, "h *shape"] | None,
    distance: Distance,
    seed: int,
    groups: Sequence[Sequence[int]],
    search: Searcher,
) -> dict[str, Any]:
    """The distances of held-out images and the null test; empty without them."""
    empty = torch.empty(0, dtype=torch.float64)
    if known is None or holdout is None:
        return {"holdout_train": empty, "holdout_holdout": empty, "null": None}
    chosen = torch.randperm(len(holdout), generator=generator(seed, "holdout", "matched"))[: len(samples)]
    among = empty
    if len(chosen) >= LEAST:
        matched = taken(holdout, chosen)
        among = nearest(matched, matched, 1, distance=distance, exclude_self=True).distances[:, 0]
    null = null_test(
        samples, train, holdout, seed=seed, distance=distance, known=known, groups=groups, search=search
    )
    distances = known.holdout_to_train.distances[:, 0]
    seen = equal_images(holdout, train, distances)
    return {
        "holdout_train": distances.clone() if seen.all() else distances[~seen],
        "holdout_holdout": among,
        "null": null,
    }
