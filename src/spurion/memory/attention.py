r"""The one softmax over patterns: partition function, posterior mean and covariance.

For queries :math:`x` (D,) and patterns :math:`\xi_\mu` (K,D) at inverse temperature :math:`\beta`,

.. math::
    Z(x) = \sum_\mu e^{-\beta \lVert x - \xi_\mu \rVert^2}, \qquad
    w_\mu = \frac{e^{-\beta \lVert x - \xi_\mu \rVert^2}}{Z}, \qquad
    m = \sum_\mu w_\mu \xi_\mu, \qquad
    C = \sum_\mu w_\mu (\xi_\mu - m)(\xi_\mu - m)^\top .

Derivatives with respect to the queries are closed forms as well, :math:`\nabla \log Z = 2\beta(m - x)`
and :math:`\partial m / \partial x = 2 \beta C`, so reverse and forward mode, `torch.func` and `vmap`
work without a graph through the patterns. For a noisy image :math:`x_t = \alpha_t x + \sigma_t \epsilon`
the posterior mean of the clean image is :math:`m` at :math:`x = x_t / \alpha_t` and
:math:`\beta = \alpha_t^2 / (2 \sigma_t^2)`.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 5-6
"""

__all__ = ["Posterior", "covariance_product", "posterior"]

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

from spurion.memory.logits import Patterns
from spurion.memory.sums import attend, spread


class Posterior(NamedTuple):
    """What the softmax over patterns says about each query.

    Attributes:
        log_partition: log Z, with shape (n).
        mean: The posterior mean m, with shape (n, D).
        shift: m - x without cancellation, with shape (n, D); the score is 2 beta times it.
    """

    log_partition: Float[Tensor, " n"]
    mean: Float[Tensor, "n D"]
    shift: Float[Tensor, "n D"]


def posterior(
    queries: Float[Tensor, "n D"],
    patterns: Patterns | Float[Tensor, "K D"],
    beta: Float[Tensor, "*n"] | float,
) -> Posterior:
    r"""Log-partition and posterior mean of each query, differentiable in the queries.

    Arguments:
        queries: The queries, with shape (n, D), in the dtype of the patterns.
        patterns: The patterns, with shape (K, D); as `Patterns` when they are used again.
        beta: The inverse temperature, positive: one for all or one for each query.

    Returns:
        The log-partition, the mean and the shift, each in the dtype of the patterns.

    Raises:
        ValueError: If shapes or dtypes do not fit, a query is not finite, or `beta` is not positive.

    Example:
        >>> patterns = torch.tensor([[-1.0], [1.0]])
        >>> posterior(torch.tensor([[0.5]]), patterns, beta=1.0).mean  # tanh(2 beta x)
        tensor([[0.7616]])
    """
    stored = patterns if isinstance(patterns, Patterns) else Patterns(patterns)
    return Posterior(*_Attend.apply(queries, _betas(queries, stored, beta), stored))


def covariance_product(
    queries: Float[Tensor, "n D"],
    patterns: Patterns,
    beta: Float[Tensor, "*n"] | float,
    vectors: Float[Tensor, "n m D"],
) -> Float[Tensor, "n m D"]:
    """Products C v of the posterior covariance with m vectors for each query, without forming C.

    Arguments:
        queries: The queries, with shape (n, D).
        patterns: The patterns.
        beta: The inverse temperature: one for all or one for each query.
        vectors: The vectors, with shape (n, m, D).

    Raises:
        ValueError: As `posterior`.
    """
    betas = _betas(queries, patterns, beta)
    log_partition, _, shift = _Attend.apply(queries.detach(), betas, patterns)
    answer: Float[Tensor, "n m D"] = _Spread.apply(queries, betas, patterns, log_partition, shift, vectors)
    return answer


def _betas(queries: Tensor, patterns: Patterns, beta: Tensor | float) -> Tensor:
    if queries.ndim != 2 or queries.shape[1] != patterns.dim:
        raise ValueError(f"queries must have shape (n, {patterns.dim}), got {tuple(queries.shape)}.")
    if queries.dtype != patterns.values.dtype:
        raise ValueError(f"queries must be {patterns.values.dtype} like the patterns, got {queries.dtype}.")
    if not isinstance(beta, Tensor):
        if not (beta > 0 and math.isfinite(beta)):
            raise ValueError(f"`beta` must be positive and finite, got {beta}.")
        return torch.full((len(queries),), beta, dtype=queries.dtype, device=queries.device)
    if beta.requires_grad:
        raise ValueError("`beta` must not require gradients: only the queries may.")
    if beta.ndim > 1 or (beta.ndim == 1 and len(beta) != len(queries)):
        raise ValueError(f"`beta` must be one number or {len(queries)}, got shape {tuple(beta.shape)}.")
    return beta.to(queries).expand(len(queries))


def _check_values(queries: Tensor, betas: Tensor) -> None:
    if not (math.isfinite(queries.sum()) or bool(torch.isfinite(queries).all())):
        raise ValueError("queries must be finite, got NaN or infinity.")
    if len(betas) and not (float(betas.min()) > 0 and math.isfinite(betas.max())):
        raise ValueError(f"`beta` must be positive and finite, got a minimum of {float(betas.min()):g}.")


class _Attend(Function):
    """(queries, betas, patterns) -> (log Z, mean, shift), with derivatives in closed form."""

    @staticmethod
    def forward(queries: Tensor, betas: Tensor, patterns: Patterns) -> tuple[Tensor, Tensor, Tensor]:
        _check_values(queries, betas)
        return attend(queries, betas, patterns)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        queries, betas, ctx.patterns = inputs
        ctx.save_for_backward(queries, betas, output[0], output[2])
        ctx.save_for_forward(queries, betas, output[0], output[2])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        queries, betas, log_partition, shift = ctx.saved_tensors
        by_log, by_mean, by_shift = gradients
        terms = []
        if by_log is not None:
            terms.append((2 * betas * by_log)[:, None] * shift)
        moved = _sum([x for x in (by_mean, by_shift) if x is not None])
        if moved is not None:
            state = queries, betas, ctx.patterns, log_partition, shift
            terms.append(2 * betas[:, None] * _Spread.apply(*state, moved[:, None])[:, 0])
        if by_shift is not None:
            terms.append(-by_shift)
        return _sum(terms), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor | None, by_beta: Tensor | None, _: None) -> tuple[Tensor, ...]:
        if by_beta is not None or tangent is None:
            raise _unavailable("`beta`")
        queries, betas, log_partition, shift = ctx.saved_tensors
        spread = _Spread.apply(queries, betas, ctx.patterns, log_partition, shift, tangent[:, None])[:, 0]
        mean = 2 * betas[:, None] * spread
        return 2 * betas * (shift * tangent).sum(1), mean, mean - tangent

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        queries, betas, patterns = arguments
        size = info.batch_size
        outputs = _Attend.apply(_fold(queries, in_dims[0], size), _fold(betas, in_dims[1], size), patterns)
        return tuple(x.unflatten(0, (size, -1)) for x in outputs), (0, 0, 0)


class _Spread(Function):
    """(queries, betas, patterns, log Z, shift, vectors) -> C v: linear and symmetric in the vectors."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:
        return spread(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        queries, betas, ctx.patterns, log_partition, shift, _ = inputs
        ctx.save_for_backward(queries, betas, log_partition, shift)
        ctx.save_for_forward(queries, betas, log_partition, shift)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        _no_derivative(ctx.needs_input_grad[0] or None, "the posterior covariance")
        queries, betas, log_partition, shift = ctx.saved_tensors
        state = queries, betas, ctx.patterns, log_partition, shift
        return None, None, None, None, None, _Spread.apply(*state, gradient)

    @staticmethod
    def jvp(ctx: Any, by_query: Tensor | None, *tangents: Tensor | None) -> Tensor:
        _no_derivative(by_query, "the posterior covariance")
        queries, betas, log_partition, shift = ctx.saved_tensors
        answer: Tensor = _Spread.apply(queries, betas, ctx.patterns, log_partition, shift, tangents[-1])
        return answer

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        size, vectors = info.batch_size, arguments[-1]
        if any(dim is not None for dim in in_dims[:-1]):
            folded = [
                x if isinstance(x, Patterns) else _fold(x, dim, size)
                for x, dim in zip(arguments, in_dims, strict=True)
            ]
            return _Spread.apply(*folded).unflatten(0, (size, -1)), 0
        vectors = vectors.movedim(in_dims[-1], 1)
        output = _Spread.apply(*arguments[:-1], vectors.flatten(1, 2))
        return output.unflatten(1, (size, -1)), 1


def _fold(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Merge a batch dimension into the queries; without one, repeat for each member of the batch."""
    batched = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return batched.flatten(0, 1)


def _sum(terms: list[Tensor]) -> Tensor | None:
    return sum(terms[1:], terms[0]) if terms else None


def _no_derivative(requested: object, what: str) -> None:
    if requested is not None:
        raise _unavailable(what)


def _unavailable(what: str) -> ValueError:
    return ValueError(f"derivatives of {what} are not available: only queries, up to second order.")
