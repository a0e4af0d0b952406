r"""Jacobian of the posterior mean, :math:`\partial \hat x / \partial x_t`, and its trace.

Items of a batch do not depend on each other, so that the gradient of the sum over the batch of one
coordinate of :math:`\hat x` holds one row of the Jacobian of every item. D backward passes give them all;
they share the forward pass and run together, in groups that bound the memory.
"""

__all__ = [
    "denoise_and_jacobian",
    "denoise_and_traces",
    "probe_error",
    "random_signs",
]

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser

_NUMBERS = 2**24  # at most in a group of backward passes


def denoise_and_jacobian(
    denoiser: Denoiser, x_t: Float[Tensor, "n *shape"], t: float | int
) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, "n D D"]]:
    """Posterior mean and its Jacobian; row i of a matrix holds the derivatives of coordinate i.

    Arguments:
        denoiser: The model.
        x_t: Noisy items, with shape (n, *shape), in the dtype and on the device of the denoiser.
        t: Their time.
    """
    x_hat, groups = _rows(denoiser, x_t, t)
    rows = [group.flatten(2) for _, group in groups]
    return x_hat, torch.cat(rows).movedim(0, 1)


def denoise_and_traces(
    denoiser: Denoiser,
    x_t: Float[Tensor, "n *shape"],
    t: float | int,
    probes: Float[Tensor, "m n *shape"] | None = None,
) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, "n k"]]:
    r"""Posterior mean and the trace of its Jacobian, exact or by probes.

    Arguments:
        denoiser: The model.
        x_t: Noisy items, with shape (n, *shape), in the dtype and on the device of the denoiser.
        t: Their time.
        probes: Vectors v, with shape (m, n, *shape), each with an answer :math:`v^\top J v` whose mean is the
            trace; None for the trace itself, by D backward passes.

    Returns:
        The posterior means, and the answers, float64, with shape (n, k): k = m, or 1 without probes.
    """
    x_hat, groups = _rows(denoiser, x_t, t, probes)
    parts = [(vectors * rows).flatten(2).double().sum(2) for vectors, rows in groups]
    products = torch.cat(parts).T
    return x_hat, products.sum(dim=1, keepdim=True) if probes is None else products


def probe_error(answers: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Half of the 95 % interval of the mean over m probes, :math:`t_{m-1} s / \sqrt m` with Student's t.

    It is NaN for one probe, whose scatter nobody knows.
    """
    m = answers.shape[1]
    if m == 1:
        return answers[:, 0] * torch.nan
    return float(student.ppf(0.975, m - 1)) * answers.std(dim=1) / math.sqrt(m)


def random_signs(
    count: int, like: Float[Tensor, "n *shape"], *, generator: torch.Generator
) -> Float[Tensor, "m n *shape"]:
    """Probes of -1 and 1, with shape (count, n, *shape), in the dtype and on the device of `like`."""
    signs = torch.randint(2, (count, *like.shape), generator=generator) * 2 - 1
    return signs.to(like)


def _rows(
    denoiser: Denoiser, x_t: Tensor, t: float | int, probes: Tensor | None = None
) -> tuple[Tensor, Iterator[tuple[Tensor, Tensor]]]:
    """Posterior mean, and groups of vectors v (m, n, *shape) with their products v^T J."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        x_hat = denoiser(x_t, t)
    dim = math.prod(denoiser.shape)
    count = dim if probes is None else len(probes)
    size = max(1, _NUMBERS // max(1, x_t.numel()))

    def groups() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, count, size):
            stop = min(start + size, count)
            vectors = _units(start, stop, x_t.detach()) if probes is None else probes[start:stop]
            if not x_hat.requires_grad:  # an answer that does not depend on the question
                yield vectors, torch.zeros_like(vectors)
                continue
            (rows,) = torch.autograd.grad(
                x_hat, x_t, vectors, retain_graph=stop < count, is_grads_batched=True
            )
            yield vectors, rows

    return x_hat.detach(), groups()


def _units(start: int, stop: int, like: Tensor) -> Tensor:
    """Unit vectors `start` to `stop` - 1 for every item, with shape (stop - start, n, *shape)."""
    count = stop - start
    units = like.new_zeros(count, like[0].numel())
    units[torch.arange(count), torch.arange(start, stop)] = 1
    return units.view(count, 1, *like.shape[1:]).expand(count, *like.shape)
