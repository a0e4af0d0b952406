r"""Where training images and samples flow under the iterated denoiser.

With :math:`\delta_m` the distance up to which a sample is called memorized, two states are *the same* here if
half of it at most lies between them: half of the Euclidean distance of the vectors that the distance embeds
images in, so that two states that are the same as one training image are at most :math:`\delta_m` apart.

- The **recall** is the share of training images whose end point is the same as the image itself.
- A sample *flows into a training image* if its end point is the same as one.
- All other end points are joined where they are the same, and the connected components of that graph are
  *states that are no training image*: **shared** by at least two samples, or of a sample's own. A shared
  state is a **basin that is no memory** if more than half of the pairs of its members are the same
  themselves. One of fewer is a chain, end point after end point: no single state, and where states are still
  on their way after so many steps, as far as it goes.

Nothing here makes a sample generalized: states that have not met after so many steps may meet after more; see
`spurion.geometry.iterated`.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 3
"""

__all__ = ["DESTINATIONS", "Flows", "Recall", "flows", "half", "recall"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.iterated import NOISE, STEPS, Iterated, iterate
from spurion.neighbors import Distance, nearest, within
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.distances.l2 import L2
from spurion.phases.attractors import components

DESTINATIONS = ("training image", "shared state", "own state", "failed")
"""Where a sample may end: at a training image, at another state that other samples reach too, at one of its
own, or nowhere, because it or an answer of the model on its way is not finite."""


@dataclass(frozen=True)
class Recall:
    """Which training images are left where they are.

    Attributes:
        recalled: Which of them end within half of delta_m of themselves, with shape (k,).
        distances: How far each ends from itself, NaN where it failed, with shape (k,).
        tolerance: Half of delta_m, in the unit of the distance.
        iterated: How they were followed, with the end points.
    """

    recalled: Bool[Tensor, " k"]
    distances: Float64[Tensor, " k"]
    tolerance: float
    iterated: Iterated


@dataclass(frozen=True)
class Flows:
    """Where samples end.

    Attributes:
        destination: Index into `DESTINATIONS`, with shape (n,).
        nearest: The training image nearest to the end point of each, -1 where it failed, with shape (n,).
        distances: How far it is from the end point, NaN where it failed, with shape (n,).
        state: The number of the state that is no training image, -1 for other destinations, with shape (n,).
        basins: How many shared states are one state, with more than half of their pairs the same.
        chains: How many shared states are not.
        tolerance: Half of delta_m, in the unit of the distance.
        iterated: How they were followed, with the end points.
    """

    destination: Int64[Tensor, " n"]
    nearest: Int64[Tensor, " n"]
    distances: Float64[Tensor, " n"]
    state: Int64[Tensor, " n"]
    basins: int
    chains: int
    tolerance: float
    iterated: Iterated

    def reach(self, destination: str) -> Bool[Tensor, " n"]:
        """Which samples end there, with shape (n,)."""
        return self.destination == DESTINATIONS.index(destination)


def half(distance: Distance, delta: float) -> float:
    """The value of a distance at half of the Euclidean distance of vectors at which it has another value.

    Arguments:
        distance: The distance.
        delta: The value, at least 0.

    Raises:
        ValueError: If `delta` is no distance.

    Example:
        >>> from spurion.neighbors import load_distance
        >>> half(load_distance("l2"), 3.0), round(half(load_distance("cosine"), 0.2), 4)
        (1.5, 0.05)
    """
    if not 0 <= delta < torch.inf:
        raise ValueError(f"`delta` must be a distance of at least 0, got {delta}.")
    radius = distance.radius(torch.tensor(delta, dtype=torch.float64))
    return float(distance.value(radius / 2))


def recall(
    denoiser: Denoiser,
    train: Float[Tensor, "k *shape"],
    delta: float,
    *,
    distance: Distance | None = None,
    noise: float = NOISE,
    steps: int = STEPS,
    progress: Progress = silent,
) -> Recall:
    r"""Which training images the iterated denoiser leaves where they are.

    Arguments:
        denoiser: The model.
        train: Training images, with shape (k, *shape).
        delta: The distance :math:`\delta_m` up to which a sample is called memorized.
        distance: Its distance, by default Euclidean.
        noise: The noise of the map, in units of the clean data.
        steps: How often it is applied.
        progress: Called with the number of images done.

    Raises:
        ValueError: If the distance cannot embed end points, or as `iterate` and `half`.
    """
    distance = _embedding(distance)
    tolerance = half(distance, delta)
    found = iterate(denoiser, train, noise=noise, steps=steps, progress=progress)
    here = ~found.failed
    distances = torch.full((len(train),), torch.nan, dtype=torch.float64)
    if bool(here.any()):
        start = distance.embed(train.cpu()[here].to(found.points.dtype))
        apart = subtracted(distance.embed(found.points[here]), start)
        distances[here] = distance.value(apart).cpu()
    return Recall(distances <= tolerance, distances, tolerance, found)


def flows(
    denoiser: Denoiser,
    samples: Float[Tensor, "n *shape"],
    train: Float[Tensor, "k *shape"],
    delta: float,
    *,
    distance: Distance | None = None,
    noise: float = NOISE,
    steps: int = STEPS,
    progress: Progress = silent,
) -> Flows:
    r"""Where samples end under the iterated denoiser.

    Arguments:
        denoiser: The model.
        samples: The samples, with shape (n, *shape).
        train: All training images, finite, with shape (k, *shape).
        delta: The distance :math:`\delta_m` up to which a sample is called memorized.
        distance: Its distance, by default Euclidean.
        noise: The noise of the map, in units of the clean data.
        steps: How often it is applied.
        progress: Called with the number of samples done.

    Raises:
        ValueError: If the distance cannot embed end points, or as `iterate`, `half` and
            `spurion.neighbors.nearest`.
    """
    distance = _embedding(distance)
    tolerance = half(distance, delta)
    found = iterate(denoiser, samples, noise=noise, steps=steps, progress=progress)
    count, here = len(samples), (~found.failed).nonzero().squeeze(1)
    place = torch.full((count,), -1)
    distances = torch.full((count,), torch.nan, dtype=torch.float64)
    destination = torch.full((count,), DESTINATIONS.index("failed"))
    state, basins, chains = torch.full((count,), -1), 0, 0
    if len(here):
        images = train.cpu().to(found.points.dtype)
        to_train = nearest(found.points[here], images, 1, distance=distance)
        place[here], distances[here] = to_train.indices[:, 0], to_train.distances[:, 0]
        destination[distances <= tolerance] = DESTINATIONS.index("training image")
    elsewhere = (distances > tolerance).nonzero().squeeze(1)
    if len(elsewhere):
        state[elsewhere], size, cohesive = _states(found.points[elsewhere], distance, tolerance)
        shared = size > 1
        destination[elsewhere] = torch.where(
            shared[state[elsewhere]], DESTINATIONS.index("shared state"), DESTINATIONS.index("own state")
        )
        basins, chains = int((shared & cohesive).sum()), int((shared & ~cohesive).sum())
    return Flows(destination, place, distances, state, basins, chains, tolerance, found)


def _states(
    points: Tensor, distance: Distance, tolerance: float
) -> tuple[Int64[Tensor, " p"], Int64[Tensor, " s"], Bool[Tensor, " s"]]:
    """The state of each end point; the size of each state, and whether most of its pairs are the same."""
    pairs = within(points, points, tolerance, distance=distance, exclude_self=True)
    state = components(pairs)
    size = torch.bincount(state)
    near = torch.bincount(state, weights=pairs.counts.cpu().double())
    return state, size, 2 * near > size * (size - 1)


def _embedding(distance: Distance | None) -> Distance:
    distance = distance or L2()
    if not distance.embeds_any_image:
        raise ValueError(
            f"The distance {distance.info.name} has no vectors of the states in which a model ends."
        )
    return distance
