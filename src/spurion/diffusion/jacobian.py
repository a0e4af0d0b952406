r"""Products with the Jacobian of a model, the posterior mean with its Jacobian, and its trace.

Items of a batch do not depend on each other: one pass with a vector for each item gives a product for every
item, and many vectors share one pass of the model. This is the one place where models are differentiated by
their input. `torch.func` does it fastest, forward and in reverse, but not for every module:

- the fast kernels of attention have no forward mode and no second derivative, so that attention is computed
  by its formula;
- group normalization has neither forward mode nor `vmap` for channels that lie last in memory, as attention
  leaves them in a U-Net, so that it gets its input in plain order;
- for what is still not supported there are ways that need nothing but reverse mode: backward passes through
  one graph of repeated items, and for :math:`J v` the derivative of :math:`u \mapsto J^\top u`, which is
  linear.
"""

__all__ = [
    "JacobianProducts",
    "denoise_and_jacobian",
    "denoise_and_traces",
    "probe_error",
    "random_signs",
]

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, final

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor
from torch.func import jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import group_norm
from torch.overrides import TorchFunctionMode

from spurion.diffusion.denoiser import Denoiser

_NUMBERS = 2**20  # at most in vectors that go through the model together
_KEPT = 2**14  # at most in items whose graph is kept for many backward passes

Product = Callable[[Tensor], Tensor]


@final
class JacobianProducts:
    """Products of vectors with the Jacobian J of a function of n items, in the first way that works.

    Arguments:
        function: Takes and returns items with shape (n, *shape), each independent of its batch mates.
        x: The items, with shape (n, *shape).
        at_once: How many vectors go through the function at once, but at least one for each item; chosen by
            the size of an item if not given.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], x: Float[Tensor, "n *shape"], at_once: int | None = None
    ) -> None:
        self._function, self._x = function, x.detach()
        numbers = max(1, x[0].numel())
        rows = max(1, _NUMBERS // numbers) if at_once is None else at_once
        self.count = max(1, rows // len(x))
        self._kept = max(1, min(self.count, _KEPT // (numbers * len(x))))
        self._pull_ways: list[Product] = [self._vmapped_pull, self._repeated_pull]
        self._push_ways: list[Product] = [self._vmapped_push, self._transposed_pull]

    @property
    def value(self) -> Float[Tensor, "n *shape"]:
        """The function at the items."""
        return self._reverse[0]

    def pull(self, vectors: Float[Tensor, "m n *shape"]) -> Float[Tensor, "m n *shape"]:
        """Products J^T v with m vectors for each item, at most `count` at once."""
        return self._first(self._pull_ways, vectors)

    def push(self, vectors: Float[Tensor, "m n *shape"]) -> Float[Tensor, "m n *shape"]:
        """Products J v with m vectors for each item, at most `count` at once."""
        return self._first(self._push_ways, vectors)

    def _first(self, ways: list[Product], vectors: Tensor) -> Tensor:
        """Apply the first way that works; those that do not are dropped."""
        with _differentiable():
            while len(ways) > 1:
                try:
                    return ways[0](vectors)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError:
                    del ways[0]
            return ways[0](vectors)

    @cached_property
    def _reverse(self) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor]]]:
        with _differentiable():
            value, pull = vjp(self._function, self._x)[:2]
        return value, pull

    def _vmapped_pull(self, vectors: Tensor) -> Tensor:
        pull = self._reverse[1]
        return torch.cat([vmap(lambda v: pull(v)[0])(part) for part in vectors.split(self.count)])

    def _vmapped_push(self, vectors: Tensor) -> Tensor:
        def push(v: Tensor) -> Tensor:
            tangent: Tensor = jvp(self._function, (self._x,), (v,))[1]
            return tangent

        return torch.cat([vmap(push)(part) for part in vectors.split(self.count)])

    def _repeated_pull(self, vectors: Tensor) -> Tensor:
        with torch.enable_grad():
            x = self._repeated(len(vectors))
            return _backward(self._function(x), x, vectors)

    def _transposed_pull(self, vectors: Tensor) -> Tensor:
        with torch.enable_grad():
            x = self._repeated(len(vectors))
            u = torch.zeros_like(x).requires_grad_()
            (pulled,) = torch.autograd.grad(self._function(x), x, u, create_graph=True)
            return _backward(pulled, u, vectors)

    def _repeated(self, count: int) -> Tensor:
        """The items, several times if there are few, so that a backward pass has enough to do."""
        return self._x.repeat(min(count, self._kept), *[1] * (self._x.ndim - 1)).requires_grad_()


def denoise_and_jacobian(
    denoiser: Denoiser, x_t: Float[Tensor, "n *shape"], t: float | int
) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, "n D D"]]:
    """Posterior mean and its Jacobian; row i of a matrix holds the derivatives of coordinate i.

    Arguments:
        denoiser: The model.
        x_t: Noisy items, with shape (n, *shape), in the dtype and on the device of the denoiser.
        t: Their time.
    """
    products = _products(denoiser, x_t, t)
    rows = [products.pull(units).flatten(2) for units in _all_units(x_t, products.count)]
    return products.value, torch.cat(rows).movedim(0, 1)


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
    products = _products(denoiser, x_t, t)
    groups = _all_units(x_t, products.count) if probes is None else iter([probes])
    parts = [(vectors * products.pull(vectors)).flatten(2).double().sum(2) for vectors in groups]
    answers = torch.cat(parts).T
    return products.value, answers.sum(dim=1, keepdim=True) if probes is None else answers


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


class _PlainNorms(TorchFunctionMode):
    """Group normalization of inputs in plain memory order."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is group_norm:
            args = (args[0].contiguous(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def _differentiable() -> Iterator[None]:
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _PlainNorms(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # a vmap without a rule of its own
        yield


def _backward(output: Tensor, leaf: Tensor, vectors: Tensor) -> Tensor:
    """Backward passes from repeated items, as many vectors in each as there are repetitions."""
    n = vectors.shape[1]
    products = []
    for part in vectors.split(len(leaf) // n):
        rows = slice(0, len(part) * n)
        (product,) = torch.autograd.grad(output[rows], leaf, part.flatten(0, 1), retain_graph=True)
        products.append(product[rows].view_as(part))
    return torch.cat(products)


def _products(denoiser: Denoiser, x_t: Tensor, t: float | int) -> JacobianProducts:
    return JacobianProducts(lambda items: denoiser(items, t), x_t)


def _all_units(like: Tensor, size: int) -> Iterator[Tensor]:
    """Unit vectors of all coordinates for every item, in groups with shape (size, n, *shape)."""
    for units in torch.eye(like[0].numel(), dtype=like.dtype, device=like.device).split(size):
        yield units.view(-1, 1, *like.shape[1:]).expand(-1, *like.shape)
