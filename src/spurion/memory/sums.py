r"""Sums over patterns, block by block: what `attention` needs, without derivatives.

Every function takes queries in any number and inverse temperatures, one for each query, and walks
through the blocks of `Patterns`. Sums of positive terms run against the largest logit seen so far
(the online softmax), so nothing over- or underflows.
"""

__all__ = ["attend", "attend_and_spread", "occupation", "spread", "weights"]

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spurion.memory.logits import CROWDED, Patterns

AT_ONCE = 4096  # numbers in all patterns, up to which every difference to a query is formed


def attend(
    queries: Float[Tensor, "n D"], betas: Float[Tensor, " n"], patterns: Patterns
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n D"], Float[Tensor, "n D"]]:
    """Log-partition, posterior mean and shift (mean minus query) of each query."""
    outputs = queries.new_empty(len(queries)), torch.empty_like(queries), torch.empty_like(queries)
    for rows, by_product in _groups(queries, betas, patterns):
        part = (_attend_by_product if by_product else _attend_exactly)(queries[rows], betas[rows], patterns)
        for output, value in zip(outputs, part, strict=True):
            output[rows] = value.to(output.dtype)
    return outputs


def attend_and_spread(
    queries: Float[Tensor, "n D"], betas: Float[Tensor, " n"], patterns: Patterns
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n D"], Float[Tensor, "n D D"]]:
    """Log-partition, shift and posterior covariance of each query at once: quick for few, small patterns."""
    numbers = len(patterns) * patterns.dim
    if not patterns.few or numbers > AT_ONCE:
        log_partition, _, shift = attend(queries, betas, patterns)
        identity = torch.eye(patterns.dim, dtype=queries.dtype, device=queries.device)
        vectors = identity.expand(len(queries), -1, -1)
        return log_partition, shift, spread(queries, betas, patterns, log_partition, shift, vectors)
    size = max(1, AT_ONCE**2 // 16 // numbers)
    if len(queries) > size:
        pieces = zip(queries.split(size), betas.split(size), strict=True)
        parts = [attend_and_spread(*piece, patterns) for piece in pieces]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]
    offsets = patterns.values.T.to(patterns.wide).contiguous() - queries[:, :, None]
    logits = offsets.square().sum(1).mul_(-betas[:, None])
    best = logits.amax(1, keepdim=True)
    part = logits.sub_(best).exp_()
    total = part.sum(1, keepdim=True)
    weighted = offsets * part.div_(total)[:, None]
    shift = weighted.sum(2)
    covariance = weighted @ offsets.mT - shift[:, :, None] * shift[:, None]
    results = (best + total.log())[:, 0], shift, covariance
    return tuple(result.to(queries.dtype) for result in results)  # type: ignore[return-value]


def spread(
    queries: Float[Tensor, "n D"],
    betas: Float[Tensor, " n"],
    patterns: Patterns,
    log_partition: Float[Tensor, " n"],
    shift: Float[Tensor, "n D"],
    vectors: Float[Tensor, "n m D"],
) -> Float[Tensor, "n m D"]:
    """Posterior covariance of each query times its m vectors."""
    output = torch.empty_like(vectors)
    for rows, by_product in _groups(queries, betas, patterns, vectors.shape[1]):
        part = (queries[rows], betas[rows], patterns, log_partition[rows], shift[rows], vectors[rows])
        output[rows] = (_spread_by_product if by_product else _spread_exactly)(*part).to(output.dtype)
    return output


def weights(
    queries: Float[Tensor, "n D"],
    betas: Float[Tensor, " n"],
    patterns: Patterns,
    log_partition: Float[Tensor, " n"],
) -> Float[Tensor, "n K"]:
    """The softmax weights themselves, with shape (n, K): the one result that grows with n K."""
    output = queries.new_zeros(len(queries), len(patterns))
    row_numbers, columns = (torch.arange(size, device=queries.device) for size in output.shape)
    for rows, block, part in _weight_blocks(queries, betas, patterns, log_partition):
        output[row_numbers[rows][:, None], columns[block]] = part.to(output.dtype)
    return output / output.sum(1, keepdim=True)


def occupation(
    queries: Float[Tensor, "n D"],
    betas: Float[Tensor, " n"],
    patterns: Patterns,
    log_partition: Float[Tensor, " n"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Effective number of patterns 1 / sum w^2, largest weight, and the pattern that has it."""
    total, squares, top = (queries.new_zeros(len(queries), dtype=patterns.wide) for _ in range(3))
    index = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    columns = torch.arange(len(patterns), device=queries.device)
    for rows, block, part in _weight_blocks(queries, betas, patterns, log_partition):
        largest, column = part.max(1)
        total[rows] += part.sum(1)
        squares[rows] += part.square().sum(1)
        index[rows] = torch.where(largest > top[rows], columns[block][column], index[rows])
        top[rows] = torch.maximum(top[rows], largest.to(top.dtype))
    return (total.square() / squares).to(queries.dtype), (top / total).to(queries.dtype), index


def _groups(
    queries: Tensor, betas: Tensor, patterns: Patterns, extra: int = 1
) -> Iterator[tuple[Tensor | slice, bool]]:
    """Cut the queries into groups, each with the way to treat it: by product or by subtraction."""
    if patterns.few:
        for start in range(0, len(queries), patterns.rows(extra)):
            yield slice(start, start + patterns.rows(extra)), False
        return
    trusted = patterns.trusts_product(queries, betas)
    for by_product in (True, False):
        rows = (trusted == by_product).nonzero()[:, 0]
        if len(rows):
            for part in rows.split(patterns.rows(extra)):
                yield part, by_product


def _attend_by_product(queries: Tensor, betas: Tensor, patterns: Patterns) -> tuple[Tensor, Tensor, Tensor]:
    best, total = torch.full_like(betas, -torch.inf), torch.zeros_like(betas)
    mean = torch.zeros_like(queries)
    for block, logits in patterns.product_blocks(queries, betas):
        new = torch.maximum(best, logits.amax(1))
        part, scale = logits.sub_(new[:, None]).exp_(), (best - new).exp()
        total = total * scale + part.sum(1)
        mean = mean.mul_(scale[:, None]).addmm_(part, patterns.centered[block])
        best = new
    mean /= total[:, None]
    return best + total.log(), mean + patterns.center, mean - (queries - patterns.center)


def _attend_exactly(queries: Tensor, betas: Tensor, patterns: Patterns) -> tuple[Tensor, Tensor, Tensor]:
    wide = queries.to(patterns.wide)
    best, total = torch.full_like(wide[:, 0], -torch.inf), torch.zeros_like(wide[:, 0])
    shift = torch.zeros_like(wide)
    for block, logits in patterns.exact_blocks(queries, betas):
        new = torch.maximum(best, logits.amax(1))
        part, scale = logits.sub_(new[:, None]).exp_(), (best - new).exp()
        total = total * scale + part.sum(1)
        shift = shift.mul_(scale[:, None]).add_(_weighted_differences(part, wide, patterns, block))
        best = new
    shift /= total[:, None]
    return best + total.log(), wide + shift, shift


def _weighted_differences(part: Tensor, queries: Tensor, patterns: Patterns, block: slice | Tensor) -> Tensor:
    """Sum of w (pattern - query) over a block, in float64, without cancellation where weights are few."""
    values = patterns.values[block]
    used = part > 0
    if int(used.sum()) > CROWDED * part.numel():
        center = patterns.center.to(queries.dtype)
        return part @ (values.to(queries.dtype) - center) - part.sum(1, keepdim=True) * (queries - center)
    output = torch.zeros_like(queries)
    rows, columns = used.nonzero(as_tuple=True)
    for piece in patterns.pairs(len(rows)):
        row, column = rows[piece], columns[piece]
        difference = values[column].to(queries.dtype) - queries[row]
        output.index_add_(0, row, part[row, column, None] * difference)
    return output


def _spread_by_product(
    queries: Tensor, betas: Tensor, patterns: Patterns, log_partition: Tensor, shift: Tensor, vectors: Tensor
) -> Tensor:
    mean = queries - patterns.center + shift
    along_mean = vectors @ mean[:, :, None]
    total, balance = torch.zeros_like(betas), torch.zeros_like(along_mean)
    output = torch.zeros_like(vectors)
    for block, logits in patterns.product_blocks(queries, betas, vectors.shape[1] + 1):
        part = logits.sub_(log_partition[:, None]).exp_()
        values = patterns.centered[block]
        along = (vectors @ values.T).sub_(along_mean).mul_(part[:, None])
        total += part.sum(1)
        balance += along.sum(2, keepdim=True)
        output += along @ values
    return (output - balance * mean[:, None]) / total[:, None, None]


def _spread_exactly(
    queries: Tensor, betas: Tensor, patterns: Patterns, log_partition: Tensor, shift: Tensor, vectors: Tensor
) -> Tensor:
    wide = vectors.to(patterns.wide)
    mean = queries.to(wide.dtype) + shift.to(wide.dtype)
    total, output = torch.zeros_like(mean[:, 0]), torch.zeros_like(wide)
    least, extra = log_partition - math.log(len(patterns)), vectors.shape[1] + patterns.dim
    for block, logits in patterns.exact_blocks(queries, betas, least, extra if patterns.few else 1):
        part = logits.sub_(log_partition[:, None]).exp_()
        total += part.sum(1)
        values = patterns.values[block]
        if patterns.few:
            offsets = values.to(wide.dtype) - mean[:, None]
            output += (wide @ offsets.mT * part[:, None]) @ offsets
        else:
            for row, column in _used(part):
                offsets = values[column].to(wide.dtype) - mean[row]
                output[row] += (wide[row] @ offsets.T * part[row, column]) @ offsets
    return output / total[:, None, None]


def _used(part: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield each query that has weights in the block, with the columns of these weights."""
    used = part > 0
    for row in used.any(1).nonzero()[:, 0].tolist():
        yield row, used[row].nonzero()[:, 0]


def _weight_blocks(
    queries: Tensor, betas: Tensor, patterns: Patterns, log_partition: Tensor
) -> Iterator[tuple[Tensor | slice, slice | Tensor, Tensor]]:
    for rows, by_product in _groups(queries, betas, patterns):
        query, beta, log = queries[rows], betas[rows], log_partition[rows]
        exact = patterns.exact_blocks(query, beta, log - math.log(len(patterns)))
        for block, logits in patterns.product_blocks(query, beta) if by_product else exact:
            yield rows, block, logits.sub_(log[:, None]).exp_()
