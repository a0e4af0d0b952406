"""Images that are there more than once: searched once, answered for each.

Where a generator has collapsed, or a set holds many blank images, every image ties with thousands. A bound
cannot tell ties apart, so each of these pairs would have to be subtracted, only to give the same number. So
the reference is searched without its copies, and what is found for an image holds for every copy of it.
"""

__all__ = ["Copies", "sketched"]

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spurion.core.random import generator
from spurion.neighbors.found import Neighbors, Pairs, as_pairs, merged, nobody
from spurion.neighbors.rows import Rows

SKETCHED = 64
"""Coordinates of an image that its sketch depends on."""


def sketched(rows: Float[Tensor, "b d"]) -> Int64[Tensor, " b"]:
    """A number for every row, the same for equal rows and rarely for others."""
    chosen, weights = _drawn(rows.shape[1])
    numbers = rows[:, chosen.to(rows.device)].float().add_(0.0)  # turns -0 into 0
    return (numbers.view(torch.int32) * weights.to(rows.device)).sum(dim=1)  # modulo 2^64


@cache
def _drawn(dim: int) -> tuple[Int64[Tensor, " c"], Int64[Tensor, " c"]]:
    """Coordinates and their odd weights."""
    draw = generator(0, "sketch")
    chosen = torch.randint(dim, (min(SKETCHED, dim),), generator=draw)
    return chosen, torch.randint(-(2**62), 2**62, chosen.shape, generator=draw).mul_(2).add_(1)


@dataclass(frozen=True, eq=False)
class Copies:
    """The distinct images of a set in the order of their first copies, and all copies of each.

    Attributes:
        members: The positions of all images, those of equal ones together and increasing, with shape (m,).
        starts: The copies of distinct image j are `members[starts[j] : starts[j + 1]]`.
    """

    members: Int64[Tensor, " m"]
    starts: Int64[Tensor, " distinct_plus_1"]

    @classmethod
    def of(cls, rows: Rows, sketches: Int64[Tensor, " m"]) -> "Copies | None":
        """Find equal images; None if there are none.

        Arguments:
            rows: The set.
            sketches: The sketch of every image.
        """
        _, group, counts = sketches.unique(return_inverse=True, return_counts=True)
        doubtful = (counts[group] > 1).nonzero()[:, 0]
        first = torch.arange(len(rows), device=rows.device)
        seen: dict[bytes, int] = {}
        for places in doubtful.split(rows.at_once):
            contents = rows.take(places).add(0.0).cpu().numpy()
            digests = (blake2b(row.tobytes(), digest_size=16).digest() for row in contents)
            same = [
                seen.setdefault(digest, place) for digest, place in zip(digests, places.tolist(), strict=True)
            ]
            first[places] = torch.tensor(same, dtype=torch.int64, device=rows.device)
        distinct, number = first.unique(return_inverse=True)
        if len(distinct) == len(rows):
            return None
        starts = torch.zeros(len(distinct) + 1, dtype=torch.int64, device=rows.device)
        torch.cumsum(number.bincount(), dim=0, out=starts[1:])
        return cls(number.argsort(stable=True), starts)

    @property
    def firsts(self) -> Int64[Tensor, " distinct"]:
        """The position of the first copy of every distinct image."""
        return self.members[self.starts[:-1]]

    def digest(self) -> str:
        """A digest of which images are equal."""
        return blake2b(torch.cat([self.members, self.starts]).cpu().numpy().tobytes()).hexdigest()

    def alone(self, own: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """Positions, -1 for none, as places among the distinct images; -1 as well for what has copies."""
        sizes = self.starts.diff()
        places = torch.full_like(self.members, -1)
        single = (sizes == 1).nonzero()[:, 0]
        places[self.firsts[single]] = single
        return torch.where(own >= 0, places[own], -1)

    def needed(self, k: int) -> int:
        """How many distinct images hold the k nearest, of which the image itself may be one."""
        return min(k + 1, len(self.starts) - 1)

    def nearest(self, found: Neighbors, k: int, own: Int64[Tensor, " n"], most: int) -> Neighbors:
        """The k nearest images, from the nearest distinct ones.

        Arguments:
            found: The `needed` nearest distinct images of every query.
            k: The number of neighbors.
            own: For each query the position that is left out, -1 for none.
            most: About how many pairs are looked at together.
        """
        answer = nobody(len(own), k, own.device)
        sizes = self.starts.diff().clamp(max=k + 1)[found.indices].where(found.indices >= 0, 0)
        for part in _parts(sizes.sum(dim=1), most):
            columns, which = self._spread(found.indices[part].flatten(), sizes[part].flatten())
            rows, distances = which // sizes.shape[1], found.distances[part].flatten()[which]
            keep = columns != own[part][rows]
            nearer = merged(answer.part(part), rows[keep], columns[keep], distances[keep])
            answer.distances[part], answer.indices[part] = nearer.distances, nearer.indices
        return Neighbors(answer.distances, answer.indices, found.work)

    def within(self, found: Pairs, own: Int64[Tensor, " n"], most: int) -> Pairs:
        """All pairs, from those with distinct images; see `nearest`."""
        sums = torch.zeros(len(found.indices) + 1, dtype=torch.int64, device=own.device)
        torch.cumsum(self.starts.diff()[found.indices], dim=0, out=sums[1:])
        totals = sums[found.indptr].diff()
        del sums
        m = len(self.members)
        indices = torch.empty(int(totals.sum()), dtype=torch.int64, device=own.device)
        counts = torch.zeros_like(own)
        end = 0
        for part in _parts(totals, most):
            groups = found.indices[found.indptr[part.start] : found.indptr[part.stop]]
            columns, which = self._spread(groups, self.starts.diff()[groups])
            rows = torch.arange(part.stop - part.start, device=own.device)
            rows = rows.repeat_interleave(found.counts[part])[which]
            keep = columns != own[part][rows]
            pairs = as_pairs([rows[keep] * m + columns[keep]], part.stop - part.start, m)
            counts[part] = pairs.counts
            indices[end : end + len(pairs.indices)] = pairs.indices
            end += len(pairs.indices)
        return Pairs(torch.nn.functional.pad(counts.cumsum(dim=0), (1, 0)), indices[:end], found.work)

    def _spread(
        self, groups: Int64[Tensor, " p"], sizes: Int64[Tensor, " p"]
    ) -> tuple[Int64[Tensor, " q"], Int64[Tensor, " q"]]:
        """The first few copies of distinct images, and for each copy which of these it belongs to."""
        which = torch.arange(len(groups), device=groups.device).repeat_interleave(sizes)
        starts = self.starts[groups] - (sizes.cumsum(dim=0) - sizes)
        return self.members[starts[which] + torch.arange(len(which), device=groups.device)], which


def _parts(totals: Int64[Tensor, " n"], most: int) -> Iterator[slice]:
    """Consecutive queries with about so many pairs in all, at least one."""
    sums = totals.cumsum(dim=0)
    start, done = 0, 0
    while start < len(totals):
        stop = max(start + 1, int(torch.searchsorted(sums, done + most, right=True)))
        yield slice(start, stop)
        start, done = stop, int(sums[stop - 1])
