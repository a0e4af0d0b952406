r"""Logits of the softmax over patterns, in blocks, right to rounding at every temperature.

A query :math:`x` (D,) meets the patterns :math:`\xi_\mu` (K,D) through

.. math:: \ell_\mu(x) = -\beta \lVert x - \xi_\mu \rVert^2 .

A matrix product gives all squared distances fast, but with an error near
:math:`u \sqrt D (\lVert x \rVert + \lVert \xi \rVert)^2` (:math:`u` is the rounding unit). Times
:math:`\beta` it can reach many units of the logit, exactly where a query lies on a pattern. Three
ways, from fast to safe, one for each query:

- *product*: the error is too small to matter, so take the product of the centered data;
- *screened*: the product only rules patterns out. A pattern whose logit lies below the best one by
  more than the **worst-case** error and a margin has no weight; all others are recomputed by
  subtraction in float64;
- *direct*: subtraction in float64 for all, in few dimensions or where screening rules out too little.

No array of size n K D ever exists: queries and patterns go through in blocks whose size is bounded
by a memory setting.
"""

__all__ = ["Patterns", "check_patterns"]

import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

DIRECT_DIM = 16  # up to here subtraction costs about as much as a product
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-11}  # harmless error of a logit
MARGIN = {torch.float32: 40.0, torch.float64: 90.0}  # a weight below exp(-margin) counts as 0
ROUNDED_INPUTS = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}  # torch's setting for products
CROWDED = 0.25  # share of candidates above which all distances are recomputed


def check_patterns(patterns: Tensor) -> None:
    """Check stored patterns.

    Raises:
        ValueError: If `patterns` is not a float32 or float64 tensor with shape (K, D), K and D at
            least 1, or holds a value that is not finite.
    """
    if not isinstance(patterns, Tensor):
        raise ValueError(f"`patterns` must be a torch tensor, got {type(patterns).__name__}.")
    if patterns.ndim != 2 or 0 in patterns.shape:
        raise ValueError(f"`patterns` must have shape (K, D) with K, D >= 1, got {tuple(patterns.shape)}.")
    if patterns.dtype not in TOLERANCE:
        raise ValueError(f"`patterns` must be float32 or float64, got {patterns.dtype}.")
    if not bool(torch.isfinite(patterns).all()):
        bad = int((~torch.isfinite(patterns)).any(1).sum())
        raise ValueError(
            f"`patterns` must be finite, got NaN or infinity in {bad} of {len(patterns)} patterns."
        )


class Patterns:
    """Stored patterns, made ready once: checked, centered, with their norms.

    Holds a reference to `values` and one centered copy (none in few dimensions).

    Arguments:
        values: The patterns, float32 or float64, with shape (K, D).
        memory: Working memory of one call in MiB, whatever K and the number of queries.

    Raises:
        ValueError: If the patterns are empty, not finite, or of another type; if `memory` is below 1.
    """

    def __init__(self, values: Float[Tensor, "K D"], memory: float = 64) -> None:
        check_patterns(values)
        if not memory >= 1:
            raise ValueError(f"`memory` must be at least 1 MiB, got {memory}.")
        self.values = values.detach()
        self.memory = memory
        self.center = self.values.mean(0)
        self.few = values.shape[1] <= DIRECT_DIM
        if not self.few:
            self.centered = self.values - self.center
            self.squares = self.centered.square().sum(1)
            self.radius = float(self.squares.max().sqrt())

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return int(self.values.shape[1])

    @property
    def wide(self) -> torch.dtype:
        """The type of everything computed by subtraction: float64 where the device has it."""
        return torch.float32 if self.values.device.type == "mps" else torch.float64

    def rows(self, extra: int = 1) -> int:
        """How many queries to take at once, where each needs `extra` rows of logits."""
        return max(1, min(2048, self._cells // (256 * extra)))

    def trusts_product(self, queries: Float[Tensor, "n D"], beta: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether the expected error of a product is harmless for a query, in many dimensions."""
        unit = torch.finfo(queries.dtype).eps / 2
        error = (math.sqrt(self.dim) * unit + self._rounded()) * self._reach(queries) * beta
        return error <= TOLERANCE[queries.dtype]

    def product_blocks(
        self, queries: Float[Tensor, "n D"], beta: Float[Tensor, " n"], extra: int = 1
    ) -> Iterator[tuple[slice, Float[Tensor, "n _"]]]:
        """Yield slices of the patterns with their logits, from the product of the centered data."""
        centered = queries - self.center
        squares, doubled = centered.square().sum(1, keepdim=True), 2 * centered
        for block in self._blocks(len(queries) * extra):
            logits = torch.addmm(self.squares[block], doubled, self.centered[block].T, beta=-1)
            yield block, logits.sub_(squares).mul_(beta[:, None])

    def exact_blocks(
        self,
        queries: Float[Tensor, "n D"],
        beta: Float[Tensor, " n"],
        least: Float[Tensor, " n"] | None = None,
        extra: int = 1,
    ) -> Iterator[tuple[slice | Int[Tensor, " _"], Float[Tensor, "n _"]]]:
        """Yield patterns, a slice or their indices, with their logits by subtraction.

        A logit is -inf, or its pattern left out altogether, where the weight is negligible.

        Arguments:
            queries: The queries, with shape (n, D).
            beta: Their inverse temperatures, with shape (n).
            least: A known lower bound of the largest logit of each query.
            extra: How many rows the caller needs for each row of logits.
        """
        wide_queries, wide_beta = queries.to(self.wide), beta.to(self.wide)
        best = torch.full_like(wide_beta, -torch.inf) if least is None else least.to(self.wide)
        for block in self._blocks(len(queries) * extra):
            keep = None if self.few else self._screen(queries, beta, best, block)
            if keep is None or int(keep.sum()) > CROWDED * keep.numel():
                logits = self._all_by_subtraction(wide_queries, wide_beta, block)
                best = torch.maximum(best, logits.amax(1))
                yield block, logits
            else:
                columns = keep.any(0).nonzero()[:, 0]
                if not len(columns):
                    continue
                chosen = columns + block.start
                logits = self._some_by_subtraction(wide_queries, wide_beta, chosen, keep[:, columns])
                best = torch.maximum(best, logits.amax(1))
                yield chosen, logits

    def _screen(self, queries: Tensor, beta: Tensor, best: Tensor, block: slice) -> Tensor:
        """Mark all patterns of a block that may have a weight, by a worst-case bound."""
        centered = queries - self.center
        logits = torch.addmm(self.squares[block], 2 * centered, self.centered[block].T, beta=-1)
        logits.sub_(centered.square().sum(1, keepdim=True)).mul_(beta[:, None])
        unit = torch.finfo(queries.dtype).eps / 2
        error = ((self.dim + 16) * unit + 2 * self._rounded()) * self._reach(queries) * beta
        best = torch.maximum(best, (logits.amax(1) - error).to(self.wide))
        least = best - MARGIN[queries.dtype] - error
        least = (least - 2 * unit * least.abs()).to(queries.dtype)
        return logits >= least[:, None]

    def _all_by_subtraction(self, queries: Tensor, beta: Tensor, block: slice) -> Tensor:
        values = self.values[block].to(self.wide)
        distances = torch.cdist(queries, values, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square_().mul_(-beta[:, None])

    def _some_by_subtraction(self, queries: Tensor, beta: Tensor, block: Tensor, keep: Tensor) -> Tensor:
        logits = torch.full(keep.shape, -torch.inf, dtype=self.wide, device=keep.device)
        rows, columns = keep.nonzero(as_tuple=True)
        values = self.values[block]
        for part in self.pairs(len(rows)):
            row, column = rows[part], columns[part]
            squares = (values[column].to(self.wide) - queries[row]).square().sum(1)
            logits[row, column] = -beta[row] * squares
        return logits

    def pairs(self, count: int) -> Iterator[slice]:
        """Cut `count` pairs of a query and a pattern into parts whose differences fit the memory."""
        size = max(1, self._cells // (2 * self.dim))
        for start in range(0, count, size):
            yield slice(start, start + size)

    @property
    def _cells(self) -> int:
        """How many logits fit at once, with the four temporaries of eight bytes that they need."""
        return int(self.memory * 2**20) // 32

    def _blocks(self, rows: int) -> Iterator[slice]:
        size = max(1, self._cells // max(1, rows))
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def _reach(self, queries: Tensor) -> Tensor:
        answer: Tensor = ((queries - self.center).norm(dim=1) + self.radius).square()
        return answer

    def _rounded(self) -> float:
        """Relative rounding of the factors of a product, where the user allowed it."""
        if self.values.dtype == torch.float64:
            return 0.0
        return ROUNDED_INPUTS[torch.get_float32_matmul_precision()]
