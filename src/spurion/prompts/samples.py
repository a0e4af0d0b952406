r"""Sample sets of a prompt, which survive being killed.

Sample i walks down deterministic DDIM from an initial noise of its own, that of ``generator(seed, "prompt",
i)``, so that it depends on the seed and i alone, and different prompts are answered from the same noises.
Finished batches are kept as those of any set (`spurion.diffusion.sampleset`).
"""

__all__ = ["Noises", "PromptSampling", "samples_to_file"]

from collections.abc import Callable
from pathlib import Path

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from spurion.core.config import Config
from spurion.core.progress import Progress, shifted, silent
from spurion.diffusion.sampleset import check_set, drawn_to_file, set_request
from spurion.prompts.conditioned import PromptDenoiser
from spurion.prompts.noises import prompt_noises
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.walk import walk_down

Noises = Callable[[range], Tensor]
"""The initial noises (m, *shape) of some members of a set, float32."""


class PromptSampling(Config):
    """How samples of a prompt are drawn.

    Attributes:
        steps: The steps of the walk.
        batch_size: Samples made together. It changes speed and memory; the samples only by rounding.
        latents: Whether latents are kept, not images.
    """

    steps: PositiveInt = 50
    batch_size: PositiveInt = 8
    latents: bool = False


def samples_to_file(
    pipeline: TextPipeline,
    denoiser: PromptDenoiser,
    count: int,
    config: PromptSampling,
    *,
    seed: int,
    path: Path | str,
    noises: tuple[str, Noises] | None = None,
    progress: Progress = silent,
) -> Float[Tensor, "count *shape"]:
    """Draw samples of a prompt into a file, or continue it, or read it if it is there.

    Arguments:
        pipeline: The pipeline.
        denoiser: The prompt, a denoiser of `TextPipeline.at`.
        count: How many samples, at least 1.
        config: How they are drawn. One batch is one shard: a killed run loses at most one batch.
        seed: The seed of the whole set.
        path: The ``.npz`` file; its folder is made if needed. Shards lie beside it.
        noises: Initial noises other than `prompt_noises`: what they are in words, which the file notes, and
            themselves.
        progress: Called after every step of every batch.

    Returns:
        Images (n, C, H, W), float32 in [-1, 1], which the file holds as `samples`; or latents (n, c, h, w),
        which it holds as `latents`.

    Raises:
        ValueError: If `path` is no ``.npz``, `count` or the steps are out of range, the file or a shard is of
            another request, or is damaged, or the model answers NaN or infinity.
        OSError: If the file cannot be written or the disk is full; finished shards stay.
    """
    check_set(count, path)
    walk = pipeline.walk(config.steps)
    kind, drawn = noises or ("of the seed", lambda members: prompt_noises(pipeline.shape, members, seed))
    sampler = {"kind": "walk", "noises": kind, "times": list(walk.times), "last": walk.last}
    request = set_request(denoiser, count, sampler | config.model_dump(), seed)
    total = len(range(0, count, config.batch_size)) * config.steps

    def draw(members: range) -> Tensor:
        tick = shifted(progress, members.start // config.batch_size * config.steps, total)
        x = walk_down(denoiser, drawn(members).to(denoiser.device), walk, tick)
        return x if config.latents else pipeline.decode(x)

    array = "latents" if config.latents else "samples"
    return drawn_to_file(path, request, draw, count, config.batch_size, array=array)
