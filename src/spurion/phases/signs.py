r"""Signs of copying that need no threshold: do samples come nearer to training images than others do?

A threshold can be wrong: too low, and every copy passes as new. So samples are compared with images that are
no copies, by readings that know nothing of a threshold:

- ``closer_to_train``, with held-out images: the share of samples closer to the training set than to as many
  held-out images (`spurion.phases.share`);
- ``nearness``: the distance to the nearest training image, by Meehan's C_T (`spurion.phases.copying`);
- ``authpct``: the share of samples that are nearer to a training image than that is to any other;
- ``ratio``, ``local_scale``: the shares that two rules of other tools call copies (`spurion.phases.metrics`).

**The yardstick.** With held-out images these are compared. Without, training images are: each is looked up
among the *other* ones, duplicates left out (`among_themselves`). If samples are drawn as training images are,
a sample and a training image are exchangeable but for one image more in the set. An image is then not
authentic if it and its nearest are each other's nearest, so such images come in pairs, and as much as half of
the others' nearness may be shared in this way: K training images count as K/2 in every test.

**Copy rate.** Copies are nearer than anything else, never authentic, and called copies by every rule. So if a
share :math:`q_0` of honest images shows a sign and a share q of the samples does, a rate
:math:`c = (q - q_0) / (1 - q_0)` of copies among honest samples would explain it; :math:`q_0 = 1/2` where two
images are compared for which is the nearer.

Each p-value is one-sided: small if samples come too near. With `LEVEL` and the five signs together an honest
model is suspected with a probability of at most 5 %, by Bonferroni's inequality.
"""

__all__ = ["LEVEL", "Approach", "Sign", "among_themselves", "signs"]

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64
from pydantic import Field
from scipy import stats
from torch import Tensor

from spurion.core.config import Config
from spurion.core.random import generator
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher, nearest
from spurion.phases.metrics.carlini import NEIGHBORHOOD, locally_near
from spurion.phases.metrics.ratio import much_nearer
from spurion.phases.null import NullTest
from spurion.statistics.counts import more_often
from spurion.statistics.numbers import p_words, percent

LEVEL = 0.01
"""A sign with a smaller p-value is no accident."""

MOST = 2_000
"""Training images, at most, that are looked up among the others."""


_Rule = Literal["authpct", "ratio", "local_scale"]
_RULES: dict[_Rule, str] = {
    "authpct": "are no farther from a training image than that is from any other",
    "ratio": "are nearer to a training image than a third of the distance to any other",
    "local_scale": "are nearer to a training image than half the mean distance of its neighborhood",
}


class Sign(Config):
    """One reading, what it says in words, and how surely."""

    name: Literal["closer_to_train", "nearness", "authpct", "ratio", "local_scale"]
    sentence: str = Field(description="What was read, with its numbers; a clause without a full stop.")
    p_value: float = Field(description="One-sided: small if samples are too near to training images.")
    copy_rate: float = Field(description="The share of copies among honest samples that would explain it.")


@dataclass(frozen=True)
class Approach:
    """How near some images come to the training set, in Euclidean distances of vectors.

    Attributes:
        near: The distances to the nearest training images, with shape (n, k).
        second: The distance to the nearest one that is no duplicate of the first, infinite without any.
        gaps: The distance of the nearest training image to its own nearest other one; None if not looked up.
    """

    near: Float64[Tensor, "n k"]
    second: Float64[Tensor, " n"]
    gaps: Float64[Tensor, " n"] | None = None

    @property
    def crowding(self) -> Bool[Tensor, " n"] | None:
        """Which images are no farther from their nearest training image than that is from any other."""
        return None if self.gaps is None else self.near[:, 0] <= self.gaps

    @property
    def much_nearer(self) -> Bool[Tensor, " n"] | None:
        """Which images are much nearer to one training image than to any other; None if there is but one."""
        return much_nearer(self.near[:, 0], self.second) if self.second.isfinite().all() else None


def among_themselves(
    train: Float[Tensor, "k *shape"],
    first_equal: Int64[Tensor, " k"],
    samples: Int64[Tensor, " m"],
    *,
    distance: Distance,
    seed: int,
    search: Searcher = nearest,
) -> tuple[Approach, Float64[Tensor, " m"]] | None:
    """How near training images come to each other; see the module.

    Arguments:
        train: The training images, with shape (K, *shape).
        first_equal: For each training image the first one that is equal to it, with shape (K,).
        samples: The training image nearest to each sample, with shape (M,).
        distance: The distance.
        seed: Seed of the choice of training images, where there are more than `MOST`.
        search: What finds neighbors.

    Returns:
        The approach of training images to the others, and for each sample the gap around its nearest training
        image; None with fewer than three different images.
    """
    firsts = first_equal.unique()
    if len(firsts) < 3:
        return None
    distinct = train if len(firsts) == len(train) else taken(train, firsts)
    chosen = torch.randperm(len(distinct), generator=generator(seed, "among themselves"))[:MOST]
    depth = min(NEIGHBORHOOD + 1, len(distinct))
    found = search(taken(distinct, chosen), distinct, depth, distance=distance)
    others = (found.indices == chosen[:, None]).int().argsort(dim=1, stable=True)[:, :-1]
    near = distance.radius(found.distances.gather(1, others))
    theirs = found.indices.gather(1, others)[:, 0]
    ours = torch.searchsorted(firsts, first_equal[samples])
    asked, places = torch.cat([theirs, ours]).unique(return_inverse=True)
    gaps = distance.radius(search(taken(distinct, asked), distinct, 2, distance=distance).distances[:, 1])
    around = gaps[places]
    return Approach(near, near[:, 1], around[: len(theirs)]), around[len(theirs) :]


def signs(samples: Approach, others: Approach, null: NullTest | None) -> tuple[Sign, ...]:
    """Compare samples with images that are no copies; see the module.

    Arguments:
        samples: How near samples come to the training set.
        others: The same of held-out images, or of training images among themselves.
        null: The held-out null, if the others are held-out images.

    Returns:
        The signs that could be read.
    """
    ours, theirs = samples.near[:, :NEIGHBORHOOD], others.near[:, :NEIGHBORHOOD]
    depth = min(ours.shape[1], theirs.shape[1])
    found = (
        _closer(null),
        _nearness(ours[:, 0], theirs[:, 0], null),
        _authentic(null) if null else _rule("authpct", samples.crowding, others.crowding, null),
        _rule("ratio", samples.much_nearer, others.much_nearer, null),
        _rule("local_scale", locally_near(ours[:, :depth]), locally_near(theirs[:, :depth]), null),
    )
    return tuple(sign for sign in found if sign is not None)


def _closer(null: NullTest | None) -> Sign | None:
    if null is None or null.share_closer_to_train is None or null.share_p_value is None:
        return None
    share = null.share_closer_to_train.value
    return Sign(
        name="closer_to_train",
        sentence=(
            f"{percent(share)} of the samples are closer to the training set than to as many held-out "
            "images, "
            f"half of them by chance ({p_words(null.share_p_value)})"
        ),
        p_value=null.share_p_value,
        copy_rate=_beyond(share, 0.5),
    )


def _nearness(
    ours: Float64[Tensor, " m"], theirs: Float64[Tensor, " n"], null: NullTest | None
) -> Sign | None:
    """C_T with held-out images, else the rank test of one cell with half of the others."""
    shift = _share_of_pairs(ours, theirs)
    if null is None:
        spread = math.sqrt((len(theirs) / 2 + len(ours) + 1) / (6 * len(theirs) * len(ours)))
        reading, p_value = "", float(stats.norm.sf((shift - 0.5) / spread))
    elif null.ct is None or null.ct_p_value is None:
        return None
    else:
        reading, p_value = f"C_T is {null.ct:.3g}, ", null.ct_p_value
    return Sign(
        name="nearness",
        sentence=(
            f"{reading}a sample is nearer to the training set than {_others(null, 'one')} is in "
            f"{percent(shift)} "
            f"of all pairs ({p_words(p_value)})"
        ),
        p_value=p_value,
        copy_rate=_beyond(shift, 0.5),
    )


def _authentic(null: NullTest) -> Sign | None:
    if null.authpct is None or null.authpct_holdout is None or null.authpct_p_value is None:
        return None
    ours, theirs = (1 - percent / 100 for percent in (null.authpct, null.authpct_holdout))
    return _told("authpct", ours, theirs, null.authpct_p_value, null)


def _rule(
    name: _Rule, ours: Bool[Tensor, " m"] | None, theirs: Bool[Tensor, " n"] | None, null: NullTest | None
) -> Sign | None:
    """How often a rule calls samples and others copies, by Fisher's exact test."""
    if ours is None or theirs is None:
        return None
    p_value = more_often(ours, theirs, shared=2 if null is None else 1)
    return _told(name, float(ours.double().mean()), float(theirs.double().mean()), p_value, null)


def _told(name: _Rule, ours: float, theirs: float, p_value: float, null: NullTest | None) -> Sign:
    return Sign(
        name=name,
        sentence=f"{percent(ours)} of the samples {_RULES[name]}, of {_others(null, 'many')} "
        f"{percent(theirs)} "
        f"({p_words(p_value)})",
        p_value=p_value,
        copy_rate=_beyond(ours, theirs),
    )


def _others(null: NullTest | None, number: Literal["one", "many"]) -> str:
    if null is None:
        return "training images among themselves" if number == "many" else "another training image"
    return "held-out images" if number == "many" else "a held-out image"


def _beyond(share: float, honest: float) -> float:
    """The rate of copies that raises an honest share to a larger one."""
    return max(0.0, (share - honest) / (1 - honest)) if honest < 1 else 0.0


def _share_of_pairs(ours: Float64[Tensor, " m"], theirs: Float64[Tensor, " n"]) -> float:
    """In which share of all pairs the first is smaller; half of the ties."""
    ordered, values = ours.sort().values, theirs.contiguous()
    below = torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)
    return float(below.double().mean()) / (2 * len(ours))
