r"""One prompt of one model, and what all detectors look at: the first step, and the whole way to the samples.

The initial noises :math:`x_T` of m seeds are the same for all prompts, and so is the noise
:math:`\hat\epsilon_0(x_T)` that the model sees in them without a prompt: `Seeds` asks for it once. A
`Subject` asks for the rest, each thing once: the noise :math:`\hat\epsilon_c(x_T)` with the prompt, and the
*path*, deterministic DDIM with guidance :math:`g`,

.. math:: \hat\epsilon = \hat\epsilon_0 + g (\hat\epsilon_c - \hat\epsilon_0) ,

with both noises at every step.

Costs are evaluations of the network for one seed. One evaluation is one item that passes through the network
once, with a prompt or without; a derivative, forward or backward, is one more. What `Seeds` asked for is not
counted for any prompt, for it is spread over all.

A model that answers NaN or infinity makes no error here: its readings are NaN, of that seed alone.
"""

__all__ = ["Path", "Seeds", "Subject", "Text"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.stiffness import Stiffness, stiffness
from spurion.prompts.counted import CountedDenoiser
from spurion.prompts.walk import Walk, bars_of, ddim_step

PROBES, STEPS = 8, 50
"""Of the quadrature where there are too many coordinates for full spectra."""

Attention = Callable[[Tensor, int], Tensor]
"""Cross-attention of the pass with the prompt: from items (n, *shape) and a time to (n, positions, tokens),
what each position gives to each token."""


@dataclass(frozen=True)
class Text:
    """The prompt as the network reads it.

    Attributes:
        tokens: The tokens of the prompt, as words, without start, end and padding.
        places: Where they stand in the embedding.
        embedding: The embedding of the whole prompt, with shape (L, d).
        at: The conditional denoiser of any embedding (L, d), differentiable by it.
    """

    tokens: tuple[str, ...]
    places: tuple[int, ...]
    embedding: Float[Tensor, "L d"]
    at: Callable[[Tensor], Denoiser]

    def __post_init__(self) -> None:
        length = len(self.embedding)
        if len(self.tokens) != len(self.places) or any(not 0 <= place < length for place in self.places):
            raise ValueError(
                f"`places` must say of each of {len(self.tokens)} tokens where it stands in the {length} of "
                f"the embedding, got {self.places!s:.80}."
            )


class Path(NamedTuple):
    """Deterministic DDIM with guidance, of all seeds.

    Attributes:
        times: The S times, decreasing.
        states: The noisy items at these times, with shape (S, m, *shape); the first are the initial noises.
        conditional: The noise that the model sees in them with the prompt, with shape (S, m, *shape).
        unconditional: The same without the prompt, with shape (S, m, *shape).
        samples: Where the path ends, with shape (m, *shape).
    """

    times: tuple[int, ...]
    states: Float[Tensor, "S m *shape"]
    conditional: Float[Tensor, "S m *shape"]
    unconditional: Float[Tensor, "S m *shape"]
    samples: Float[Tensor, "m *shape"]


@final
class Seeds:
    """The initial noises of all prompts, and what the model says of them without a prompt.

    Arguments:
        unconditional: The model without a prompt, with a `DDPMSchedule`.
        noises: The initial noises, with shape (m, *shape).
        walk: The times of the path.

    Attributes:
        noises: Those, in the dtype and on the device of the model.
        walk: That.
        bars: The squared signal scale of every state of the path, one for each time, and the last one.
        shared: The model without a prompt, counted for what all prompts share.

    Raises:
        ValueError: If the schedule is not discrete, the walk not one of it, or the noises have not the shape
            of the model.
    """

    def __init__(self, unconditional: Denoiser, noises: Float[Tensor, "m *shape"], walk: Walk) -> None:
        schedule = unconditional.schedule
        if not isinstance(schedule, DDPMSchedule):
            raise ValueError(f"`unconditional` must have a DDPMSchedule, got {type(schedule).__name__}.")
        if tuple(noises.shape[1:]) != tuple(unconditional.shape) or not len(noises):
            raise ValueError(
                f"`noises` must have shape (m, {', '.join(map(str, unconditional.shape))}) with at least one "
                f"seed, got {tuple(noises.shape)}."
            )
        self.unconditional = unconditional
        self.shared = CountedDenoiser(unconditional)
        self.noises = noises.to(unconditional.device, unconditional.dtype)
        self.walk, self.bars = walk, bars_of(schedule, walk)
        self._noise: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.noises)

    @property
    def first(self) -> Float[Tensor, "m *shape"]:
        """The noise that the model sees in the initial noises, without a prompt, at the first time."""
        return self.noise(self.walk.times[0])

    @torch.no_grad()
    def noise(self, t: int) -> Float[Tensor, "m *shape"]:
        """The same at any time `t`, as if the initial noises were items of that time."""
        if t not in self._noise:
            self._noise[t] = self.shared.epsilon(self.noises, t)
        return self._noise[t]


@final
class Subject:
    """One prompt of one model.

    All seeds go through the network together.

    Arguments:
        conditional: The model with the prompt, without guidance.
        seeds: The seeds, with the model without a prompt.
        guidance: The guidance g of the path.
        text: The prompt as the network reads it; None where it cannot be told.
        attention: Its cross-attention; None where there is none.
        end: The position of the end token in what `attention` gives; None without it.
        image: The training image of the prompt (of a latent model: its latent), with shape (*shape), if
            known.

    Raises:
        ValueError: If `conditional` is not of the shape and schedule of the seeds, the image is not of its
            shape, or only one of `attention` and `end` is given.
    """

    def __init__(
        self,
        conditional: Denoiser,
        seeds: Seeds,
        *,
        guidance: float = 7.5,
        text: Text | None = None,
        attention: Attention | None = None,
        end: int | None = None,
        image: Float[Tensor, "*shape"] | None = None,
    ) -> None:
        shape = tuple(seeds.unconditional.shape)
        if tuple(conditional.shape) != shape or conditional.schedule != seeds.unconditional.schedule:
            raise ValueError(
                "`conditional` and the seeds must be of one model: one shape and one schedule, got "
                f"{tuple(conditional.shape)} and {shape}, {conditional.schedule} and "
                f"{seeds.unconditional.schedule}."
            )
        if (attention is None) != (end is None):
            raise ValueError("`attention` and `end` must be given together, got one of them.")
        if image is not None and tuple(image.shape) != shape:
            raise ValueError(f"`image` must have shape {shape}, got {tuple(image.shape)}.")
        self.conditional = CountedDenoiser(conditional)
        self.unconditional = CountedDenoiser(seeds.unconditional)
        self.seeds, self.guidance, self.image = seeds, guidance, image
        self._text, self._attention, self._end = text, attention, end
        self._noise: dict[int, Tensor] = {}
        self._stiffness: dict[tuple[float, float], tuple[Stiffness, float]] = {}
        self._beside = 0.0

    @property
    def has(self) -> frozenset[str]:
        """What detectors may need and is there: "path" always, "text" and "attention" if given."""
        given = {"text": self._text, "attention": self._attention}
        return frozenset({"path"} | {name for name, value in given.items() if value is not None})

    @property
    def text(self) -> Text:
        """The prompt as the network reads it.

        Raises:
            ValueError: If it cannot be told.
        """
        if self._text is None:
            raise ValueError("`text` must be given with this prompt, got none.")
        return self._text

    @torch.no_grad()
    def end_attention(self, x_t: Float[Tensor, "n *shape"], t: int) -> Float[Tensor, "n positions"]:
        """What each position gives to the end token, by one more evaluation of each item.

        Arguments:
            x_t: Noisy items, with shape (n, *shape).
            t: Their time.

        Raises:
            ValueError: If there is no attention, it is not one of every item, or has no such token.
        """
        if self._attention is None or self._end is None:
            raise ValueError("`attention` must be given with this prompt, got none.")
        shares = self._attention(x_t, t)
        if shares.ndim != 3 or len(shares) != len(x_t) or not 0 <= self._end < shares.shape[2]:
            raise ValueError(
                f"`attention` must give shape ({len(x_t)}, positions, tokens) with an end token at "
                f"{self._end}, got {tuple(shares.shape)}."
            )
        self.spend(len(x_t) / len(self.seeds))
        return shares[:, :, self._end]

    @property
    def first(self) -> Float[Tensor, "m *shape"]:
        """The noise that the model sees in the initial noises with the prompt, at the first time."""
        return self.noise(self.seeds.walk.times[0])

    @torch.no_grad()
    def noise(self, t: int) -> Float[Tensor, "m *shape"]:
        """The same at any time `t`, as if the initial noises were items of that time."""
        if t not in self._noise:
            self._noise[t] = self.conditional.epsilon(self.seeds.noises, t)
        return self._noise[t]

    def guided(
        self, conditional: Float[Tensor, "*batch"], unconditional: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Both noises put together with the guidance."""
        return unconditional + self.guidance * (conditional - unconditional)

    @cached_property
    def path(self) -> Path:
        """The path of all seeds."""
        times, bars = self.seeds.walk.times, self.seeds.bars
        states, conditional, unconditional = [self.seeds.noises], [self.first], [self.seeds.first]
        with torch.no_grad():
            for step, (bar_t, bar_s) in enumerate(pairwise(bars)):
                if step:
                    conditional.append(self.conditional.epsilon(states[-1], times[step]))
                    unconditional.append(self.unconditional.epsilon(states[-1], times[step]))
                noise = self.guided(conditional[-1], unconditional[-1])
                states.append(ddim_step(states[-1], noise, bar_t, bar_s))
        noises = torch.stack(conditional), torch.stack(unconditional)
        return Path(times, torch.stack(states[:-1]), *noises, samples=states[-1])

    def stiffness(self, t: float | int, cut: float) -> tuple[Stiffness, float]:
        """The stiffness of the density with the prompt at the samples, and the evaluations a seed it took.

        Arguments:
            t: The time at which it is read.
            cut: Directions softer than this are soft.
        """
        if (t, cut) not in self._stiffness:
            samples, before, dim = self.path.samples, self.spent, prod(self.conditional.shape)
            found = stiffness(self.conditional, samples, t, cut=cut, seed=0)
            products = 2 * PROBES * min(STEPS, dim)  # with the Jacobian and with its transpose
            self.spend(products if found.spectra is None else dim)
            self._stiffness[t, cut] = found, self.spent - before
        return self._stiffness[t, cut]

    @property
    def path_cost(self) -> int:
        """The evaluations a seed that the path needs: two for each step, less the shared one of the first."""
        return 2 * len(self.seeds.walk.times) - 1

    @property
    def spent(self) -> float:
        """The evaluations a seed that were really made so far, beside those shared by all prompts."""
        return (self.conditional.items + self.unconditional.items) / len(self.seeds) + self._beside

    def spend(self, evaluations: float) -> None:
        """Add evaluations a seed that no denoiser here sees: derivatives, and passes of other networks."""
        self._beside += evaluations
