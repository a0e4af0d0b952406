r"""Drawing samples of a memorized prompt that are not its training image, without training anything anew.

*By words.* The pull of a prompt at the first step is the mean over seeds of
:math:`\lVert \hat\epsilon_c(x_T) - \hat\epsilon_0(x_T) \rVert_2`. It hangs on a few tokens of a memorized
prompt, which its gradient finds (`spurion.prompts.detectors.token_attribution`). `drop_words` leaves out the
word of the heaviest token, looks again, and so on until the pull is a stated share of what it was. A word is
what stands between spaces, and is as heavy as the heaviest of its tokens.

*By noise.* Not every initial noise lies where the prompt's density is sharp. `calm_noises` draws several
candidates for each sample and keeps the one at which
:math:`\lVert (H_c - H_0)(s_c - s_0) \rVert_2` is smallest (`spurion.prompts.detectors.sharpness`). The method
of Jeon et al. (SAIL) walks there by gradient steps, with a penalty on the length of the noise; chosen
candidates are Gaussian as they are, though those of one prompt are fewer kinds of them.

Both take a function that makes a subject of a prompt or of noises, and cost what that subject counts;
`fewer_words` and `calm_source` do so with a pipeline.

References:
    | Detecting, Explaining, and Mitigating Memorization in Diffusion Models (Wen et al., 2024), Sec. 4 and 5
    | Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability Landscapes
      (Jeon et al., 2025), Algorithm 2, https://arxiv.org/abs/2412.04140
"""

__all__ = [
    "CalmNoises",
    "Dropped",
    "calm_noises",
    "calm_source",
    "candidate_noises",
    "drop_words",
    "fewer_words",
]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.core.random import generator
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS
from spurion.prompts.noises import prompt_noises
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.readings import subject_of
from spurion.prompts.subject import Seeds, Subject

SHARE = 0.7
"""The share of its pull that a prompt keeps at most, unless another is asked for.

On the model of `spurion.prompts.study` prompts of a single copy pull about 0.7 times as much as memorized
ones: so far a prompt is cut until it pulls like one that is not. What that does is in docs/prompts.md."""

CANDIDATES = 16
"""Initial noises that are tried for each sample, unless another number is asked for."""


@dataclass(frozen=True)
class Dropped:
    """A prompt of which words were left out.

    Attributes:
        prompt: What is left.
        words: The words that were left out, in this order.
        pulls: The pull of the prompt before, and after each word; NaN where the model answers with none.
        reached: Whether the pull fell to the share that was asked for.
        evaluations: Network evaluations that this took, of all seeds.
    """

    prompt: str
    words: tuple[str, ...]
    pulls: tuple[float, ...]
    reached: bool
    evaluations: float


@dataclass(frozen=True, eq=False)
class CalmNoises:
    """Initial noises at which a prompt is least sharp.

    Attributes:
        noises: One for each sample, on the CPU, with shape (n, *shape).
        chosen: Which of its candidates each is; 0 is the noise that it would have had.
        sharpness: The sharpness at all candidates, float64, with shape (n, candidates).
        evaluations: Network evaluations that this took, of all candidates.
    """

    noises: Float[Tensor, "n *shape"]
    chosen: tuple[int, ...]
    sharpness: Float64[Tensor, "n candidates"]
    evaluations: float


def drop_words(
    prompt: str,
    subject_of: Callable[[str], Subject],
    tokens_of: Callable[[str], int],
    *,
    share: float = SHARE,
) -> Dropped:
    """Leave out the heaviest words of a prompt until its pull is a share of what it was.

    At least one word stays. Words beyond the tokens that a model reads weigh nothing and are left out last.

    Arguments:
        prompt: The prompt.
        subject_of: Makes the subject of a prompt; all of the same seeds, and with their text.
        tokens_of: How many tokens a word has.
        share: The share, in (0, 1).

    Raises:
        ValueError: If `share` is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must lie between 0 and 1, got {share:g}.")
    words, dropped = prompt.split(), []
    subject = subject_of(" ".join(words))
    pulls, spent = [_pull(subject)], 0.0
    while pulls[-1] > share * pulls[0] and len(words) > 1:
        weights = _word_weights(words, subject, tokens_of)
        spent += subject.spent * len(subject.seeds)
        dropped.append(words.pop(weights.index(max(weights))))
        subject = subject_of(" ".join(words))
        pulls.append(_pull(subject))
    spent += subject.spent * len(subject.seeds)
    return Dropped(" ".join(words), tuple(dropped), tuple(pulls), pulls[-1] <= share * pulls[0], spent)


def calm_noises(
    subject_of: Callable[[Tensor], Subject],
    shape: tuple[int, ...],
    count: int,
    *,
    first: int = 0,
    candidates: int = CANDIDATES,
    seed: int,
) -> CalmNoises:
    """Choose among candidates the initial noise of each sample at which the prompt is least sharp.

    The noise of a sample depends on the seed and its number alone. Where the model answers NaN at a
    candidate, another is chosen; at all of them, the first.

    Arguments:
        subject_of: Makes the prompt's subject of initial noises.
        shape: The shape of one item.
        count: Samples, at least 1.
        first: The number of the first of them.
        candidates: Noises to choose from for each, at least 1; the first is that of `initial_noises`.
        seed: The seed of the samples.

    Raises:
        ValueError: If `count` or `candidates` is below 1.
    """
    noises = candidate_noises(shape, range(first, first + count), candidates, seed)
    rows, chosen, spent = [], [], 0.0
    for mine in noises:
        subject = subject_of(mine)
        values = DETECTORS["sharpness"](subject).values
        spent += (subject.spent + 1) * len(mine)  # one more without the prompt, which no others share
        rows.append(values)
        chosen.append(int(values.nan_to_num(math.inf, math.inf, math.inf).argmin()))
    kept = noises[torch.arange(count), torch.tensor(chosen)]
    return CalmNoises(kept, tuple(chosen), torch.stack(rows), spent)


def candidate_noises(
    shape: tuple[int, ...], members: range, candidates: int, seed: int
) -> Float[Tensor, "count candidates *shape"]:
    """Candidates for the initial noise of each sample, the first of which is that of `prompt_noises`.

    Raises:
        ValueError: If there are no samples, or `candidates` is below 1.
    """
    if not len(members):
        raise ValueError("`count` must be at least 1, got 0.")
    if candidates < 1:
        raise ValueError(f"`candidates` must be at least 1, got {candidates}.")
    more = [
        torch.randn(shape, generator=generator(seed, "prompt", sample, "candidate", i))
        for sample in members
        for i in range(1, candidates)
    ]
    others = torch.stack(more) if more else torch.empty(0, *shape)
    usual = prompt_noises(shape, members, seed).unsqueeze(1)
    return torch.cat([usual, others.view(len(members), candidates - 1, *shape)], dim=1)


def fewer_words(
    pipeline: TextPipeline, prompt: str, seeds: Seeds, config: PromptsConfig, *, share: float = SHARE
) -> Dropped:
    """`drop_words` with a pipeline.

    Arguments:
        pipeline: The model.
        prompt: The prompt.
        seeds: The initial noises at which the pull is taken.
        config: The guidance and the negative prompt of samples.
        share: As there.

    Raises:
        ValueError: If `share` is out of range.
    """

    def subject(text: str) -> Subject:
        return subject_of(pipeline, pipeline.encode([text])[0], seeds, config)

    return drop_words(prompt, subject, lambda word: len(pipeline.encode([word])[0].tokens), share=share)


def calm_source(
    pipeline: TextPipeline,
    prompt: str,
    config: PromptsConfig,
    *,
    candidates: int = CANDIDATES,
) -> Callable[[range], CalmNoises]:
    """`calm_noises` with a pipeline: of samples by their numbers.

    Arguments:
        pipeline: The model.
        prompt: The prompt.
        config: Steps, seed, guidance and negative prompt of the samples.
        candidates: As there.
    """
    conditioning, walk = pipeline.encode([prompt])[0], pipeline.walk(config.steps)
    unconditional = pipeline.at("", 0.0, config.negative)

    def subject(noises: Tensor) -> Subject:
        return subject_of(pipeline, conditioning, Seeds(unconditional, noises, walk), config)

    def noises(members: range) -> CalmNoises:
        return calm_noises(
            subject, pipeline.shape, len(members), first=members.start, candidates=candidates,
            seed=config.seed,
        )  # fmt: skip

    return noises


def _pull(subject: Subject) -> float:
    return float(DETECTORS["noise-difference"](subject).values.mean())


def _word_weights(words: list[str], subject: Subject, tokens_of: Callable[[str], int]) -> list[float]:
    """The weight of each word: the largest of its tokens, 0 without any."""
    tokens = DETECTORS["token-attribution"](subject).detail["tokens"]
    weights, first = [], 0
    for word in words:
        last = first + tokens_of(word)
        weights.append(max(tokens[first:last], default=0.0))
        first = last
    return weights
